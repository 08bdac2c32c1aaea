/** Reply schemas as fast-json-stringify reads them well, and what is done when an answer does not fit. Pure. */
import { int } from '#shared/int';

/** The part of JSON Schema that replies use. */
interface Schema {
  type?: string;
  const?: unknown;
  anyOf?: Schema[];
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  additionalProperties?: boolean;
  nullable?: boolean;
}

const TYPE_OF_CONST: Record<string, string> = { string: 'string', boolean: 'boolean', number: 'number' };

/**
 * Types only. Checks (patterns, bounds, closed words) are for what comes in: the serialiser would answer a constant whatever the
 * value is, and try every branch of a union with a validator, or throw and so turn a good answer into a 500.
 */
export const forReplies = (schema: Schema): Schema => {
  if (schema.anyOf !== undefined) return union(schema.anyOf);
  const type = schema.type ?? TYPE_OF_CONST[typeof schema.const];
  return {
    ...(type === undefined ? {} : { type }),
    ...(schema.properties === undefined ? {} : { properties: mapValues(schema.properties, forReplies) }),
    ...(schema.required === undefined ? {} : { required: schema.required }),
    ...(schema.items === undefined ? {} : { items: forReplies(schema.items) }),
    ...(schema.additionalProperties === undefined ? {} : { additionalProperties: schema.additionalProperties }),
  };
};

const union = (members: Schema[]): Schema => {
  const others = members.filter(({ type }) => type !== 'null').map(forReplies);
  const nullable = others.length < members.length ? { nullable: true } : {};
  const [first] = others;
  const alike = first !== undefined && others.every((other) => JSON.stringify(other) === JSON.stringify(first));
  // A real union of shapes: `{}` is written as it is.
  return alike ? { ...first, ...nullable } : {};
};

const mapValues = <T, U>(record: Record<string, T>, map: (value: T) => U): Record<string, U> =>
  Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value)]));

/** The envelope around a reply. */
export const envelopeOf = (reply: object): Schema => ({
  type: 'object',
  required: ['ok', 'data', 'error', 'code'],
  properties: { ok: { type: 'boolean' }, data: forReplies(reply), error: { type: 'string' }, code: { type: 'string' } },
});

/** The nearest value that fits: numbers that JSON cannot hold become null, fractions in integer fields are cut off. */
export const repair = (schema: Schema, value: unknown): unknown => {
  if (schema.type === 'integer') return typeof value === 'number' ? int(value) : null;
  if (typeof value === 'number') return Number.isFinite(value) ? value : null;
  if (Array.isArray(value)) return value.map((one: unknown) => repair(schema.items ?? {}, one));
  if (typeof value !== 'object' || value === null || schema.properties === undefined) return value;
  const fields: Record<string, unknown> = { ...value };
  const wanted = Object.entries(schema.properties).filter(([key]) => fields[key] !== undefined || schema.required?.includes(key));
  return Object.fromEntries(wanted.map(([key, property]) => [key, repair(property, fields[key] ?? null)]));
};
