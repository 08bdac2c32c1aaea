/** T21: a client in the field, unchanged, and every refusal of every call about drives: none is taken for success, and each 403 has its way forward. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { GuestHandlers } from '#agent/http/routes';
import { ERROR_STATUS, type ErrorCode, FelhomError, type RefusalDetails } from '#shared/errors';
import type { Formatted } from '#shared/wire/disks';
import { type Address, type Answer, call } from '../stranger/client.ts';
import { type JudgedFormat, judgeCall, judgeFormat } from '../stranger/field-disks.ts';
import { startTestAgent, type TestAgent } from './agent-http-helpers.ts';

const CODES = Object.keys(ERROR_STATUS) as ErrorCode[];
const SENTENCE = 'This drive is in use. Nothing was erased. End that use, then ask again.';
const PENDING = {
  id: 'op-7h2k9m4x0abc',
  op: 'storage_wipe',
  hostScope: 'pve1-k3v7q2m5xw8r4t6y9zbc',
  durableId: 'byid:backup.Elements.WX12.500107862016.0123456789abcdefghjkmnpqrs',
  fstype: 'ext4',
  device: '/dev/sdd',
} as const;
const CONFIRM = { durableId: 'byid:user-data.T5.S46X.500107862016.0123456789abcdefghjkmnpqrs', device: '/dev/sdb' };

let agent: TestAgent;
let address: Address;

beforeAll(async () => {
  agent = await startTestAgent();
  const token = await agent.enroll(101);
  address = { host: '127.0.0.1', port: agent.port, fingerprint: agent.fingerprint, token };
});
afterAll(() => agent.close());

const BODIES = {
  '/disks/assign': { uuid: '6f9619ff-8b86-4d01-b42d-00cf4fc964ff', where: '/mnt/felhom/photos', fstype: 'ext4', options: '' },
  '/disks/eject': { where: '/mnt/felhom/photos' },
  '/disks/format': { device: 'sdb', fstype: 'ext4' },
} as const;
type Post = keyof typeof BODIES;
const HANDLERS = { '/disks/assign': 'assignDisk', '/disks/eject': 'ejectDisk', '/disks/format': 'formatDisk' } as const;

const throwing =
  (code: ErrorCode, details: RefusalDetails = {}) =>
  () => {
    throw new FelhomError(code, SENTENCE, new Error('stderr of a program, for the log'), details);
  };

const post = (path: Post, body: unknown = BODIES[path], headers: Record<string, string> = {}, at = address): Promise<Answer> =>
  call(at, 'POST', path, body, headers);

const refusing = async (path: Post, code: ErrorCode, details?: RefusalDetails): Promise<Answer> => {
  agent.handlers[HANDLERS[path]] = throwing(code, details);
  return post(path);
};

/** What a client with a token of this kind gets as a status of its own, whatever it asked. */
const OWN_STATUS = [401, 429];

describe('a service that refuses, with every code there is', () => {
  test('format: at any status its data says that nothing was formatted, and why; no 403 without a way forward', async () => {
    for (const code of CODES) {
      const answer = await refusing('/disks/format', code);
      expect(judgeFormat(answer), code).toEqual({ kind: 'refused', reason: SENTENCE });
      expect(answer.json, code).toEqual({
        ok: false,
        data: { vmid: 101, device: 'sdb', formatted: false, data_bearing: true, reason: SENTENCE },
        error: SENTENCE,
        code,
      });
      const { [code]: status } = ERROR_STATUS;
      expect(answer.status, code).toBe(status === 400 ? 422 : status === 403 ? 409 : status);
    }
  });

  test('format: a drive that has to be confirmed, and one that the operator has to permit', async () => {
    for (const code of ['needs-confirmation', 'operator-needed', 'scope-missing', 'drive-in-use'] as const) {
      const confirm = await refusing('/disks/format', code, { needsConfirmation: CONFIRM });
      expect([confirm.status, judgeFormat(confirm)]).toEqual([403, { kind: 'needs-confirmation', durableId: CONFIRM.durableId }]);
      const operator = await refusing('/disks/format', code, { pendingOp: PENDING });
      const command = `felhom-opsign -op storage_wipe -host ${PENDING.hostScope} -durable-id ${PENDING.durableId}`;
      expect([operator.status, judgeFormat(operator)]).toEqual([403, { kind: 'needs-operator', command }]);
      for (const { json } of [confirm, operator]) {
        expect(json.ok).toBe(false);
        expect(json.data).toMatchObject({ vmid: 101, formatted: false, data_bearing: true, reason: SENTENCE });
      }
      expect(confirm.json.data).toMatchObject({ device: '/dev/sdb', needs_confirmation: true });
      expect(operator.json.data).toMatchObject({ device: '/dev/sdd', pending_op: { id: PENDING.id, fstype: 'ext4' } });
    }
  });

  test.each(['/disks/assign', '/disks/eject'] as const)('%s: a 200 with its sentence', async (path) => {
    for (const code of CODES) {
      const answer = await refusing(path, code, { dependentGuests: [102] });
      const own = OWN_STATUS.find((status) => status === ERROR_STATUS[code]);
      expect(judgeCall(answer), code).toEqual({ kind: 'error', text: own === undefined ? SENTENCE : `HTTP ${own}` });
      const data = path === '/disks/eject' ? { vmid: 101, ejected: false, dependent_guests: [102] } : null;
      expect(answer.json, code).toEqual({ ok: false, data, error: SENTENCE, code });
    }
  });

  test.each([
    ['/disks', 'listDisks'],
    ['/ops', 'listOps'],
  ] as const)('GET %s: a sentence where nothing could be asked, never an empty list', async (path, handler) => {
    for (const code of CODES) {
      (agent.handlers as Record<keyof GuestHandlers, unknown>)[handler] = throwing(code);
      const answer = await call(address, 'GET', path);
      const { [code]: status } = ERROR_STATUS;
      const isSaid = status === 409 && code !== 'duplicate-instance';
      expect(judgeCall(answer), code).toEqual({ kind: 'error', text: isSaid ? SENTENCE : `HTTP ${status}` });
      expect(answer.json.data, code).toBeNull();
    }
  });
});

describe('a request that never gets to a service', () => {
  const NOTHING = { formatted: false, data_bearing: true };

  const nothingWasDone = (path: Post, answer: Answer): void => {
    if (path !== '/disks/format') {
      expect(judgeCall(answer).kind, path).toBe('error');
      return;
    }
    expect(judgeFormat(answer), answer.text).toEqual({ kind: 'refused', reason: answer.json.error });
    expect(answer.json.data).toMatchObject(NOTHING);
    expect([200, 202, 403]).not.toContain(answer.status);
  };

  const unreached = (path: Post) => {
    agent.handlers[HANDLERS[path]] = () => {
      throw new Error('it got to the service');
    };
  };

  const PATHS = Object.keys(BODIES) as Post[];

  test.each<[string, (path: Post) => Promise<Answer>, number]>([
    ['no body', (path) => call(address, 'POST', path), 422],
    ['an empty object', (path) => post(path, {}), 422],
    ['a list', (path) => post(path, []), 422],
    ['null', (path) => post(path, null), 422],
    ['a number where a word belongs', (path) => post(path, { ...BODIES[path], device: 7, where: 7, fstype: 7 }), 422],
    ['a list where a word belongs', (path) => post(path, { device: ['sdb'], where: ['x'], fstype: ['ext4'] }), 422],
    ['a body of another type', (path) => post(path, BODIES[path], { 'content-type': 'text/plain' }), 415],
    ['a body that is too large', (path) => post(path, { ...BODIES[path], more: 'x'.repeat(20_000) }), 413],
    ['no token', (path) => post(path, undefined, {}, { ...address, token: '' }), 401],
    ['a token that is none', (path) => post(path, BODIES[path], {}, { ...address, token: `fht_101_${'A'.repeat(43)}` }), 401],
    [
      'the number of another guest',
      (path) => post(path, BODIES[path], {}, { ...address, token: address.token?.replace('_101_', '_102_') ?? '' }),
      401,
    ],
  ])('%s', async (_what, send, status) => {
    for (const path of PATHS) {
      unreached(path);
      const answer = await send(path);
      nothingWasDone(path, answer);
      if (path === '/disks/format') expect(answer.status).toBe(status);
      if (status === 422 && path !== '/disks/format') expect([answer.status, answer.json.code]).toEqual([200, 'invalid-request']);
    }
  });

  test.each([1, 0, 'true', 'yes', [true], {}, null])('"confirmed" that is %j', async (confirmed) => {
    unreached('/disks/format');
    nothingWasDone(
      '/disks/format',
      await post('/disks/format', { ...BODIES['/disks/format'], confirmed, durable_id: CONFIRM.durableId }),
    );
  });

  test('a copy of the guest', async () => {
    await call(address, 'GET', '/identity', undefined, { 'felhom-instance': randomUUID() });
    for (const path of PATHS) {
      unreached(path);
      const answer = await post(path, BODIES[path], { 'felhom-instance': randomUUID() });
      expect(answer.json.code).toBe('duplicate-instance');
      nothingWasDone(path, answer);
    }
  });

  test('a token without the right', async () => {
    const { authenticate } = agent.guests;
    agent.guests.authenticate = (asked) => ({ ...authenticate(asked), scopes: ['metrics', 'disks:read'] });
    try {
      for (const path of PATHS) {
        unreached(path);
        const answer = await post(path);
        expect(answer.json.code).toBe('scope-missing');
        nothingWasDone(path, answer);
      }
    } finally {
      agent.guests.authenticate = authenticate;
    }
  });

  test('a service that breaks', async () => {
    for (const path of PATHS) {
      unreached(path);
      const answer = await post(path);
      expect(answer.text).not.toContain('it got to the service');
      nothingWasDone(path, answer);
    }
  });

  test('too many requests', async () => {
    agent.limits.requestsPerSecond = 1;
    try {
      const answers = await Promise.all(Array.from({ length: 6 }, () => post('/disks/format')));
      const limited = answers.filter(({ status }) => status === 429);
      expect(limited.length).toBeGreaterThan(0);
      for (const answer of answers) nothingWasDone('/disks/format', answer);
      for (const path of ['/disks/assign', '/disks/eject'] as const) nothingWasDone(path, await post(path));
    } finally {
      agent.limits.requestsPerSecond = 100_000;
    }
  });
});

describe('a service that does it', () => {
  const reply = (change: Partial<Formatted>): Formatted => ({
    ...{ vmid: 101, device: 'sdb', formatted: true, data_bearing: false, reason: '', job_id: 'fmt-1', durable_id: 'uuid:1234' },
    ...change,
  });

  test.each<[string, Partial<Formatted>, number, JudgedFormat]>([
    ['done', {}, 200, { kind: 'formatted' }],
    ['begun', { formatted: false, durable_id: '' }, 202, { kind: 'under-way' }],
  ])('%s', async (_what, change, status, judged) => {
    agent.handlers.formatDisk = () => Promise.resolve(reply(change));
    const answer = await post('/disks/format');
    expect([answer.status, judgeFormat(answer)]).toEqual([status, judged]);
  });
});

test('the client in the field is as unkind as it is said to be', () => {
  const answer = (status: number, data: unknown): Answer => ({
    status,
    text: '',
    headers: {},
    json: { ok: false, data, error: 'Why.', code: 'x' },
  });
  for (const status of [200, 401, 404, 409, 429, 500])
    expect(judgeFormat(answer(status, null)).kind, `${status}`).toBe('mistaken');
  for (const data of [null, {}, { pending_op: null }, { pending_op: {} }, { needs_confirmation: true }])
    expect(judgeFormat(answer(403, data)).kind).toBe('mistaken');
  expect(judgeFormat(answer(202, {})).kind).toBe('under-way');
});
