/** Pieces that several topics' schemas share. */
import { type TSchema, Type } from 'typebox';

/** A value that may be unknown. */
export const nullable = <S extends TSchema>(schema: S) => Type.Union([schema, Type.Null()]);

/** 0 to 100. */
export const Percent = Type.Number({ minimum: 0, maximum: 100 });

/** 0 to 1. */
export const Fraction = Type.Number({ minimum: 0, maximum: 1 });

/** How quick the drive behind a volume is; empty where nobody knows. */
export const DriveClass = Type.Union([Type.Literal('fast'), Type.Literal('slow'), Type.Literal('')]);

/** What a drive says of its own health (SMART). `UNKNOWN` always has a reason. */
export const DriveHealth = Type.Object({
  health: Type.Union([Type.Literal('PASSED'), Type.Literal('FAILING'), Type.Literal('UNKNOWN')]),
  temperature_c: nullable(Type.Integer()),
  /** Of its expected life, 0 to 100, above where it outlives it. */
  percentage_used: nullable(Type.Integer()),
  /** Age of the newest whole reading. */
  age_seconds: Type.Optional(nullable(Type.Integer())),
  /** Why it is failing or unknown. */
  reasons: Type.Optional(Type.Array(Type.String())),
});
