/** Replays exchanges in order against a running simulator, after bringing it to the state each one assumes. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Pve, startPve } from '../server.ts';
import { assume } from './assume.ts';
import { baseWorld } from './base.ts';
import { compare } from './compare.ts';
import { dateOf, type Exchange, isObject, type Json } from './exchange.ts';
import { collect, type Knowledge } from './knowledge.ts';
import { type Got, parseRaw, send, sendRaw } from './send.ts';
import { createSession, learnFrom, type Session } from './session.ts';

export interface Result {
  index: number;
  exchange: Exchange;
  problems: string[];
}

const parseBody = (text: string): Json | undefined => {
  try {
    return JSON.parse(text) as Json;
  } catch {
    return undefined;
  }
};

/** Log texts and the like that came as plain text: compared line by line. */
const asLines = (text: string): Json => text.split('\n').map((t, i) => ({ n: i, t }));

/** A body that was not kept in the recording. */
const NOT_STORED = /^\(\d+ bytes: /;

const compareBody = (want: Json | undefined, got: string, contentType: string): string[] => {
  if (want === undefined) return [];
  if (typeof want !== 'string') {
    const parsed = parseBody(got);
    return parsed === undefined ? [`body: no JSON: ${got.slice(0, 80)}`] : compare(want, parsed, '', 'body');
  }
  if (NOT_STORED.test(want)) return got.length > 100_000 ? [] : [`body: only ${got.length} bytes`];
  const wantJson = parseBody(want);
  if (isObject(wantJson)) return compareBody(wantJson, got, contentType);
  if (contentType === 'text/plain') return compare(asLines(want), asLines(got), '', 'body');
  return want === got ? [] : [`body: ${JSON.stringify(want).slice(0, 120)} ≠ ${JSON.stringify(got).slice(0, 120)}`];
};

/** Headers every answer has, and the type of the body. */
const compareHeaders = (e: Exchange, got: Got): string[] => {
  const want = Object.fromEntries(Object.entries(e.response.headers ?? {}).map(([key, value]) => [key.toLowerCase(), value]));
  const names = ['cache-control', 'content-disposition', 'content-type', 'pragma', 'server'];
  return names
    .filter((n) => want[n] !== got.headers[n] && (n === 'content-type' || want[n] !== undefined))
    .map((n) => `header ${n}: ${want[n]} ≠ ${got.headers[n]}`);
};

const judge = (e: Exchange, got: Got, session: Session): string[] => {
  const want = e.response;
  const reason = session.translate(want.reason);
  const body = want.body === undefined ? undefined : (JSON.parse(session.translate(JSON.stringify(want.body))) as Json);
  return [
    ...(want.status === got.status && reason === got.reason ? [] : [`${want.status} ${reason} ≠ ${got.status} ${got.reason}`]),
    ...(want.status === got.status ? compareHeaders(e, got) : []),
    ...compareBody(body, got.body, got.headers['content-type'] ?? ''),
  ];
};

/** One connection may have carried several answers. */
const judgeRaw = (e: Exchange, text: string): string[] => {
  const want = e.response.text === undefined ? e.response : parseRaw(e.response.text);
  const got = parseRaw(text);
  const wants = String(want.body ?? '').split(/(?=HTTP\/1\.1 \d)/);
  const gots = got.body.split(/(?=HTTP\/1\.1 \d)/);
  const first = [
    ...(want.status === got.status && want.reason === got.reason
      ? []
      : [`${want.status} ${want.reason} ≠ ${got.status} ${got.reason}`]),
    ...(wants.length === gots.length ? [] : [`${wants.length} answers ≠ ${gots.length}`]),
    ...compareBody(wants[0] ?? '', gots[0] ?? '', ''),
  ];
  const more = wants.slice(1).flatMap((next, i) => {
    const a = parseRaw(next);
    const b = parseRaw(gots[i + 1] ?? '');
    return [
      ...(a.status === b.status && a.reason === b.reason ? [] : [`then ${a.status} ≠ ${b.status}`]),
      ...compareBody(a.body, b.body, ''),
    ];
  });
  return [...first, ...more];
};

const replayRaw = async (pve: Pve, e: Exchange, session: Session): Promise<string[]> => {
  const text = e.request.text ?? '';
  const tls = !text.includes('(no TLS)');
  const caller = /PVEAPIToken=([^=]+)=/.exec(text)?.[1] ?? '';
  const sent = text
    .replace(/ \(no TLS\)$/, '\r\nHost: 127.0.0.1\r\n\r\n')
    .replaceAll('<token-secret>', session.secret(caller) ?? '');
  return judgeRaw(e, await sendRaw(pve.port, sent, tls));
};

const replayOne = async (pve: Pve, e: Exchange, index: number, session: Session, knowledge: Knowledge): Promise<string[]> => {
  await assume({ pve, exchange: e, index, session, knowledge });
  if (e.raw) return replayRaw(pve, e, session);
  const got = await send(pve.port, session.prepare(e));
  learnFrom(
    session,
    isObject(e.response.body) ? e.response.body.data : undefined,
    (parseBody(got.body) as { data?: Json } | undefined)?.data,
  );
  return judge(e, got, session);
};

/** No exchange waits longer: one that the simulator never answers must not keep the rest from being counted. */
const DEADLINE_MS = 20_000;

const within = async <T>(ms: number, work: Promise<T>): Promise<T> => {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${ms} ms`)), ms);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
};

export const replay = async (exchanges: Exchange[], { deadlineMs = DEADLINE_MS } = {}): Promise<Result[]> => {
  const dir = mkdtempSync(join(tmpdir(), 'pve-fidelity-'));
  let now = exchanges.map(dateOf).find((date) => date !== undefined) ?? Date.now();
  const knowledge = collect(exchanges);
  const pve = await startPve({
    dir,
    node: knowledge.node,
    unauthorizedDelayMs: 1,
    clock: () => now,
    world: baseWorld(knowledge),
  });
  const session = createSession(pve);
  session.learn('/var/run/vzdump.lock', pve.files.lockFile);
  const results: Result[] = [];
  try {
    for (const [index, exchange] of exchanges.entries()) {
      now = Math.max(now, dateOf(exchange) ?? now);
      const problems = await within(deadlineMs, replayOne(pve, exchange, index, session, knowledge)).catch((error: unknown) => [
        `failed: ${error instanceof Error ? error.message : String(error)}`,
      ]);
      results.push({ index, exchange, problems });
    }
  } finally {
    await pve.close();
    rmSync(dir, { recursive: true, force: true });
  }
  return results;
};
