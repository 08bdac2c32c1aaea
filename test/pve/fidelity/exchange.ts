/** The recorded exchanges: one request with the answer a real server gave. */

import { readFileSync } from 'node:fs';
import { fixturePath } from '../fixtures.ts';

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type JsonObject = { [key: string]: Json };

export interface Recorded {
  status: number;
  reason: string;
  headers?: Record<string, string>;
  body?: Json;
  /** The whole answer of a raw exchange. */
  text?: string;
}

export interface Exchange {
  name: string;
  /** Sent as bytes on a bare socket. */
  raw?: boolean;
  request: { method: string; path: string; headers: Record<string, string | number>; body?: string; text?: string };
  response: Recorded;
}

export const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const isExchange = (value: unknown): value is Exchange => {
  if (!isObject(value) || !isObject(value.request) || !isObject(value.response)) return false;
  const { method, path, body } = value.request;
  if (value.raw === true) return typeof value.request.text === 'string';
  return typeof method === 'string' && typeof path === 'string' && (body === undefined || typeof body === 'string');
};

const parseExchange = (line: string): Exchange | null => {
  try {
    const parsed: unknown = JSON.parse(line);
    return isExchange(parsed) ? { ...parsed, name: String(parsed.name ?? '') } : null;
  } catch {
    return null;
  }
};

export interface Recording {
  exchanges: Exchange[];
  /** Numbers of the lines that hold none. They count as not answered. */
  unreadable: number[];
}

export const loadRecording = (file = process.env.FELHOM_PVE_EXCHANGES): Recording => {
  const lines = readFileSync(file || fixturePath('exchanges.jsonl'), 'utf8')
    .replace(/^\uFEFF/, '')
    .split('\n')
    .map((line, index) => ({ line, number: index + 1 }))
    .filter(({ line }) => line.trim() !== '')
    .map(({ line, number }) => ({ number, exchange: parseExchange(line) }));
  return {
    exchanges: lines.flatMap(({ exchange }) => exchange ?? []),
    unreadable: lines.filter(({ exchange }) => exchange === null).map(({ number }) => number),
  };
};

/** As it stands where the escapes are broken. */
export const decoded = (text: string): string => {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
};

/** `data` of a JSON answer. */
export const dataOf = (e: Exchange): Json | undefined => (isObject(e.response.body) ? e.response.body.data : undefined);

export const rowsOf = (e: Exchange): JsonObject[] => {
  const data = dataOf(e);
  return Array.isArray(data) ? data.filter(isObject) : [];
};

export const messageOf = (e: Exchange): string =>
  isObject(e.response.body) && typeof e.response.body.message === 'string' ? e.response.body.message : '';

/** Under `/api2/extjs` a refusal is a 200 as well. */
export const succeeded = (e: Exchange): boolean =>
  e.response.status === 200 && !(isObject(e.response.body) && e.response.body.success === 0);

/** The API path without format, query and encoding, split in components. */
export const pathOf = (e: Exchange): string[] => {
  const path = /^\/api2\/[^/]+\/?([^?]*)/.exec(e.request.path ?? '')?.[1] ?? '';
  return path.split('/').filter(Boolean).map(decoded);
};

export const queryOf = (e: Exchange): URLSearchParams => new URLSearchParams((e.request.path ?? '').split('?')[1] ?? '');

/** Fields of a form or JSON body. */
export const bodyOf = (e: Exchange): Record<string, string> => {
  const body = e.request.body ?? '';
  if (!body.startsWith('{')) return Object.fromEntries(new URLSearchParams(body));
  try {
    return Object.fromEntries(Object.entries(JSON.parse(body) as JsonObject).map(([key, value]) => [key, String(value)]));
  } catch {
    return {};
  }
};

export const header = (e: Exchange, name: string): string => {
  const found = Object.entries(e.request.headers ?? {}).find(([key]) => key.toLowerCase() === name);
  return found ? String(found[1]) : '';
};

/** Who asks: `user@realm!token` or `user@realm`. */
export const callerOf = (e: Exchange): string | undefined => {
  const token = /^PVEAPIToken[= ]([^=]+)=/.exec(decoded(header(e, 'authorization')))?.[1];
  const ticket = /PVE(?:AuthCookie=PVE)?:([^:!]+@[^:]+):/.exec(
    decoded(`${header(e, 'cookie')} ${header(e, 'authorization')}`),
  )?.[1];
  return token ?? ticket;
};

/** When the answer was given, in milliseconds since 1970. */
export const dateOf = (e: Exchange): number | undefined => {
  const date = e.response.headers?.Date ?? e.response.headers?.date;
  const ms = date === undefined ? Number.NaN : Date.parse(date);
  return Number.isNaN(ms) ? undefined : ms;
};
