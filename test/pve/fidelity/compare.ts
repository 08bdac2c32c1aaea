/** Does an answer agree with the recorded one: status, reason, and the body's shape, with equal values where they are configuration. */

import { isObject, type Json, type JsonObject } from './exchange.ts';
import { COMMA_LISTS, identityOf, isVolatile, normalText } from './volatile.ts';

const kind = (value: Json | undefined): string =>
  value === undefined ? 'nothing' : value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value;

const show = (value: Json | undefined): string => {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > 90 ? `${text.slice(0, 90)}…` : text;
};

/** Hardware addresses are made by chance, with Proxmox's own prefix. */
const withoutMac = (text: string): string => text.replace(/BC:24:11(?::[0-9A-F]{2}){3}/g, 'MAC');

const sameText = (key: string, want: string, got: string): boolean => {
  if (want === got) return true;
  if (withoutMac(want) === withoutMac(got)) return true;
  const set = (text: string) => text.split(',').sort().join(',');
  return COMMA_LISTS.has(key) && set(want) === set(got);
};

const compareScalar = (want: Json, got: Json, key: string, at: string): string[] => {
  if (isVolatile(key, at)) return [];
  if (key === 't' && typeof want === 'string' && typeof got === 'string')
    return normalText(want) === normalText(got) ? [] : [`${at}: ${show(want)} ≠ ${show(got)}`];
  const same = typeof want === 'string' && typeof got === 'string' ? sameText(key, want, got) : want === got;
  return same ? [] : [`${at}: ${show(want)} ≠ ${show(got)}`];
};

const compareObject = (want: JsonObject, got: JsonObject, at: string): string[] => {
  const missing = Object.keys(want).filter((key) => !(key in got));
  const extra = Object.keys(got).filter((key) => !(key in want));
  return [
    ...(missing.length > 0 ? [`${at}: no ${missing.join(', ')}`] : []),
    ...(extra.length > 0 ? [`${at}: extra ${extra.join(', ')}`] : []),
    ...Object.keys(want)
      .filter((key) => key in got)
      .flatMap((key) => compare(want[key] ?? null, got[key] ?? null, key, `${at}.${key}`)),
  ];
};

/** Items are found by what names them; lists without names are compared as a whole, in any order. */
const compareList = (want: Json[], got: Json[], key: string, at: string): string[] => {
  const problems = want.length === got.length ? [] : [`${at}: ${want.length} items ≠ ${got.length}`];
  const left = [...got];
  for (const item of want) {
    const name = identityOf(item);
    const index = left.findIndex((other) =>
      name === undefined ? compare(item, other, key, `${at}[]`).length === 0 : identityOf(other) === name,
    );
    const found = left[index];
    if (index < 0 || found === undefined) {
      problems.push(`${at}: no item ${name ?? show(item)}`);
      continue;
    }
    // One row of measurements may stand for several.
    if (!(isObject(item) && 'time' in item)) left.splice(index, 1);
    if (name !== undefined) problems.push(...compare(item, found, key, `${at}[${name}]`));
  }
  return problems;
};

export const compare = (want: Json, got: Json, key: string, at: string): string[] => {
  if (key === 'saved' && ['"1"', '1'].includes(JSON.stringify(want)) && ['"1"', '1'].includes(JSON.stringify(got))) return [];
  if (kind(want) !== kind(got)) return [`${at}: ${kind(want)} ${show(want)} ≠ ${kind(got)} ${show(got)}`];
  if (Array.isArray(want) && Array.isArray(got)) return compareList(want, got, key, at);
  if (isObject(want) && isObject(got)) return compareObject(want, got, at);
  return compareScalar(want, got, key, at);
};
