/** Archives, coverage, problems and the duty over real TLS: what the services say reaches the guest, and a page of the longest is an answer. */
import { Value } from 'typebox/value';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Archive } from '#agent/archives/archive';
import { archivesView } from '#agent/archives/view';
import { guestHandlers } from '#agent/http/guest-handlers';
import { guestCoverage } from '#agent/storage/coverage';
import { FelhomError } from '#shared/errors';
import { Archives, Coverage } from '#shared/wire/archives';
import { BackupDue } from '#shared/wire/backups';
import { Problems } from '#shared/wire/problems';
import { startTestAgent, type TestAgent } from './agent-http-helpers.ts';

const LIMIT_BYTES = 512 * 1024;

let agent: TestAgent;
let token: string;
let failing: FelhomError | null;
beforeEach(() => {
  failing = null;
});
beforeAll(async () => {
  agent = await startTestAgent();
  token = await agent.enroll(101);
  const answer = <T>(value: T) => (failing === null ? Promise.resolve(value) : Promise.reject(failing));
  const unused = (): never => {
    throw new Error('unused');
  };
  const handlers = guestHandlers({
    duty: {
      due: (vmid) =>
        answer({
          vmid,
          due: true,
          reason: 'Now.',
          mode: 'snapshot',
          hold: true,
          hold_expected_seconds: 3,
          slot_expires_at: null,
          one_instant: true,
        }),
      start: (vmid, { request_id = '' }) => answer({ vmid, job_id: request_id, phase: 'running' }),
    },
    backups: { status: unused, reportHeld: unused },
    archives: { list: (vmid, query) => answer(archivesView(vmid, all, query, { now: 1e12, ageMs: 5000 })) },
    problems: {
      list: (vmid) => [
        { code: 'backup-overdue', severity: 'critical', vmid, sentence: 'Late.', evidence: '', nextStep: 'Wait.', since: 0 },
      ],
    },
    events: { follow: unused },
    disks: {} as never,
    formats: {} as never,
    ops: {} as never,
    metrics: { read: unused },
    storage: {
      list: unused,
      coverage: (vmid) => answer({ vmid, mounts: guestCoverage('lxc', { rootfs: 'a1:x', mp0: '/b,mp=/b' }), age_seconds: 1 }),
    },
    agent: {} as never,
  });
  Object.assign(agent.handlers, handlers);
});
afterAll(() => agent.close());

/** The longest that Proxmox lets be. */
const all: Archive[] = Array.from({ length: 2000 }, (_none, index) => ({
  volid: `${'s'.repeat(100)}:backup/vzdump-lxc-101-${index}${'x'.repeat(120)}.tar.zst`,
  vmid: 101,
  storage: 's',
  jobId: null,
  source: 'schedule',
  label: 'filesystem',
  createdAt: 1e12 - index * 86_400_000,
  sizeBytes: 2 ** 50,
  protected: true,
  notes: '€"'.repeat(4000),
  format: 'tar.zst',
  verification: 'failed',
  verifiedAt: 1e12,
  verificationError: 'The archive ends in the middle. '.repeat(8),
  provenAt: 1e12,
}));

test.each([undefined, '1', '99', '200'])('2,000 archives come in pages of %s, each of them an answer', async (limit) => {
  const seen: string[] = [];
  let after = '';
  do {
    const query = new URLSearchParams({ ...(limit === undefined ? {} : { limit }), ...(after === '' ? {} : { after }) });
    const { status, json, text } = await agent.ask(`/backups?${query}`, { token });
    expect([status, json.ok]).toEqual([200, true]);
    expect(Buffer.byteLength(text)).toBeLessThan(LIMIT_BYTES);
    expect(Value.Check(Archives, json.data)).toBe(true);
    seen.push(...json.data.backups.map(({ volid }: { volid: string }) => volid));
    after = json.data.next;
  } while (after !== '' && limit !== '1');
  expect(seen).toEqual(all.slice(0, limit === '1' ? 1 : 2000).map(({ volid }) => volid));
});

test.each(['0', '201', '1000', '-1', 'ten', ''])('a page of %s is refused', async (limit) => {
  expect((await agent.ask(`/backups?limit=${limit}`, { token })).status).toBe(400);
});

test('coverage, problems and the duty are answered for the caller', async () => {
  const [coverage, problems, due, started] = await Promise.all([
    agent.ask('/coverage', { token }),
    agent.ask('/problems', { token }),
    agent.ask('/backup/due', { token }),
    agent.ask('/backup', { token, method: 'POST', body: { request_id: 'r1' } }),
  ]);
  expect(Value.Errors(Coverage, coverage.json.data)).toEqual([]);
  expect(coverage.json.data.mounts).toMatchObject([{ state: 'in-backup' }, { state: 'bind', mount_point: '/b' }]);
  expect(Value.Errors(Problems, problems.json.data)).toEqual([]);
  expect(problems.json.data).toMatchObject({ vmid: 101, problems: [{ code: 'backup-overdue', vmid: 101, next_step: 'Wait.' }] });
  expect(Value.Errors(BackupDue, due.json.data)).toEqual([]);
  expect(due.json.data).toMatchObject({ vmid: 101, due: true, mode: 'snapshot', hold: true });
  expect([started.status, started.json.data]).toEqual([202, { vmid: 101, job_id: 'r1', phase: 'running' }]);
});

test.each(['/backups', '/coverage', '/backup/due'])(
  '%s: what could not be asked is ok:false in a 200, never an empty list',
  async (path) => {
    failing = new FelhomError('proxmox-unreachable', 'Proxmox does not answer.');
    const { status, json } = await agent.ask(path, { token });
    expect([status, json]).toEqual([
      200,
      { ok: false, data: null, error: 'Proxmox does not answer.', code: 'proxmox-unreachable' },
    ]);
  },
);

test.each([
  ['/backups', 403],
  ['/coverage', 403],
  ['/problems', 200],
])('a token without the scope "backup": %s is %i', async (path, expected) => {
  const { authenticate } = agent.guests;
  agent.guests.authenticate = (shown) => ({ ...authenticate(shown), scopes: ['metrics'] });
  const { status } = await agent.ask(path, { token });
  agent.guests.authenticate = authenticate;
  expect(status).toBe(expected);
});
