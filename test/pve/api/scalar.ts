/** One scalar against its schema, in Proxmox's order: type, format, pattern, lengths, bounds, enumeration. */

import { formatProblem } from './formats.ts';
import { perlPattern } from './pattern.ts';
import type { Property } from './schema.ts';

const INTEGER = /^[+-]?\d+$/;
const NUMBER = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;

const TYPES: Record<string, RegExp> = { integer: INTEGER, number: NUMBER, boolean: /^(?:0|1)$/ };

export type FormatCheck = (format: NonNullable<Property['format']>, value: string) => string | undefined;

const namedFormats: FormatCheck = (format, value) => (typeof format === 'string' ? formatProblem(format, value) : undefined);

const numberCheck = (schema: Property, value: string): string | undefined => {
  if (!NUMBER.test(value)) return undefined;
  if (schema.maximum !== undefined && Number(value) > schema.maximum)
    return `value must have a maximum value of ${schema.maximum}`;
  if (schema.minimum !== undefined && Number(value) < schema.minimum)
    return `value must have a minimum value of ${schema.minimum}`;
  return undefined;
};

/** What is wrong with the value, or nothing. */
export const scalarProblem = (schema: Property, value: string, checkFormat = namedFormats): string | undefined => {
  const type = TYPES[schema.type ?? 'string'];
  if (type && !type.test(value)) return `type check ('${schema.type}') failed - got '${value}'`;
  const format = schema.format === undefined ? undefined : checkFormat(schema.format, value);
  if (format !== undefined) return `invalid format - ${format}`;
  if (schema.pattern !== undefined && !perlPattern(schema.pattern).test(value)) return 'value does not match the regex pattern';
  if (schema.maxLength !== undefined && value.length > schema.maxLength)
    return `value may only be ${schema.maxLength} characters long`;
  if (schema.minLength !== undefined && value.length < schema.minLength)
    return `value must be at least ${schema.minLength} characters long`;
  const bounds = numberCheck(schema, value);
  if (bounds !== undefined) return bounds;
  if (schema.enum && !schema.enum.some((allowed) => String(allowed) === value))
    return `value '${value}' does not have a value in the enumeration '${schema.enum.join(', ')}'`;
  return undefined;
};
