/** Two weeks without a controller anywhere: every guest is backed up all the same, by the agent alone. */
import { expect, test } from 'vitest';
import { jitterOf } from '#agent/duty/jitter';
import { DAY, HOUR, MINUTE, refusal, setup } from './harness.ts';

/** Schedule, fallback_after and an hour. */
const MOST = DAY + 30 * MINUTE + HOUR;

test('14 days, five guests, restarts, a failing guest, a stopped one that changes, Proxmox away for two days', async () => {
  const vmids = [101, 102, 103, 104, 105];
  const world = setup({ vmids });
  const { host, guestOf } = world;
  host.fails = ({ vmid }) => (vmid === 103 && host.jobs.length % 2 === 0 ? 'task-failed' : '');
  guestOf(104).status = 'stopped';
  guestOf(105).lastSeenAt = world.clock.now();
  const change = () => {
    guestOf(104).configDigest = `d${host.jobs.length}`;
  };
  let agent = await world.startAgent();
  for (let day = 0; day < 14; day += 1) {
    host.proxmoxAway = day === 5 || day === 6;
    if (day % 3 === 0) agent = await world.startAgent();
    await world.live(agent, DAY, change, MINUTE);
  }
  for (const vmid of vmids) {
    const starts = host.jobs.filter((job) => job.vmid === vmid).map(({ endsAt }) => endsAt - host.jobMs);
    const gaps = [...starts, world.clock.monotonic()].map((at, index) => at - (starts[index - 1] ?? 0));
    expect(Math.max(...gaps), `guest ${vmid}`).toBeLessThanOrEqual(MOST);
    expect(starts.length).toBeGreaterThanOrEqual(14);
  }
  expect(host.jobs.every(({ source }) => source === 'agent')).toBe(true);
  const running = [...host.jobs].sort((a, b) => a.endsAt - b.endsAt);
  for (const [index, job] of running.slice(1).entries())
    expect(job.endsAt - host.jobMs).toBeGreaterThanOrEqual(running[index]?.endsAt ?? 0);
  expect(
    agent.problems
      .list()
      .map(({ code, vmid }) => `${code} ${vmid}`)
      .sort(),
  ).toEqual([101, 102, 103, 105].map((vmid) => `guest-absent ${vmid}`));
}, 60_000);

test('controllers that call, get their offers and never take one: the agent runs them in half an hour and an offer', async () => {
  const vmids = Array.from({ length: 10 }, (_, index) => 101 + index);
  const world = setup({ vmids, start: Date.UTC(2026, 10, 22, 4, 15) + jitterOf('host-1') - MINUTE });
  const { host } = world;
  for (const vmid of vmids) world.hadBackup(vmid, DAY - MINUTE - vmid * 1000);
  host.jobMs = MINUTE;
  const agent = await world.startAgent();
  await world.live(agent, 2 * HOUR, async () => {
    for (const vmid of vmids) {
      world.call(vmid);
      await agent.due(vmid);
    }
  });
  const made = host.jobs.slice(10);
  expect(made.map(({ vmid }) => vmid).sort()).toEqual(vmids);
  expect(made.every(({ source }) => source === 'agent')).toBe(true);
}, 60_000);

test('a guest that cannot be backed up never keeps the others waiting', async () => {
  const world = setup({ vmids: [101, 102, 103] });
  world.guestOf(101).verdict = refusal('guest-locked');
  world.guestOf(102).verdict = refusal('guest-elsewhere');
  const agent = await world.startAgent();
  await world.live(agent, 3 * DAY, undefined, MINUTE);
  expect(world.host.jobs.filter(({ vmid }) => vmid === 103).length).toBeGreaterThanOrEqual(3);
  const codes = agent.problems.list().map(({ code, vmid }) => `${code} ${vmid}`);
  expect(codes.sort()).toEqual([
    ...['backup-overdue 101', 'backup-overdue 102', 'guest-absent 103', 'guest-elsewhere 102', 'guest-locked 101'],
  ]);
});

test('however many cannot be backed up, one that can be again is found, and Proxmox is left in peace', async () => {
  const vmids = Array.from({ length: 12 }, (_, index) => 101 + index);
  const world = setup({ vmids });
  for (const vmid of vmids) world.guestOf(vmid).verdict = refusal('guest-elsewhere');
  const agent = await world.startAgent();
  await world.live(agent, 2 * HOUR);
  const checked = world.host.checks.length;
  await world.live(agent, HOUR);
  expect((world.host.checks.length - checked) / 60).toBeLessThan(1.5);
  world.guestOf(112).verdict = {};
  await world.live(agent, HOUR / 4);
  expect(world.host.jobs).toMatchObject([{ vmid: 112, state: 'done' }]);
});

test("somebody else's job that fails every half an hour puts off no backup", async () => {
  const world = setup();
  world.hadBackup(101, 20 * HOUR);
  const agent = await world.startAgent();
  let minutes = 0;
  const fail = () => {
    minutes += 1;
    if (minutes % 30 !== 0) return;
    const job = world.hadBackup(101, 0, { source: 'proxmox', state: 'failed', failure: 'task-failed' });
    job.archive = '';
  };
  await world.live(agent, 3 * DAY, fail, MINUTE);
  expect(world.host.jobs.filter(({ source }) => source === 'agent')).toHaveLength(3);
});
