/** Duty over the real jobs, on a node that keeps running when the agent does not. */
import { expect, test } from 'vitest';
import { createDuty } from '#agent/duty/service';
import { setup as setupJobs } from '../backups/harness.ts';
import { logLines } from '../backups/logs.ts';
import { DAY, HOUR, MINUTE, moments, setup as setupMemory } from './harness.ts';
import { intlTime } from './intl.ts';

const LOG = logLines('lxc-snapshot-btrfs-two-volumes-and-a-bind-mount');

const setup = () => {
  const world = setupJobs();
  const { store, host } = setupMemory();
  const called = new Map<number, number>();
  const startAgent = async () => {
    const backups = await world.startAgent();
    const journal = () => {};
    const duty = createDuty({
      localTime: intlTime,
      ...{ store, backups, journal, clock: world.clock, problems: backups.problems, hostId: 'host-1' },
      settings: () => host.settings,
      uptimeMs: async () => DAY,
      guests: () => [101, 102].map((vmid) => ({ vmid, lastSeenAt: called.get(vmid) ?? null })),
      proxmox: {
        analyzeSchedule: async (schedule, start) => moments(schedule, start),
        timezone: async () => 'UTC',
        guestTasks: async () => [],
        resources: async () => ({ guests: world.node.guests, storages: [] }),
      },
      prechecks: {
        check: async (vmid) => {
          const guest = world.node.guests.find((one) => one.vmid === vmid);
          if (guest === undefined) throw new Error('no such guest');
          return { ok: true, guest, mode: 'snapshot', configDigest: 'd1', warnings: [] };
        },
      },
      archives: { list: async (vmid) => ({ vmid, backups: [], next: '', age_seconds: 0 }) },
    });
    return { ...duty, backups, kill: backups.kill };
  };
  const call = (vmid: number) => called.set(vmid, world.clock.now());
  const finish = async () => {
    world.node.write(...LOG);
    world.node.end('OK');
    await world.advance(5000);
  };
  return { ...world, startAgent, call, finish };
};

test('two guests without a backup: one is offered, taken, done; then the other; then none', async () => {
  const { node, advance, call, finish, startAgent } = setup();
  const agent = await startAgent();
  agent.begin();
  await advance(20_000);
  call(101);
  call(102);
  expect((await agent.due(101)).due).toBe(true);
  expect(await agent.due(102)).toMatchObject({ due: false, reason: "Another guest's backup comes first on this host." });
  const { job_id } = await agent.start(101, { request_id: 'r1' });
  await advance(1000);
  expect(await agent.due(102)).toMatchObject({ due: false, reason: "Another guest's backup is running on this host." });
  expect(await agent.start(101, { request_id: 'r1' })).toMatchObject({ job_id });
  await finish();
  expect(await agent.due(101)).toMatchObject({ due: false, reason: 'The last good backup is less than a minute old.' });
  expect((await agent.due(102)).due).toBe(true);
  await agent.start(102, {});
  await advance(1000);
  await finish();
  expect((await agent.due(102)).due).toBe(false);
  await expect(agent.start(102, {})).rejects.toMatchObject({ code: 'backup-too-soon' });
  expect(node.posts).toBe(2);
  await agent.close();
});

test('killed while the guest has its offer, while its backup runs, and while it waits after a failure', async () => {
  const { node, advance, call, rows, startAgent } = setup();
  const first = await startAgent();
  await first.tick();
  expect((await first.due(101)).due).toBe(true);
  first.kill();

  const second = await startAgent();
  call(101);
  const { job_id } = await second.start(101, { request_id: 'r1' });
  await advance(1000);
  second.kill();

  const third = await startAgent();
  await third.tick();
  expect(await third.due(101)).toMatchObject({ due: false, reason: 'A backup of this guest is running.' });
  expect(await third.start(101, { request_id: 'r1' })).toMatchObject({ job_id, phase: 'running' });
  node.write(
    'INFO: starting new backup job: vzdump 101',
    'ERROR: Backup of VM 101 failed - no space left',
    'TASK ERROR: job errors',
  );
  node.end('job errors', false);
  await advance(5000);
  third.kill();

  const fourth = await startAgent();
  await advance(4 * MINUTE);
  await fourth.tick();
  expect(await fourth.due(101)).toMatchObject({ due: false, reason: expect.stringContaining('1 attempt failed') });
  await advance(MINUTE);
  // Due again; the other guest has its first attempt before that.
  expect((await fourth.overview()).guests[0]).toMatchObject({ vmid: 101, due: true, failures: 1 });
  expect((await fourth.due(102)).due).toBe(true);
  expect(rows()).toHaveLength(1);
  expect(rows()[0]).toMatchObject({ source: 'schedule', state: 'failed' });
  expect(node.posts).toBe(1);
});

test("somebody else's backup takes the slot, and answers for the guest's", async () => {
  const { node, advance, finish, call, startAgent } = setup();
  const agent = await startAgent();
  agent.begin();
  node.addTask(101, 'root@pam');
  await advance(20_000);
  call(102);
  expect(await agent.due(101)).toMatchObject({ due: false, reason: 'A backup of this guest is running.' });
  expect(await agent.due(102)).toMatchObject({ due: false, reason: "Another guest's backup is running on this host." });
  await expect(agent.start(102, {})).rejects.toMatchObject({ code: 'backup-slot-busy' });
  await finish();
  await advance(20_000);
  expect(await agent.due(101)).toMatchObject({ due: false, reason: 'The last good backup is less than a minute old.' });
  expect((await agent.due(102)).due).toBe(true);
  await agent.close();
});

test('nobody calls: the agent makes both, one after the other', async () => {
  const { node, advance, finish, rows, startAgent } = setup();
  const agent = await startAgent();
  agent.begin();
  await advance(14 * MINUTE);
  expect(node.posts).toBe(0);
  await advance(2 * MINUTE);
  expect(node.posts).toBe(1);
  await finish();
  await advance(MINUTE);
  expect(node.posts).toBe(2);
  await finish();
  await advance(HOUR);
  expect(rows().map(({ vmid, source, state }) => [vmid, source, state])).toEqual([
    [101, 'agent', 'done'],
    [102, 'agent', 'done'],
  ]);
  await agent.close();
});
