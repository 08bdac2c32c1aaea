/** Checks parameters against the schema in Proxmox's order and with its texts. */

import { parameterError } from './errors.ts';
import { formatProblem } from './formats.ts';
import { propertyStringProblem } from './property-string.ts';
import { type FormatCheck, scalarProblem } from './scalar.ts';
import type { Method, Property } from './schema.ts';

/** Values as they came over the wire; booleans and numbers of JSON bodies have become their text. */
export type Value = string | Value[] | { [key: string]: Value };
export type Params = Record<string, Value>;

const shown = (value: Value): string => (typeof value === 'string' ? value : Array.isArray(value) ? 'ARRAY' : 'HASH');

/** Named formats may be property strings too. */
const formatCheck: FormatCheck = (format, value) =>
  propertyStringProblem(format, value) ?? (typeof format === 'string' ? formatProblem(format, value) : undefined);

const checkValue = (schema: Property, value: Value, path: string, errors: Record<string, string>): void => {
  if (schema.type === 'array' && Array.isArray(value)) {
    value.forEach((item, i) => {
      checkValue(schema.items ?? {}, item, `${path}[${i}]`, errors);
    });
    return;
  }
  if (schema.type === 'object' && typeof value === 'object' && !Array.isArray(value)) {
    Object.assign(errors, objectProblems(schema.properties ?? {}, value, schema.additionalProperties !== 0, `${path}.`));
    return;
  }
  const problem =
    typeof value === 'string'
      ? scalarProblem(schema, value, formatCheck)
      : `type check ('${schema.type ?? 'string'}') failed - got ${shown(value)}`;
  if (problem !== undefined) errors[path] = problem;
};

/** `net[n]` in the schema stands for net0, net1 … */
const property = (properties: Record<string, Property>, name: string): Property | undefined =>
  properties[name] ?? properties[name.replace(/\d+$/, '[n]')];

const objectProblems = (
  properties: Record<string, Property>,
  params: Params,
  additional: boolean,
  prefix = '',
): Record<string, string> => {
  const errors: Record<string, string> = {};
  for (const [name, schema] of Object.entries(properties)) {
    const value = params[name];
    if (value === undefined) {
      if (!schema.optional && !name.endsWith('[n]')) errors[prefix + name] = 'property is missing and it is not optional';
      continue;
    }
    checkValue(schema, value, prefix + name, errors);
    if (schema.requires !== undefined && params[schema.requires] === undefined)
      errors[prefix + schema.requires] = `missing property - '${prefix + name}' requires this property`;
  }
  for (const [name, value] of Object.entries(params)) {
    if (properties[name] !== undefined) continue;
    const indexed = property(properties, name);
    if (indexed) checkValue(indexed, value, prefix + name, errors);
    else if (!additional)
      errors[prefix + name] = 'property is not defined in schema and the schema does not allow additional properties';
  }
  return errors;
};

/** A string for an array parameter is wrapped, an array for a `*-list` string is joined. */
const adapt = (schema: Property | undefined, value: Value): Value => {
  if (schema?.type === 'array' && typeof value === 'string') return [value];
  if (schema?.type !== 'array' && Array.isArray(value) && typeof schema?.format === 'string' && schema.format.endsWith('-list'))
    return value.join(',');
  return value;
};

/** Answers the parameters as the handler sees them, or throws the 400. */
export const validate = (method: Method, given: Params): Params => {
  const properties = method.parameters?.properties ?? {};
  const params = Object.fromEntries(
    Object.entries(given).map(([name, value]) => [name, adapt(property(properties, name), value)]),
  );
  const errors = objectProblems(properties, params, method.parameters?.additionalProperties !== 0);
  if (Object.keys(errors).length > 0) throw parameterError(errors);
  return params;
};
