/** Stopping a job: by a person, or by whoever wants to start the guest. */
import { describe, expect, test } from 'vitest';
import { proxmoxError, setup } from './harness.ts';
import { logLines } from './logs.ts';

const LOG = logLines('lxc-snapshot-btrfs-two-volumes-and-a-bind-mount');
const STOPPED_CT = logLines('lxc-stopped');
const BY_OPERATOR = "The backup was stopped by this host's operator.";

const begun = async (options = {}) => {
  const all = setup(options);
  const agent = await all.startAgent();
  return { ...all, agent };
};

describe('a person', () => {
  test('stops a running job: Proxmox is asked, and the job says who it was', async () => {
    const { agent, node, advance, rows, journal } = await begun();
    await agent.start(101);
    await advance(1000);
    node.write(...LOG.slice(0, 14));
    expect(await agent.cancel(101, 'cancelled')).toMatchObject({ state: 'running', failure: 'cancelled' });
    await advance(1000);
    expect(node.stops).toEqual([node.tasks[0]?.upid]);
    expect(await agent.peek()).toMatchObject({ phase: 'failed', error: BY_OPERATOR, consistency_point_at: null });
    expect(rows()).toMatchObject([{ state: 'failed', failure: 'cancelled', error: BY_OPERATOR }]);
    expect(await agent.record(101)).toMatchObject({ failures: [{ failure: 'cancelled' }], lastGood: null });
    expect(journal.some((line) => line.startsWith('error'))).toBe(false);
    expect(agent.running()).toEqual([]);
  });

  test('who comes too late stopped nothing: done is done', async () => {
    const { agent, node, advance, rows } = await begun();
    await agent.start(101);
    await advance(1000);
    node.write(...LOG);
    node.end('OK');
    await agent.cancel(101, 'cancelled');
    await advance(1000);
    expect(await agent.peek()).toMatchObject({ phase: 'done', error: '', label: 'filesystem' });
    expect(rows()).toMatchObject([{ state: 'done', failure: '' }]);
  });

  test('stops an intent whose task appears only later', async () => {
    const { agent, node, advance, rows } = await begun();
    node.fate = { error: proxmoxError(596, 'unknown'), taskAfterMs: 20_000 };
    await agent.start(101);
    await advance(1000);
    await agent.cancel(101, 'cancelled');
    await advance(10_000);
    expect([node.stops, (await agent.peek()).phase]).toEqual([[], 'running']);
    await advance(14_000);
    expect(node.stops).toEqual([node.tasks[0]?.upid]);
    expect(rows()).toMatchObject([{ state: 'failed', failure: 'cancelled' }]);
    expect(node.posts).toBe(1);
  });

  test('stops one before Proxmox was asked: it never is', async () => {
    const { agent, node, advance, rows } = await begun();
    node.sync = () => new Promise(() => {});
    await agent.start(101);
    await agent.cancel(101, 'cancelled');
    await advance(3000);
    expect(node.posts).toBe(0);
    expect(rows()).toMatchObject([{ state: 'failed', failure: 'cancelled', error: BY_OPERATOR }]);
  });

  test.each([
    ['while its task runs', 'answers', 1000],
    ['before its task was known', 'lost after', 1000],
  ] as const)('is not forgotten by an agent that is killed at once, %s', async (_when, fate, ms) => {
    const { agent, node, advance, rows, startAgent, settle } = await begun();
    node.fate = fate;
    await agent.start(101);
    await advance(ms);
    node.stopsNothing = true;
    await agent.cancel(101, 'cancelled');
    await settle();
    agent.kill();
    node.stopsNothing = false;
    expect(rows()).toMatchObject([{ failure: 'cancelled' }]);
    await startAgent();
    await advance(5000);
    expect(rows()).toMatchObject([{ state: 'failed', failure: 'cancelled' }]);
    expect(node.tasks[0]?.exitstatus).toBe('unexpected status');
  });

  test('is heard while Proxmox is away, and the task is asked to end until it has', async () => {
    const { agent, node, advance, rows } = await begun();
    await agent.start(101);
    await advance(1000);
    node.away = true;
    await agent.cancel(101, 'cancelled');
    await advance(10_000);
    node.away = false;
    node.stopsNothing = true;
    await advance(30_000);
    expect(node.stops.length).toBeGreaterThan(2);
    node.stopsNothing = false;
    await advance(31_000);
    expect(rows()).toMatchObject([{ state: 'failed', failure: 'cancelled' }]);
  });

  test('cannot stop what felhom did not start, nor what does not run', async () => {
    const { agent, node, advance } = await begun();
    await expect(agent.cancel(101, 'cancelled')).rejects.toMatchObject({
      code: 'not-found',
      message: 'No backup of this guest is running.',
    });
    node.addTask(101, 'root@pam');
    await agent.watchForeign([101]);
    await advance(1000);
    await expect(agent.cancel(101, 'cancelled')).rejects.toMatchObject({
      code: 'not-found',
      message: expect.stringContaining('Stop it in Proxmox'),
    });
    expect(node.stops).toEqual([]);
  });
});

describe('whoever wants to start the guest', () => {
  const run = async (
    type: string,
    exitstatus: string | undefined,
    { startPreempts = true, log = STOPPED_CT, vmid = 101, before = false } = {},
  ) => {
    const all = await begun({ startPreempts });
    const { agent, node, advance } = all;
    const attempt = () => {
      const task = node.addTask(vmid, 'root@pam', undefined, type);
      if (exitstatus !== undefined) task.exitstatus = exitstatus;
      node.tasks.unshift(...node.tasks.splice(-1));
    };
    if (before) attempt();
    await advance(5000);
    await agent.start(101);
    await advance(1000);
    node.write(...log.slice(0, log.findIndex((line) => line.includes('creating vzdump archive')) + 1));
    await advance(1000);
    if (!before) attempt();
    await advance(5000);
    return { ...all, status: await agent.peek() };
  };
  const LOCKED = 'CT is locked (backup)';

  test.each(['vzstart', 'qmstart'])('stops the backup of a stopped guest: %s', async (type) => {
    const { status, rows, node } = await run(type, LOCKED);
    expect(status).toMatchObject({ phase: 'failed', error: expect.stringContaining('somebody wanted to start this guest') });
    expect(rows()).toMatchObject([{ failure: 'preempted' }]);
    expect(node.stops).toHaveLength(1);
  });

  test.each<[string, Parameters<typeof run>]>([
    ['it is not asked for', ['vzstart', LOCKED, { startPreempts: false }]],
    ['the guest was running', ['vzstart', LOCKED, { log: LOG }]],
    ['the start went well', ['qmstart', 'OK']],
    ['the start still runs', ['vzstart', undefined]],
    ["it is another guest's", ['vzstart', LOCKED, { vmid: 102 }]],
    ['it is another task', ['vzshutdown', LOCKED]],
    ['it was tried before the backup', ['vzstart', LOCKED, { before: true }]],
  ])('not when %s', async (_when, parameters) => {
    const { status, node } = await run(...parameters);
    expect([status.phase, node.stops]).toEqual(['running', []]);
  });
});
