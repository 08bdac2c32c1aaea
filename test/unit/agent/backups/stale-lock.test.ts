/** The lock that a killed vzdump leaves: removed only when it is exactly that one and surely nobody's. */
import { describe, expect, test } from 'vitest';
import { HOUR, setup } from './harness.ts';

const UNLOCK = 'flock -n -F /var/run/vzdump.lock /usr/sbin/pct unlock 101';

const locked = async (lock = 'backup') => {
  const all = setup();
  all.node.configs.set(101, { lock });
  const agent = await all.startAgent();
  const audit = () => all.rows('audit').map(({ who, what, details }) => [who, what, details]);
  return { ...all, agent, audit };
};

test('is removed under the lock of vzdump, and audited before and after', async () => {
  const { agent, node, audit } = await locked();
  expect(await agent.repairStaleLock(101)).toBe(true);
  expect(node.commands).toEqual([UNLOCK]);
  const details = '{"vmid":101,"lock":"backup"}';
  expect(audit()).toEqual([
    ['agent', 'stale-lock-found', details],
    ['agent', 'stale-lock-removed', details],
  ]);
});

test('of a virtual machine by its own program', async () => {
  const { agent, node } = await locked();
  for (const guest of node.guests) Object.assign(guest, { type: 'qemu' });
  expect(await agent.repairStaleLock(101)).toBe(true);
  expect(node.commands).toEqual([UNLOCK.replace('pct', 'qm')]);
});

describe('is left alone', () => {
  test.each(['snapshot', 'snapshot-delete', 'suspended', 'backup ', 'create', ''])('when it is "%s"', async (lock) => {
    const { agent, node, audit } = await locked(lock);
    expect(await agent.repairStaleLock(101)).toBe(false);
    expect([node.commands, audit()]).toEqual([[], []]);
  });

  test.each<[string, (all: Awaited<ReturnType<typeof locked>>) => unknown]>([
    ['while its backup runs', ({ agent }) => agent.start(101)],
    [
      'while its backup is about to be asked for',
      ({ agent, node }) => {
        node.sync = () => new Promise(() => {});
        return agent.start(101);
      },
    ],
    ["while another guest's backup runs", ({ agent }) => agent.start(102)],
    ['while somebody else backs it up', ({ node }) => node.addTask(101, 'root@pam')],
    ['while somebody else backs up several', ({ node }) => node.addTask('', 'root@pam')],
    [
      'while somebody else does, and the list of tasks cannot be read',
      ({ node }) => {
        node.addTask(101, 'root@pam');
        node.indexGone = true;
      },
    ],
    [
      'while it is backed up on another node',
      ({ node }) => {
        const task = node.addTask(101, 'root@pam');
        task.upid = task.upid.replace('pve1', 'pve2');
      },
    ],
    [
      'while several are backed up on another node',
      ({ node }) => {
        const task = node.addTask('', 'root@pam');
        task.upid = task.upid.replace('pve1', 'pve2');
      },
    ],
    ['when the guest is on another node', ({ node }) => Object.assign(node.guests[0] ?? {}, { node: 'pve2' })],
    ['when Proxmox does not know the guest', ({ node }) => node.guests.splice(0)],
    ['while Proxmox cannot be asked', ({ node }) => Object.assign(node, { away: true })],
    ['when it cannot be audited', ({ fault }) => Object.assign(fault, { full: true })],
  ])('%s', async (_when, act) => {
    const all = await locked();
    await act(all);
    await all.settle();
    expect(await all.agent.repairStaleLock(101)).toBe(false);
    expect(all.node.commands).toEqual([]);
  });

  test('once it was tried within a day, also over a restart and with the clock set back; then it is tried again', async () => {
    const { agent, node, advance, setWall, startAgent } = await locked();
    node.commandFails = true;
    expect(await agent.repairStaleLock(101)).toBe(false);
    await advance(HOUR);
    expect(await agent.repairStaleLock(101)).toBe(false);
    agent.kill();
    const next = await startAgent();
    setWall(-2 * HOUR);
    expect(await next.repairStaleLock(101)).toBe(false);
    expect(node.commands).toHaveLength(1);
    setWall(2 * HOUR);
    node.commandFails = false;
    await advance(23 * HOUR);
    expect(await next.repairStaleLock(101)).toBe(true);
    expect(node.commands).toHaveLength(2);
  });
});

test('a try that lies in the far future, by a clock that was wrong, does not keep it for years', async () => {
  const { agent, node, setWall } = await locked();
  await agent.repairStaleLock(101);
  setWall(-1000 * HOUR);
  expect(await agent.repairStaleLock(101)).toBe(true);
  expect(node.commands).toHaveLength(2);
});

test('a day of one guest is not that of another', async () => {
  const { agent, node } = await locked();
  node.configs.set(102, { lock: 'backup' });
  expect([await agent.repairStaleLock(101), await agent.repairStaleLock(102)]).toEqual([true, true]);
});

test('a vzdump of other guests on another node keeps nothing from it', async () => {
  const { agent, node } = await locked();
  const task = node.addTask(999, 'root@pam');
  task.upid = task.upid.replace('pve1', 'pve2');
  expect(await agent.repairStaleLock(101)).toBe(true);
});
