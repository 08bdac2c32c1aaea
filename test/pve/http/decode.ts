/** Parameters from a query or a body: form fields or JSON, with Perl's texts for JSON that cannot be read. */

import { ApiError } from '../api/errors.ts';
import type { Params, Value } from '../api/validate.ts';
import { jsonProblem } from './json-problem.ts';

const percentDecode = (text: string): string =>
  Buffer.from(
    text
      .replace(/\+/g, ' ')
      .replace(/%([0-9a-fA-F]{2})|([\u0080-\uffff])/g, (_all, hex: string | undefined, high: string) =>
        hex === undefined ? Buffer.from(high).toString('latin1') : String.fromCharCode(Number.parseInt(hex, 16)),
      ),
    'latin1',
  ).toString('utf8');

export const decodePath = (path: string): string => percentDecode(path.replace(/\+/g, '%2B'));

/** A key that comes more than once becomes an array. */
export const decodeForm = (text: string): Params => {
  const params: Params = {};
  for (const pair of text.split(/[&;]/).filter(Boolean)) {
    const equals = pair.indexOf('=');
    const name = percentDecode(equals < 0 ? pair : pair.slice(0, equals));
    const value = equals < 0 ? '' : percentDecode(pair.slice(equals + 1));
    const before = params[name];
    params[name] = before === undefined ? value : Array.isArray(before) ? [...before, value] : [before, value];
  }
  return params;
};

const asText = (value: unknown): Value => {
  if (Array.isArray(value)) return value.map(asText);
  if (typeof value === 'object' && value !== null)
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, asText(inner)]));
  if (typeof value === 'boolean') return value ? '1' : '0';
  return value === null ? '' : String(value);
};

const decodeJson = (text: string): Params => {
  const problem = jsonProblem(text);
  if (problem !== undefined) throw new ApiError(500, problem, { plain: true });
  const parsed: unknown = JSON.parse(text);
  return typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed) ? (asText(parsed) as Params) : {};
};

/** The query overrides the body. */
export const decodeParameters = (query: string, body: Buffer, contentType: string): Params => {
  const json = contentType.split(';')[0]?.trim() === 'application/json';
  const text = body.toString('utf8');
  const fromBody = text === '' ? {} : json ? decodeJson(text) : decodeForm(text);
  return { ...fromBody, ...decodeForm(query) };
};

/** The fields of a multipart form and the size of its file; nothing for any other body. */
export const decodeUpload = (body: Buffer, contentType: string): { fields: Params; fileBytes: number } | undefined => {
  const boundary = /^multipart\/form-data;.*boundary="?([^";]+)"?/.exec(contentType)?.[1];
  if (boundary === undefined) return undefined;
  const fields: Params = {};
  let fileBytes = 0;
  for (const part of body.toString('latin1').split(`--${boundary}`)) {
    const [, head = '', content = ''] = /^\r\n([\s\S]*?)\r\n\r\n([\s\S]*)\r\n$/.exec(part) ?? [];
    const name = /name="([^"]*)"/.exec(head)?.[1];
    const filename = /filename="([^"]*)"/.exec(head)?.[1];
    if (name === undefined) continue;
    fields[name] = filename ?? content;
    if (filename !== undefined) fileBytes = content.length;
  }
  return { fields, fileBytes };
};
