/** Values of parameters as configuration files give them back: numbers where the schema says so. */

import type { ConfigValue } from '../world.ts';
import { apiSchema, type Property } from './schema.ts';

const NUMERIC = ['integer', 'number', 'boolean'];

const propertyOf = (properties: Record<string, Property>, name: string): Property | undefined =>
  properties[name] ?? properties[name.replace(/\d+$/, '[n]')];

/** By the schema of the method that takes the parameter. */
export const typedValue = (method: string, template: string, name: string, value: unknown): ConfigValue => {
  const path = apiSchema().paths.find((p) => p.path === template);
  const property = propertyOf(path?.info[method]?.parameters?.properties ?? {}, name);
  const text = String(value);
  return NUMERIC.includes(property?.type ?? '') && text !== '' ? Number(text) : text;
};
