/** Pieces that several topics' schemas share. */
import { type TSchema, Type } from 'typebox';

/** A value that may be unknown. */
export const nullable = <S extends TSchema>(schema: S) => Type.Union([schema, Type.Null()]);

/** 0–100. */
export const Percent = Type.Number({ minimum: 0, maximum: 100 });

/** 0–1. */
export const Fraction = Type.Number({ minimum: 0, maximum: 1 });

/** How quick the drive behind a volume is; empty where nobody knows. */
export const DriveClass = Type.Union([Type.Literal('fast'), Type.Literal('slow'), Type.Literal('')]);
