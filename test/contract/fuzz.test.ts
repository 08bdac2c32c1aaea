/** No input crashes the agent or makes it answer 5xx: every answer is the envelope, or the connection is closed. */
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ProcessHost, startProcessHost } from './process-host.ts';
import { createWire, type WireAnswer } from './wire-client.ts';

const BATCH = 50;
const SOAK = process.env.FELHOM_SOAK !== undefined;
const BATCHES = (SOAK ? 1_000_000 : 20_000) / BATCH;
/** After the soak run the agent holds at most so much more memory than after the first thousand requests. */
const GROWTH_KB = 10 * 1024;
const CONNECTIONS = 8;

let host: ProcessHost;
let sent = 0;
let residentAtFirst = 0;

const residentKb = (): number => Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${host.agent.pid}/status`, 'utf8'))?.[1]);

beforeAll(async () => {
  host = await startProcessHost({ limits: { requests_per_second: 1_000_000, streams: 1000 } });
}, 60_000);

afterAll(() => host.close());

const PATHS = [
  '/storage',
  '/backup/due',
  '/backup',
  '/backup/status',
  '/backup/j1/held',
  '/backups',
  '/coverage',
  '/problems',
  '/events',
  '/disks',
  '/disks/assign',
  '/disks/eject',
  '/disks/format',
  '/host/metrics',
  '/identity',
  '/healthz',
  '/openapi.json',
];
const KEYS = [
  'device',
  'fstype',
  'confirmed',
  'durable_id',
  'uuid',
  'where',
  'options',
  'request_id',
  'intends',
  'apps',
  '__proto__',
  'constructor',
];

const path = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...PATHS) },
  { weight: 1, arbitrary: fc.webPath() },
  {
    weight: 1,
    arbitrary: fc.tuple(fc.constantFrom(...PATHS), fc.webQueryParameters()).map(([base, query]) => `${base}?${query}`),
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.constantFrom('/backup/status', '/backups'), fc.constantFrom('wait', 'after', 'limit', 'x'), fc.string())
      .map(([base, key, value]) => `${base}?${key}=${encodeURIComponent(value)}`),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      '/%',
      '/%zz',
      '//',
      '/../etc/passwd',
      '/disks/%2e%2e/storage',
      '*',
      '/storage#x',
      `/${'a'.repeat(9000)}`,
    ),
  },
);

const method = fc.constantFrom('GET', 'GET', 'POST', 'POST', 'PUT', 'DELETE', 'PATCH', 'HEAD', 'OPTIONS', 'TRACE', 'FROB');

const field = fc.oneof(
  fc.jsonValue({ maxDepth: 2 }),
  fc.constantFrom<unknown>(true, 1, 'true', null, ['sdb'], '', 'x'.repeat(300), '\u0000', '../../etc'),
);
const jsonBody = fc.oneof(
  fc.dictionary(fc.constantFrom(...KEYS), field).map((value) => JSON.stringify(value)),
  fc.jsonValue({ maxDepth: 3 }).map((value) => JSON.stringify(value)),
);
const body = fc.oneof(
  { weight: 6, arbitrary: jsonBody },
  { weight: 2, arbitrary: fc.string() },
  {
    weight: 1,
    arbitrary: fc.constantFrom('', '{', '{"a":', `${'['.repeat(5000)}`, `"${'x'.repeat(40_000)}"`, '{"__proto__":{"x":1}}'),
  },
);

const type = fc.constantFrom(
  'application/json',
  'application/json',
  'application/json',
  'application/json; charset=utf-8',
  'text/plain',
  'application/x-www-form-urlencoded',
  'multipart/form-data',
  '',
  ';',
);
const authorization = fc.oneof(
  { weight: 5, arbitrary: fc.constant('valid') },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      '',
      'Bearer',
      'Bearer ',
      'bearer x',
      'Basic YTpi',
      `Bearer fht_101_${'A'.repeat(43)}`,
      `Bearer ${'x'.repeat(5000)}`,
      'Bearer fht_101_',
    ),
  },
  { weight: 1, arbitrary: fc.string().map((text) => `Bearer ${text.replaceAll(/[^\x20-\x7e]/g, '?')}`) },
);

const request = fc.record({
  method,
  path,
  body,
  type,
  authorization,
  instance: fc.constantFrom('', '', 'Felhom-Instance: x\r\n'),
});

type Request = typeof request extends fc.Arbitrary<infer T> ? T : never;

/** The bytes of a well-framed request with whatever in it. */
const framed = ({ method: verb, path: target, body: text, type: media, authorization: auth, instance }: Request): string => {
  const withBody = verb !== 'GET' && verb !== 'HEAD';
  const token = auth === 'valid' ? `Bearer ${host.guests[0]?.token}` : auth;
  const safeTarget = target.replaceAll(/[\s\u0080-\uffff]/g, '_') || '/';
  return [
    `${verb} ${safeTarget} HTTP/1.1\r\nHost: agent\r\n`,
    token ? `Authorization: ${token}\r\n` : '',
    instance,
    withBody ? `${media ? `Content-Type: ${media}\r\n` : ''}Content-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}` : '\r\n',
  ].join('');
};

const garbage = fc.oneof(
  fc.uint8Array({ minLength: 1, maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
  fc
    .constantFrom(
      'GET\r\n\r\n',
      'GET / HTTP/9.9\r\n\r\n',
      'GET /storage HTTP/1.1\r\n\r\n',
      'POST /backup HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n',
      'POST /backup HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      'POST /backup HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n',
      `GET /storage HTTP/1.1\r\nHost: a\r\nX: ${'y'.repeat(20_000)}\r\n\r\n`,
      'GET /storage HTTP/1.1\r\nHost: a\r\nHost: b\r\nAuthorization: a\r\nAuthorization: b\r\n\r\n',
      'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
      'GET /backup/status HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n',
      'CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: a\r\n\r\n',
      'POST /backup HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n{}',
      'POST /backup HTTP/1.1\r\nHost: a\r\nExpect: a-miracle\r\nContent-Length: 2\r\n\r\n{}',
    )
    .map((text) => Buffer.from(text)),
);

/** It never ends by itself. */
const isStream = (answer: WireAnswer | null): boolean =>
  answer?.headers.get('content-type')?.startsWith('text/event-stream') === true;

const judge = (answer: WireAnswer | null, verb: string, target: string): void => {
  if (answer === null) return;
  expect(answer.status, `${verb} ${target}: ${answer.body}`).toBeLessThan(500);
  if (verb === 'HEAD' || answer.status === 100) return;
  if (answer.status === 200 && target.startsWith('/openapi.json')) return;
  const what = `${verb} ${target}: ${answer.status} ${answer.body}`;
  expect(answer.body, what).toMatch(/^\{/);
  expect(Object.keys(JSON.parse(answer.body)).sort(), what).toEqual(['code', 'data', 'error', 'ok']);
};

const inParallel = async <T>(
  items: readonly T[],
  each: (wire: ReturnType<typeof createWire>, item: T) => Promise<void>,
): Promise<void> => {
  const queue = [...items];
  await Promise.all(
    wires.map(async (wire) => {
      for (let item = queue.shift(); item !== undefined; item = queue.shift()) {
        await each(wire, item);
        sent += 1;
      }
    }),
  );
};

let wires: ReturnType<typeof createWire>[] = [];
beforeAll(() => {
  wires = Array.from({ length: CONNECTIONS }, () => createWire('127.0.0.1', host.port));
});
afterAll(() => {
  for (const wire of wires) wire.close();
});

test(`${BATCH * BATCHES} requests, well framed and garbage`, { timeout: SOAK ? 3_600_000 : 300_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(request, { minLength: BATCH - 5, maxLength: BATCH - 5 }),
      fc.array(garbage, { minLength: 5, maxLength: 5 }),
      async (requests, raw) => {
        if (sent === 20 * BATCH) residentAtFirst = residentKb();
        await inParallel(requests, async (wire, each) => {
          const answer = await wire.send(framed(each), each.method, 15_000);
          if (isStream(answer)) wire.close();
          else judge(answer, each.method, each.path);
        });
        await inParallel(raw, async (wire, bytes) => {
          judge(await wire.send(bytes, 'garbage', 100), 'garbage', '');
          wire.close();
        });
      },
    ),
    { numRuns: BATCHES, endOnFailure: true },
  );
  expect(sent).toBeGreaterThanOrEqual(BATCH * BATCHES);
  expect(host.agent.exitCode).toBeNull();
  if (SOAK) expect(residentKb() - residentAtFirst).toBeLessThan(GROWTH_KB);
  expect((await host.get('/healthz')).status).toBe(200);
});
