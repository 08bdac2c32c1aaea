import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { systemClock } from '#controller/ports/clock';
import { askStatus, type Quiesced, quiescedAt } from '#controller/ports/quiesced';
import { type ManualClock, manualClock } from '../manual-clock.ts';

let dir = '';
let server: Server;
let peers: Socket[] = [];
/** What the other side does with a line. */
let answer: (line: { id: number; verb: string }, socket: Socket) => void;
const at = () => join(dir, 's');

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'felhom-q-'));
  peers = [];
  answer = () => undefined;
  server = createServer((socket) => {
    peers.push(socket);
    socket.on('error', () => undefined);
    socket.on('data', (chunk) => {
      for (const line of chunk.toString().split('\n').filter(Boolean)) answer(JSON.parse(line), socket);
    });
  });
  await new Promise<void>((resolve) => server.listen(at(), resolve));
});
afterEach(async () => {
  for (const peer of peers) peer.destroy();
  await new Promise((resolve) => server.close(resolve));
  await rm(dir, { recursive: true, force: true });
});

const open = async (clock: ManualClock | typeof systemClock = systemClock): Promise<Quiesced> => {
  const connected = await quiescedAt(at(), clock)();
  if (!connected.ok) throw new Error(connected.error);
  return connected.data;
};
const send = (socket: Socket, value: object) => socket.write(`${JSON.stringify(value)}\n`);
const turn = () => new Promise((resolve) => setTimeout(resolve, 20));

test('answers go to the requests they are for, in whatever order and pieces they come', async () => {
  const lines: { id: number; verb: string }[] = [];
  answer = (line, socket) => {
    if (lines.push(line) < 2) return;
    const [check, release] = lines;
    const text = [
      { id: release?.id, ok: true, data: { apps: [{ app: 'db', back: true, held_ms: 5, error: '' }] } },
      { id: check?.id, ok: false, code: 'invalid', error: 'Not now.' },
    ]
      .map((one) => `${JSON.stringify(one)}\n`)
      .join('');
    socket.write(text.slice(0, 30));
    setTimeout(() => socket.write(text.slice(30)), 5);
  };
  const quiesced = await open();
  const [check, release] = await Promise.all([
    quiesced.call('check', {}, { timeoutMs: 5000 }),
    quiesced.call('release', {}, { timeoutMs: 5000 }),
  ]);
  expect(check).toEqual({ ok: false, code: 'invalid', error: 'Not now.' });
  expect(release).toMatchObject({ ok: true, data: { apps: [{ app: 'db', held_ms: 5 }] } });
  expect(lines.map(({ verb }) => verb)).toEqual(['check', 'release']);
  quiesced.close();
});

test.each([
  ['no JSON', 'hello\n'],
  ['no answer', '{"id":1}\n'],
  ['no list of applications', '{"id":1,"ok":true,"data":{"apps":[5]}}\n'],
  ['an endless line', `${'x'.repeat(300_000)}`],
])('%s: the connection is ended, the call says so', async (_what, text) => {
  answer = (_line, socket) => socket.write(text);
  const quiesced = await open();
  expect(await quiesced.call('check', {}, { timeoutMs: 5000 })).toMatchObject({ ok: false, code: 'unreadable' });
  expect(quiesced.isOpen()).toBe(false);
  expect(await quiesced.call('release', {}, { timeoutMs: 5000 })).toMatchObject({ ok: false, code: 'unreadable' });
});

test('the other side goes: every call that waits says that nothing is held', async () => {
  answer = (_line, socket) => socket.destroy();
  const quiesced = await open();
  expect(await quiesced.call('hold', { apps: ['db'], hold_expected_ms: null, flush: false }, { timeoutMs: 5000 })).toEqual({
    ok: false,
    code: 'closed',
    error: 'felhom-quiesced has ended the connection; nothing is held any more.',
  });
  expect(quiesced.isOpen()).toBe(false);
});

test('closing ends the connection', async () => {
  const quiesced = await open();
  await turn();
  const gone = new Promise((resolve) => peers[0]?.once('close', resolve));
  quiesced.close();
  await gone;
});

test('no answer in time; a later one is for nobody, and the next call works', async () => {
  const clock = manualClock();
  const lines: { id: number }[] = [];
  answer = (line, socket) => {
    lines.push(line);
    if (line.verb === 'release') for (const { id } of lines) send(socket, { id, ok: true, data: { apps: [] } });
  };
  const quiesced = await open(clock);
  const check = quiesced.call('check', {}, { timeoutMs: 2000 });
  await turn();
  await clock.advance(2000);
  expect(await check).toMatchObject({ ok: false, code: 'timeout' });
  expect(await quiesced.call('release', {}, { timeoutMs: 2000 })).toMatchObject({ ok: true });
  expect(clock.timers()).toBe(0);
  quiesced.close();
});

test('frozen past the time-out with the answer waiting: the answer counts', async () => {
  const clock = manualClock();
  let socket: Socket | undefined;
  answer = (_line, from) => {
    socket = from;
  };
  const quiesced = await open(clock);
  const check = quiesced.call('check', {}, { timeoutMs: 2000 });
  await turn();
  const frozen = clock.freeze(60_000);
  send(socket as Socket, { id: 1, ok: true, data: { apps: [] } });
  await frozen;
  expect(await check).toMatchObject({ ok: true });
  quiesced.close();
});

test('given up', async () => {
  const quiesced = await open();
  const giveUp = new AbortController();
  const call = quiesced.call('prepare', { apps: [], within_ms: 5 }, { timeoutMs: 5000, signal: giveUp.signal });
  giveUp.abort();
  expect(await call).toMatchObject({ ok: false, code: 'cancelled' });
  quiesced.close();
});

test('nobody listens', async () => {
  expect(await quiescedAt(join(dir, 'none'), systemClock)()).toMatchObject({
    ok: false,
    code: 'unreachable',
    error: expect.stringContaining('ENOENT'),
  });
});

test('what it says of itself', async () => {
  answer = ({ id }, socket) => send(socket, { id, ok: true, data: { version: '1', apps: [{ name: 'db' }] } });
  expect(await askStatus(quiescedAt(at(), systemClock))).toMatchObject({ ok: true, data: { version: '1' } });
});
