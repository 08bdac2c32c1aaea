/** Backups end to end on the agent's side: service, client, task log and database against the simulated node. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { clearFaults } from '../pve/vzdump/faults.ts';
import { startNode } from './backups-node.ts';

type Node = Awaited<ReturnType<typeof startNode>>;
type Agent = Awaited<ReturnType<Node['startAgent']>>;

let node: Node;
let agent: Agent;
beforeAll(async () => {
  node = await startNode();
  agent = await node.startAgent();
});
afterAll(() => node.close());
afterEach(() => {
  clearFaults(node.pve.vzdumpFaults);
  node.pve.faults.clear();
  node.pve.speed.lineDelayMs = 0;
});

test.each([
  [201, 'a container', { mode: 'snapshot', label: 'filesystem', frozen_seconds: null }],
  [202, 'a container with two volumes', { mode: 'snapshot', label: 'filesystem', frozen_seconds: expect.any(Number) }],
  [203, 'a container on a storage without snapshots', { mode: 'suspend', label: 'crash', frozen_seconds: expect.any(Number) }],
  [204, 'a stopped container', { mode: 'stop', label: 'stopped', frozen_seconds: null }],
  [301, 'a virtual machine with its agent', { mode: 'snapshot', label: 'filesystem' }],
  [302, 'a virtual machine without an agent', { mode: 'snapshot', label: 'crash' }],
  [303, 'a stopped virtual machine', { mode: 'stop', label: 'stopped' }],
])('%d: %s', async (vmid, _what, expected) => {
  const status = await agent.run(vmid);
  expect(status).toMatchObject({ vmid, phase: 'done', error: '', warnings: [], ...expected });
  expect(status.consistency_point_at).not.toBeNull();
  const archive = node.pve.world.storages.get('bak')?.archives.find(({ volid }) => volid === status.archive);
  expect(archive).toMatchObject({ vmid, size: status.size_bytes, notes: expect.stringContaining(`felhom job ${status.job_id}`) });
  expect(Date.parse(status.consistency_point_at ?? '')).toBeLessThanOrEqual(Date.parse(status.finished_at ?? ''));
});

test('the consistency point is published within 200 ms of its line, long before the end', { retry: 2 }, async () => {
  const written: Record<string, number> = {};
  node.pve.vzdumpFaults.copyMs = 800;
  node.pve.vzdumpFaults.onLine = (line, at) => {
    written[line] = at;
  };
  await agent.duty.run(202);
  const status = await agent.until(202, ({ consistency_point_at }) => consistency_point_at !== null);
  const answeredAt = Date.now();
  expect(status.phase).toBe('running');
  const wroteAt = written['INFO: resume vm'] ?? 0;
  expect(Date.parse(status.consistency_point_at ?? '') - wroteAt).toBeLessThan(200);
  expect(answeredAt - wroteAt).toBeLessThan(300);
  await agent.until(202, ({ phase }) => phase !== 'running');
});

describe('what goes wrong', () => {
  test('a guest that is locked', async () => {
    expect(await agent.force(205)).toMatchObject({ phase: 'failed', error: expect.stringContaining('locked this guest') });
  });

  test('a failure in the middle', async () => {
    node.pve.vzdumpFaults.fail = { text: 'No space left on device' };
    expect(await agent.run(201)).toMatchObject({ phase: 'failed', error: 'The backup storage is full.', label: null });
  });

  test('warnings', async () => {
    node.pve.vzdumpFaults.warn = 2;
    const status = await agent.run(201);
    expect(status.phase).toBe('done');
    expect(status.warnings).toHaveLength(2);
  });

  test("vzdump's lock is held by another run", async () => {
    const { world } = node.pve;
    node.pve.vzdumpFaults.copyMs = 1500;
    // Somebody else's, in the same moment.
    await agent.proxmox.startVzdump({ vmid: 204, storage: 'bak', mode: 'snapshot', compress: 'zstd', notes: 'by hand' });
    const before = node.vzdumpPosts();
    const other = await node.startAgent();
    await expect(other.run(201)).rejects.toMatchObject({ message: expect.stringContaining('only one can run at a time') });
    expect(node.vzdumpPosts()).toBe(before);
    await other.close();
    const status = await agent.force(201);
    expect(status).toMatchObject({ phase: 'failed', error: expect.stringContaining('Another backup is running on this host') });
    expect(agent.journal.join()).toContain("can't acquire lock");
    await expect.poll(() => world.tasks.every(({ exitstatus }) => exitstatus !== undefined), { timeout: 5000 }).toBe(true);
  });

  test('a worker that is killed leaves an interrupted backup, and no files', async () => {
    node.pve.vzdumpFaults.dieAt = 'creating vzdump archive';
    expect(await agent.run(201)).toMatchObject({ phase: 'failed', error: expect.stringContaining('interrupted') });
    await expect.poll(() => node.leftOver(), { timeout: 5000 }).toEqual([]);
    const guest = node.pve.world.guests.get(201);
    if (guest) delete guest.config.lock;
  });

  test('wording that nobody knows: done, no more than `crash`, and it says so', async () => {
    node.pve.vzdumpFaults.unknownWording = (line) => (line.startsWith('TASK') ? line : line.replace(/[aeiou]/g, 'o'));
    expect(await agent.run(302)).toMatchObject({
      phase: 'done',
      label: 'crash',
      consistency_point_at: null,
      warnings: [expect.stringContaining('words that felhom does not know')],
      archive: expect.stringContaining('302'),
    });
  });
});

describe('the way to Proxmox', () => {
  test.each([
    ['596', { answer: 596, after: 'work' }],
    ['a reset', { reset: true, after: 'work' }],
  ] as const)('%s after the work began: the task is found, and there is only one', async (_what, effect) => {
    const before = node.vzdumpPosts();
    node.pve.faults.add({ method: 'POST', path: '/vzdump', times: 1, effect });
    expect(await agent.run(201)).toMatchObject({ phase: 'done', label: 'filesystem' });
    expect(node.vzdumpPosts()).toBe(before + 1);
  });

  test('595: failed at once', async () => {
    node.pve.faults.add({ method: 'POST', path: '/vzdump', times: 1, effect: { answer: 595 } });
    expect(await agent.run(201)).toMatchObject({ phase: 'failed', error: expect.stringContaining('did not answer') });
  });

  test('the daemons restart while it runs', async () => {
    node.pve.vzdumpFaults.copyMs = 1000;
    await agent.duty.run(201);
    await agent.until(201, ({ upid }) => upid !== '');
    await node.pve.faults.restart(300);
    expect(await agent.until(201, ({ phase }) => phase !== 'running')).toMatchObject({ phase: 'done', label: 'filesystem' });
  });

  test('without the log file the log is read over the API', async () => {
    const other = await node.startAgent({ taskLogDir: '/nonexistent' });
    node.pve.speed.lineDelayMs = 20;
    expect(await other.run(202)).toMatchObject({ phase: 'done', label: 'filesystem', frozen_seconds: expect.any(Number) });
    await other.close();
  });
});

test('a backup that the operator stops: its task is gone, and it says who stopped it', async () => {
  node.pve.vzdumpFaults.copyMs = 20_000;
  await agent.duty.run(201);
  const { upid } = await agent.until(201, ({ consistency_point_at }) => consistency_point_at !== null);
  await agent.cancel(201, 'cancelled');
  const status = await agent.until(201, ({ phase }) => phase !== 'running');
  expect(status).toMatchObject({ phase: 'failed', error: expect.stringContaining('stopped by'), label: null });
  expect(node.pve.world.tasks.find((task) => task.upid === upid)?.exitstatus).toBeDefined();
  const guest = node.pve.world.guests.get(201);
  if (guest) delete guest.config.lock;
});

test('a vzdump that felhom did not start: seen, kept clear of, counted', async () => {
  node.pve.vzdumpFaults.copyMs = 1500;
  const request = { vmid: 202, storage: 'bak', mode: 'snapshot', compress: 'zstd', notes: 'by hand' } as const;
  const upid = await agent.proxmox.startVzdump(request);
  await agent.watchForeign([201, 202]);
  await expect.poll(() => agent.running(), { timeout: 5000 }).toMatchObject([{ vmid: 202, source: 'proxmox', upid }]);
  await expect(agent.duty.run(201)).rejects.toMatchObject({ code: 'backup-slot-busy' });
  await expect(agent.cancel(202, 'cancelled')).rejects.toMatchObject({ code: 'not-found' });
  const status = await agent.until(202, ({ phase }) => phase !== 'running');
  expect(status).toMatchObject({ phase: 'done', label: 'crash', upid, archive: expect.stringContaining('lxc-202') });
  expect((await agent.record(202)).lastGood).toMatchObject({ source: 'proxmox', jobId: status.job_id });
});

test.each(['create storage snapshot', 'creating vzdump archive', 'Finished Backup'])(
  'an agent that stops at "%s" and comes back ends the job with the truth',
  async (line) => {
    const before = node.vzdumpPosts();
    const first = await node.startAgent();
    node.pve.vzdumpFaults.hang = line;
    const { job_id } = await first.duty.run(201);
    await first.until(201, ({ mode }) => mode !== null);
    await first.close();
    const second = await node.startAgent();
    clearFaults(node.pve.vzdumpFaults);
    const status = await second.until(201, ({ phase }) => phase !== 'running');
    expect(status).toMatchObject({ job_id, phase: 'done', label: 'filesystem', archive: expect.stringContaining('lxc-201') });
    expect(status.consistency_point_at).not.toBeNull();
    expect(node.vzdumpPosts()).toBe(before + 1);
    await second.close();
  },
);

test('a guest that Proxmox does not know is refused without a job', async () => {
  const before = node.vzdumpPosts();
  await expect(agent.duty.run(999)).rejects.toMatchObject({ code: 'guest-not-enrolled' });
  expect(node.vzdumpPosts()).toBe(before);
});

test('the first backup is due at once, the second a day later', async () => {
  const patient = await node.startAgent({ minIntervalMs: 60_000 });
  const fresh = await patient.record(205);
  expect(fresh.lastGoodAt).toBeNull();
  await patient.run(204);
  expect(await patient.duty.due(204)).toMatchObject({ vmid: 204, due: false });
  await expect(patient.duty.start(204, {})).rejects.toMatchObject({ code: 'backup-too-soon' });
  await patient.close();
});
