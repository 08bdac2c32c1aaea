/** Property strings: `key=value,…` with one bare value for the default key, as in `keep-last=3` or `local:1,format=raw`. */

import { scalarProblem } from './scalar.ts';
import type { Property } from './schema.ts';

const keep: Property = { type: 'integer', minimum: 0, optional: 1 };

/** Named formats whose inner schema the API's own does not show. */
const NAMED: Record<string, Record<string, Property>> = {
  'prune-backups': {
    'keep-all': { type: 'boolean', optional: 1 },
    'keep-last': keep,
    'keep-hourly': keep,
    'keep-daily': keep,
    'keep-weekly': keep,
    'keep-monthly': keep,
    'keep-yearly': keep,
  },
  'backup-performance': {
    'max-workers': { type: 'integer', minimum: 1, maximum: 256, optional: 1 },
    'pbs-entries-max': { type: 'integer', minimum: 1, optional: 1 },
  },
  'backup-fleecing': {
    enabled: { type: 'boolean', default_key: 1, optional: 1 },
    storage: { type: 'string', format: 'pve-storage-id', optional: 1 },
  },
};

const BOOLEAN: Record<string, string> = { on: '1', yes: '1', true: '1', off: '0', no: '0', false: '0' };

type Parsed = { values: Record<string, string> } | { problem: string };

const formatOf = (format: string | Record<string, Property>): Record<string, Property> | undefined =>
  typeof format === 'string' ? NAMED[format] : format;

const split = (format: Record<string, Property>, text: string): Parsed => {
  const values: Record<string, string> = {};
  const defaultKey = Object.entries(format).find(([, schema]) => schema.default_key)?.[0];
  for (const part of text.split(',')) {
    if (part.trim() === '') continue;
    const equals = part.indexOf('=');
    if (equals < 0 && defaultKey === undefined)
      return { problem: 'value without key, but schema does not define a default key\n' };
    const named = equals < 0 ? (defaultKey ?? '') : part.slice(0, equals);
    const key = format[named]?.alias ?? named;
    if (values[key] !== undefined) return { problem: `duplicate key in comma-separated list property: ${key}\n` };
    const value = part.slice(equals + 1);
    values[key] = format[key]?.type === 'boolean' ? (BOOLEAN[value.toLowerCase()] ?? value) : value;
  }
  return { values };
};

const problems = (format: Record<string, Property>, values: Record<string, string>): [string, string][] => {
  const found: [string, string][] = [];
  for (const [key, schema] of Object.entries(format)) {
    const value = values[key];
    if (value === undefined) {
      if (!schema.optional && schema.alias === undefined) found.push([key, 'property is missing and it is not optional']);
      continue;
    }
    const problem = scalarProblem(schema, value);
    if (problem !== undefined) found.push([key, problem]);
  }
  for (const key of Object.keys(values))
    if (!format[key]) found.push([key, 'property is not defined in schema and the schema does not allow additional properties']);
  return found;
};

export const propertyStringProblem = (name: string | Record<string, Property>, text: string): string | undefined => {
  const format = formatOf(name);
  if (!format) return undefined;
  const parsed = split(format, text);
  if ('problem' in parsed) return parsed.problem;
  if (name === 'prune-backups' && parsed.values['keep-all'] === '1' && Object.keys(parsed.values).length > 1)
    return 'keep-all cannot be set together with other options.\n';
  const found = problems(format, parsed.values);
  return found.length === 0 ? undefined : `format error\n${found.map(([key, problem]) => `${key}: ${problem}\n`).join('')}`;
};

/** The keys of a property string known to be well-formed. */
export const parsePropertyString = (text: string, defaultKey = ''): Record<string, string> =>
  Object.fromEntries(
    text
      .split(',')
      .filter(Boolean)
      .map((part) => {
        const equals = part.indexOf('=');
        return equals < 0 ? [defaultKey, part] : [part.slice(0, equals), part.slice(equals + 1)];
      }),
  );
