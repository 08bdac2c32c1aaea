/** Applications in a backup over real TLS: a guest names them, reports them, and reads the label that follows. */
import { Value } from 'typebox/value';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { createEventHub } from '#agent/http/event-hub';
import { guestHandlers } from '#agent/http/guest-handlers';
import { BackupStatus, type HeldApp } from '#shared/wire/backups';
import type { GuestEvent } from '#shared/wire/events';
import { clearFaults } from '../pve/vzdump/faults.ts';
import { type Answer, onNode, startTestAgent, type TestAgent } from './agent-http-helpers.ts';
import { startNode } from './backups-node.ts';

/** A container with two volumes, and a virtual machine that nothing freezes. */
const [CT, VM] = [202, 302];
const said = (app: string, held = true, covered = true): HeldApp => ({ app, held, held_ms: held ? 700 : 0, covered });
const GOOD = [said('db'), said('web')];
const IDLE = {
  disks: {} as never,
  formats: {} as never,
  ops: {} as never,
  metrics: {} as never,
  storage: {} as never,
  agent: {} as never,
};

let node: Awaited<ReturnType<typeof startNode>>;
let backing: Awaited<ReturnType<(typeof node)['startAgent']>>;
let agent: TestAgent;
let tokens: Record<number, string>;
let listed: (vmid: number) => Promise<{ label: string; volid: string }[]>;
beforeAll(async () => {
  node = await startNode();
  backing = await node.startAgent();
  agent = await startTestAgent({ resources: async () => ({ guests: [onNode(CT), onNode(VM)], storages: [] }) });
  tokens = { [CT]: await agent.enroll(CT), [VM]: await agent.enroll(VM) };
  const { duty, problems } = backing;
  const events = createEventHub({ backups: backing, problems, formats: { onChange: () => undefined } });
  const handlers = guestHandlers({ ...IDLE, duty, backups: backing, archives: backing.archives, problems, events });
  Object.assign(agent.handlers, handlers);
  listed = async (vmid) => (await get(vmid, '/backups')).json.data.backups;
});
afterAll(async () => {
  await agent.close();
  await node.close();
});
afterEach(() => clearFaults(node.pve.vzdumpFaults));

const get = (vmid: number, path: string): Promise<Answer> => agent.ask(path, { token: tokens[vmid] });
const post = (vmid: number, path: string, body: unknown): Promise<Answer> =>
  agent.ask(path, { token: tokens[vmid], method: 'POST', body });
const held = (vmid: number, jobId: string, apps: unknown): Promise<Answer> => post(vmid, `/backup/${jobId}/held`, { apps });
const coded = ({ status, json }: Answer) => [status, json.code];

const until = async (vmid: number, holds: (status: BackupStatus) => boolean): Promise<BackupStatus> => {
  for (let tries = 0, after = ''; tries < 100; tries += 1) {
    const { json } = await get(vmid, `/backup/status?wait=1&after=${after}`);
    expect(Value.Errors(BackupStatus, json.data)).toEqual([]);
    if (holds(json.data)) return json.data;
    after = json.data.revision;
  }
  throw new Error('in vain');
};
/** As a guest asks for it; by itself it may so only twice a day. */
const ask = async (vmid: number, body: { request_id?: string; intends: string[] }): Promise<string> => {
  const answer = await post(vmid, '/backup', body);
  expect(coded(answer)).toEqual([202, '']);
  return answer.json.data.job_id;
};
/** Without a look at whose turn it is. */
const begin = async (vmid: number, intends: string[]): Promise<string> => {
  const order = { vmid, requestId: null, source: 'schedule', mode: 'snapshot', configDigest: '', intends } as const;
  return (await backing.begin({ ...order, intends })).jobId;
};
const atPoint = (vmid: number) => until(vmid, ({ consistency_point_at }) => consistency_point_at !== null);
const atEnd = (vmid: number) => until(vmid, ({ phase }) => phase !== 'running');
const problemsOf = async (vmid: number): Promise<string[]> =>
  (await get(vmid, '/problems')).json.data.problems.map(({ code }: { code: string }) => code);

test('named at the start, reported after the point: the archive is `app` everywhere it is shown', async () => {
  const leave = new AbortController();
  const events: GuestEvent[] = [];
  const following = agent.handlers.getEvents(
    { guest: { vmid: CT, scopes: ['backup'] }, signal: leave.signal } as never,
    (event: GuestEvent) => void events.push(event),
  );
  node.pve.vzdumpFaults.copyMs = 500;
  const jobId = await ask(CT, { request_id: 'r-app', intends: ['db', 'web', 'db'] });
  expect(await ask(CT, { request_id: 'r-app', intends: ['other'] })).toBe(jobId);
  expect(await ask(CT, { intends: ['other'] })).toBe(jobId);
  expect(await atPoint(CT)).toMatchObject({ intends: ['db', 'web'], apps: null, one_instant: true, label: null });
  const answer = await held(CT, jobId, [...GOOD, said('extra', false)]);
  expect([answer.status, answer.json]).toEqual([200, { ok: true, data: { vmid: CT, job_id: jobId }, error: '', code: '' }]);
  expect(coded(await held(CT, jobId, GOOD))).toEqual([200, '']);
  expect(coded(await held(CT, jobId, [said('db', false)]))).toEqual([409, 'held-too-late']);
  const status = await atEnd(CT);
  expect(status).toMatchObject({ phase: 'done', label: 'app', apps: GOOD, intends: ['db', 'web'] });
  expect(coded(await held(CT, jobId, GOOD))).toEqual([200, '']);
  expect(coded(await held(CT, jobId, []))).toEqual([409, 'held-too-late']);
  await expect.poll(async () => (await listed(CT)).find(({ volid }) => volid === status.archive)?.label).toBe('app');
  expect(await problemsOf(CT)).not.toContain('app-not-consistent');
  leave.abort();
  await following;
  const jobs = events.flatMap(({ event, data }) => (event === 'job' ? [data] : []));
  expect(jobs.find(({ apps }) => apps !== null)).toMatchObject({
    job_id: jobId,
    phase: 'running',
    apps: GOOD,
    one_instant: true,
  });
  expect(jobs.at(-1)).toMatchObject({ phase: 'done', label: 'app' });
});

test.each<[string, number, HeldApp[] | null, string]>([
  ['one was not held', CT, [said('db', false), said('web')], 'filesystem'],
  ['one lies on a bind mount', CT, [said('db', true, false), said('web')], 'filesystem'],
  ['one was forgotten', CT, [said('web')], 'filesystem'],
  ['disk after disk, held meanwhile', VM, GOOD, 'app'],
  ['disk after disk, one was not held', VM, [said('db', false), said('web')], 'crash'],
])('%s', async (_what, vmid, apps, label) => {
  node.pve.vzdumpFaults.copyMs = 300;
  const jobId = await begin(vmid, ['db', 'web']);
  expect(await atPoint(vmid)).toMatchObject({ one_instant: vmid === CT });
  expect(coded(await held(vmid, jobId, apps))).toEqual([200, '']);
  expect(await atEnd(vmid)).toMatchObject({ phase: 'done', label });
  await expect.poll(() => problemsOf(vmid)).toEqual(label === 'app' ? [] : ['app-not-consistent']);
});

test('a copy that is over at once waits for the report', async () => {
  const jobId = await begin(CT, ['db']);
  await atPoint(CT);
  await new Promise((resolve) => setTimeout(resolve, 1500));
  expect((await get(CT, '/backup/status')).json.data).toMatchObject({ phase: 'running' });
  expect(coded(await held(CT, jobId, [said('db')]))).toEqual([200, '']);
  expect(await atEnd(CT)).toMatchObject({ label: 'app' });
});

test('nothing is reported: 15 s after the point it is what the mode proves', { timeout: 40_000 }, async () => {
  const jobId = await begin(CT, ['db']);
  const { consistency_point_at } = await atPoint(CT);
  const status = await atEnd(CT);
  expect(status).toMatchObject({ phase: 'done', label: 'filesystem', apps: null });
  const waited = Date.parse(status.finished_at ?? '') - Date.parse(consistency_point_at ?? '');
  expect(waited).toBeGreaterThan(14_000);
  expect(waited).toBeLessThan(18_000);
  expect(coded(await held(CT, jobId, [said('db')]))).toEqual([409, 'held-too-late']);
});

test('wording that nobody knows: never more than `crash`, whatever is reported', async () => {
  node.pve.vzdumpFaults.unknownWording = (line) => (line.startsWith('TASK') ? line : line.replace(/[aeiou]/g, 'o'));
  node.pve.vzdumpFaults.copyMs = 1500;
  const jobId = await begin(CT, ['db']);
  expect(coded(await held(CT, jobId, [said('db')]))).toEqual([409, 'held-too-early']);
  expect(await atEnd(CT)).toMatchObject({ phase: 'done', label: 'crash', apps: null, one_instant: null });
  expect(coded(await held(CT, jobId, [said('db')]))).toEqual([409, 'held-too-late']);
});

test('the fallback to suspend mode is `crash`, whatever is reported', async () => {
  node.pve.vzdumpFaults.suspend = true;
  node.pve.vzdumpFaults.copyMs = 300;
  const jobId = await begin(CT, ['db']);
  await atPoint(CT);
  expect(coded(await held(CT, jobId, [said('db')]))).toEqual([200, '']);
  expect(await atEnd(CT)).toMatchObject({ phase: 'done', label: 'crash', mode: 'suspend', one_instant: false });
});

describe('refused', () => {
  test('too early, of another guest, of a job that nobody knows', async () => {
    node.pve.vzdumpFaults.hang = 'suspend vm to make snapshot';
    const jobId = await begin(CT, ['db']);
    await until(CT, ({ mode }) => mode !== null);
    const answers = [await held(CT, jobId, GOOD), await held(VM, jobId, GOOD), await held(CT, 'x', GOOD)];
    expect(answers.map(coded)).toEqual([
      [409, 'held-too-early'],
      [404, 'not-found'],
      [404, 'not-found'],
    ]);
    for (const { json } of answers)
      expect(json).toMatchObject({ ok: false, data: null, error: expect.stringMatching(/\w.*\.$/) });
    clearFaults(node.pve.vzdumpFaults);
    await atPoint(CT);
    expect(coded(await held(CT, jobId, [said('db')]))).toEqual([200, '']);
    expect(await atEnd(CT)).toMatchObject({ label: 'app' });
  });

  test.each<[string, unknown]>([
    ['no list', undefined],
    ['a text', 'db'],
    ['a name with a slash', [said('a/b')]],
    ['an empty name', [said('')]],
    ['a long name', [said('a'.repeat(64))]],
    ['held in words', [{ ...said('db'), held: 'true' }]],
    ['no word on the archive', [{ app: 'db', held: true, held_ms: 1 }]],
    ['a time before the hold', [{ ...said('db'), held_ms: -1 }]],
    ['half a millisecond', [{ ...said('db'), held_ms: 0.5 }]],
    ['65 applications', Array.from({ length: 65 }, (_none, index) => said(`app${index}`))],
  ])('%s', async (_what, apps) => {
    expect(coded(await held(CT, 'x', apps))).toEqual([400, 'invalid-request']);
  });

  test.each<[string, unknown]>([
    ['a text', 'db'],
    ['a path', ['../db']],
    ['numbers', [1]],
    ['65 names', Array.from({ length: 65 }, (_none, index) => `app${index}`)],
  ])('a start that intends %s', async (_what, intends) => {
    const before = node.vzdumpPosts();
    expect(coded(await post(CT, '/backup', { intends }))).toEqual([400, 'invalid-request']);
    expect(node.vzdumpPosts()).toBe(before);
  });

  test('64 applications fit, in the request, the status and the events', async () => {
    const names = Array.from({ length: 64 }, (_none, index) => `${'a'.repeat(60)}${index}`);
    node.pve.vzdumpFaults.copyMs = 300;
    const jobId = await ask(VM, { intends: names });
    await atPoint(VM);
    expect(
      coded(
        await held(
          VM,
          jobId,
          names.map((name) => said(name)),
        ),
      ),
    ).toEqual([200, '']);
    const status = await atEnd(VM);
    expect([status.label, status.apps?.length, status.intends]).toEqual(['app', 64, names]);
  });
});
