/** Who may ask: tokens, rotation, revocation, limits, instances. */
import { randomUUID } from 'node:crypto';
import { afterEach, expect, test } from 'vitest';
import type { Guests } from '#agent/guests/service';
import type { Clock } from '#shared/clock';
import { onNode, startTestAgent, type TestAgent } from './agent-http-helpers.ts';

let agent: TestAgent;
afterEach(() => agent.close());

/** Real timers, times that a test moves. */
const movable = () => {
  let offset = 0;
  const clock: Clock = {
    now: () => Date.now() + offset,
    monotonic: () => performance.now() + offset,
    after: (ms, call) => {
      const timer = setTimeout(call, ms);
      return () => clearTimeout(timer);
    },
  };
  const move = (ms: number): void => {
    offset += ms;
  };
  return { clock, move };
};

const secretOf = (token: string) => token.slice(token.indexOf('_', 4) + 1);

test('each way in which a token is refused has its code', async () => {
  const { clock, move } = movable();
  agent = await startTestAgent({ clock });
  const first = await agent.enroll(101);
  expect((await agent.ask('/identity', { token: first })).json).toMatchObject({
    ok: true,
    data: { vmid: 101 },
    error: '',
    code: '',
  });

  const code = async (token: string | undefined, headers = {}) => {
    const { status, json } = await agent.ask('/identity', { token, headers });
    return [status, json.ok, json.data, json.code];
  };
  expect(await code(undefined)).toEqual([401, false, null, 'token-missing']);
  expect(await code(undefined, { authorization: 'Basic Zm9v' })).toEqual([401, false, null, 'token-missing']);
  expect(await code(`${first.slice(0, -4)}AAAA`)).toEqual([401, false, null, 'token-unknown']);
  expect(await code('nonsense')).toEqual([401, false, null, 'token-unknown']);
  expect(await code(`fht_102_${secretOf(first)}`)).toEqual([401, false, null, 'token-wrong-guest']);

  const second = (await agent.guests.rotate(101, 3600)).bootstrap.token;
  expect((await code(first))[0]).toBe(200);
  expect(agent.guests.list().guests).toMatchObject([{ vmid: 101, state: 'rotating' }]);
  move(3_600_001);
  expect(await code(first)).toEqual([401, false, null, 'token-superseded']);
  expect((await code(second))[0]).toBe(200);

  const third = (await agent.guests.rotate(101, 0)).bootstrap.token;
  expect(await code(second)).toEqual([401, false, null, 'token-superseded']);
  await agent.guests.revoke(101);
  expect(await code(third)).toEqual([401, false, null, 'token-revoked']);
  expect(agent.guests.list().guests).toMatchObject([{ vmid: 101, state: 'revoked' }]);

  const anew = await agent.enroll(101);
  expect((await code(anew))[0]).toBe(200);
  expect(await code(third)).toEqual([401, false, null, 'token-revoked']);
  await agent.guests.remove(101);
  expect(await code(anew)).toEqual([401, false, null, 'token-unknown']);
});

test('a refused token is told with WWW-Authenticate (RFC 9110, 11.6.1)', async () => {
  agent = await startTestAgent();
  expect((await agent.ask('/identity')).headers['www-authenticate']).toBe('Bearer');
});

test('no token, and no part of one, is in the database, the journal or the audit', async () => {
  agent = await startTestAgent();
  const tokens = [await agent.enroll(101), (await agent.guests.rotate(101, 60)).bootstrap.token];
  await agent.ask('/identity', { token: `fht_102_${secretOf(tokens[0] ?? '')}` });
  const kept = JSON.stringify([
    await agent.store.all('SELECT * FROM guests'),
    await agent.store.all('SELECT hex(hash), quote(hash), vmid, state FROM tokens'),
    await agent.store.all('SELECT * FROM audit'),
    agent.journal,
  ]);
  for (const token of tokens) expect(kept).not.toContain(secretOf(token));
  const audit = await agent.store.all<{ what: string }>('SELECT what FROM audit ORDER BY id');
  expect(audit.map(({ what }) => what)).toEqual(['guest-enrolled', 'token-rotated']);
});

test.each<[string, string, (guests: Guests) => Promise<unknown>]>([
  ['revoking', 'token-revoked', (guests) => guests.revoke(101)],
  ['removing', 'token-revoked', (guests) => guests.remove(101)],
  ['rotating without an overlap', 'token-superseded', (guests) => guests.rotate(101, 0)],
])('%s ends a held answer within a second, with 401 %s, and its handler sees the signal', async (_how, code, change) => {
  agent = await startTestAgent();
  const token = await agent.enroll(101);
  let aborted = false;
  let held = 0;
  agent.handlers.getBackupStatus = ({ signal }) =>
    new Promise((_resolve, reject) => {
      held += 1;
      signal.addEventListener('abort', () => {
        aborted = true;
        reject(new Error('aborted'));
      });
    });
  const asked = agent.ask('/backup/status?wait=8', { token });
  await expect.poll(() => held).toBe(1);
  const since = Date.now();
  await change(agent.guests);
  const { status, json } = await asked;
  expect([status, json.code]).toEqual([401, code]);
  expect(Date.now() - since).toBeLessThan(1000);
  expect(aborted).toBe(true);
  expect(agent.journal.filter(({ level }) => level === 'error')).toEqual([]);
});

test('a revocation does not wait for an enrolment whose Proxmox is silent, and two enrolments make one token', async () => {
  let silent = false;
  let answer = (): void => undefined;
  const proxmox = new Promise<void>((resolve) => {
    answer = resolve;
  });
  agent = await startTestAgent({
    resources: async () => {
      if (silent) await proxmox;
      return { guests: [onNode(101), onNode(102)], storages: [] };
    },
  });
  const token = await agent.enroll(101);
  silent = true;
  const waiting = [agent.enroll(102), agent.enroll(102)];
  await agent.guests.revoke(101);
  expect((await agent.ask('/identity', { token })).json.code).toBe('token-revoked');
  answer();
  const ended = await Promise.allSettled(waiting);
  expect(ended.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
  await expect(waiting[1]).rejects.toMatchObject({ code: 'guest-already-enrolled' });
});

test('a client that goes away ends its held answer', async () => {
  agent = await startTestAgent();
  const token = await agent.enroll(101);
  let held = 0;
  const gone = new Promise<void>((resolve) => {
    agent.handlers.getBackupStatus = ({ signal }) =>
      new Promise((_resolve, reject) => {
        held += 1;
        signal.addEventListener('abort', () => {
          resolve();
          reject(new Error('aborted'));
        });
      });
  });
  const leave = new AbortController();
  const asked = agent.ask('/backup/status?wait=8', { token, signal: leave.signal });
  await expect.poll(() => held).toBe(1);
  leave.abort();
  await expect(asked).rejects.toThrow();
  await gone;
  expect((await agent.ask('/identity', { token })).status).toBe(200);
});

test('a token has its requests a second and no more; another guest is not touched', async () => {
  const { clock, move } = movable();
  agent = await startTestAgent({ clock, limits: { requestsPerSecond: 5, streams: 4 } });
  const [one, other] = [await agent.enroll(101), await agent.enroll(102)];
  const statuses: number[] = [];
  for (let i = 0; i < 12; i++) statuses.push((await agent.ask('/identity', { token: one })).status);
  expect(statuses.slice(0, 5)).toEqual([200, 200, 200, 200, 200]);
  expect(statuses).toContain(429);
  expect((await agent.ask('/identity', { token: other })).status).toBe(200);
  expect((await agent.ask('/identity', { token: one })).json.code).toMatch(/^(rate-limited|)$/);
  move(1000);
  expect((await agent.ask('/identity', { token: one })).status).toBe(200);
  // A reload takes effect at once.
  agent.limits.requestsPerSecond = 1000;
  move(1000);
  const many = await Promise.all(Array.from({ length: 50 }, () => agent.ask('/identity', { token: one })));
  expect(many.every(({ status }) => status === 200)).toBe(true);
});

test('a token has its streams and no more, and gets them back', async () => {
  agent = await startTestAgent({ limits: { requestsPerSecond: 1000, streams: 2 } });
  const token = await agent.enroll(101);
  const release: (() => void)[] = [];
  agent.handlers.getBackupStatus = () => new Promise((_resolve, reject) => release.push(() => reject(new Error('released'))));
  const held = [agent.ask('/backup/status?wait=8', { token }), agent.ask('/backup/status?wait=8', { token })];
  await expect.poll(() => release.length).toBe(2);
  expect((await agent.ask('/backup/status?wait=8', { token })).json.code).toBe('too-many-streams');
  const plain = agent.ask('/backup/status', { token });
  await expect.poll(() => release.length).toBe(3);
  release[2]?.();
  expect((await plain).json.code).not.toBe('too-many-streams');
  for (const one of release.splice(0)) one();
  await Promise.all(held);
  const again = agent.ask('/backup/status?wait=8', { token });
  await expect.poll(() => release.length).toBe(1);
  release[0]?.();
  await again;
});

test('floods of bad tokens are limited by source, and never a valid token from the same source', async () => {
  agent = await startTestAgent();
  const token = await agent.enroll(101);
  const codes: string[] = [];
  for (let i = 0; i < 25; i++) codes.push((await agent.ask('/identity', { token: `fht_101_${'A'.repeat(43)}` })).json.code);
  expect(codes.slice(0, 20)).toEqual(Array(20).fill('token-unknown'));
  expect(codes.slice(20)).toEqual(Array(5).fill('rate-limited'));
  expect((await agent.ask('/identity', { token })).status).toBe(200);
  // Not one line a try.
  expect(agent.journal.filter(({ sentence }) => sentence.includes('bad tokens'))).toHaveLength(1);
});

test('a second controller with the same token is told that it is a copy', async () => {
  const { clock, move } = movable();
  agent = await startTestAgent({ clock });
  const token = await agent.enroll(101);
  const as = async (instance: string | undefined) => {
    const { status, json } = await agent.ask('/identity', {
      token,
      headers: instance === undefined ? {} : { 'felhom-instance': instance },
    });
    return [status, json.code];
  };
  const [original, copy] = [randomUUID(), randomUUID()];
  expect(await as(original)).toEqual([200, '']);
  expect(await as(copy)).toEqual([409, 'duplicate-instance']);
  expect(await as(undefined)).toEqual([200, '']);
  move(59_000);
  expect(await as(original)).toEqual([200, '']);
  move(59_000);
  expect(await as(copy)).toEqual([409, 'duplicate-instance']);
  move(2000);
  expect(await as(copy)).toEqual([200, '']);
  expect(await as('not a uuid')).toEqual([400, 'invalid-request']);
});

test('guests and tokens are the same after a restart of the service', async () => {
  agent = await startTestAgent();
  const token = await agent.enroll(101);
  const former = token;
  const newer = (await agent.guests.rotate(101, 0)).bootstrap.token;
  const { createGuests } = await import('#agent/guests/service');
  const again = await createGuests({
    store: agent.store,
    proxmox: { node: 'pve1', resources: async () => ({ guests: [], storages: [] }) },
    clock: { now: () => Date.now(), monotonic: () => performance.now(), after: () => () => undefined },
    journal: () => undefined,
    limits: () => agent.limits,
    endpoints: () => [],
  });
  const enter = (token: string) => again.authenticate({ authorization: `Bearer ${token}`, instance: undefined, source: '::1' });
  expect(enter(newer).vmid).toBe(101);
  expect(() => enter(former)).toThrow(expect.objectContaining({ code: 'token-superseded' }));
});
