/** The duty as guests, the operator and the host see it. */
import { expect, test } from 'vitest';
import { jitterOf } from '#agent/duty/jitter';
import { DAY, HOUR, MINUTE, type Options, refusal, settingsOf, setup } from './harness.ts';

const JITTER = jitterOf('host-1');
/** Half a minute before the guests' scheduled time. */
const EVE = Date.UTC(2026, 10, 22, 4, 15) + JITTER - MINUTE / 2;

/** Every guest has last night's backup, its controller calls every minute, and a new one is due in half a minute. */
const evening = async (options: Options = {}) => {
  const world = setup({ start: EVE, ...options });
  for (const vmid of world.host.guests.keys()) world.hadBackup(vmid, DAY - MINUTE / 2 - 20_000 + vmid * 100);
  const agent = await world.startAgent();
  const callAll = () => {
    for (const vmid of world.host.guests.keys()) world.call(vmid);
  };
  callAll();
  await agent.tick();
  return { ...world, agent, callAll, live: (ms: number, each?: () => Promise<void> | void) => world.live(agent, ms, each) };
};

test('nothing is due, nothing is asked of Proxmox but the schedule and the zone', async () => {
  const { host, live, agent, callAll } = await evening({ start: EVE - 12 * HOUR });
  await live(10 * HOUR, callAll);
  expect(host.checks).toEqual([]);
  expect(host.requests).toBeLessThanOrEqual(3 + 10);
  expect(await agent.due(101)).toMatchObject({ due: false, mode: null, slot_expires_at: null });
});

test('an offer: once due, checked, for 180 seconds, however often it is asked for', async () => {
  const { agent, live, clock, host, callAll } = await evening();
  expect((await agent.due(101)).due).toBe(false);
  await live(MINUTE, callAll);
  const until = new Date(clock.now() + 180_000).toISOString();
  const offer = { due: true, mode: 'snapshot', hold: true, hold_expected_seconds: 3, slot_expires_at: until };
  expect(await agent.due(101)).toMatchObject({
    ...offer,
    reason: 'A backup is scheduled. The last good backup is 24 hours old.',
  });
  await live(2 * MINUTE, callAll);
  expect(await agent.due(101)).toMatchObject(offer);
  expect(host.checks).toHaveLength(1);
});

test('the guest takes it: a scheduled job, and no more is due', async () => {
  const { agent, live, host, callAll } = await evening();
  await live(MINUTE, callAll);
  await agent.due(101);
  const started = await agent.start(101, { request_id: 'r1' });
  expect(started).toMatchObject({ vmid: 101, phase: 'running' });
  expect(await agent.start(101, { request_id: 'r2' })).toEqual(started);
  expect(await agent.due(101)).toMatchObject({ due: false, reason: 'A backup of this guest is running.' });
  await live(HOUR, callAll);
  expect(host.jobs.slice(1)).toMatchObject([{ source: 'schedule', state: 'done' }]);
  expect(await agent.start(101, { request_id: 'r1' })).toMatchObject({ job_id: started.job_id, phase: 'done' });
  expect(await agent.due(101)).toMatchObject({ due: false, reason: 'The last good backup is 60 minutes old.' });
});

test('the applications that a guest names go into its job, each once; while one runs they stay', async () => {
  const { agent, live, host, callAll } = await evening();
  await live(MINUTE, callAll);
  await agent.due(101);
  const started = await agent.start(101, { request_id: 'r1', intends: ['db', 'web', 'db'] });
  expect(host.jobs.at(-1)).toMatchObject({ source: 'schedule', intends: ['db', 'web'] });
  expect(await agent.start(101, { request_id: 'r1', intends: ['other'] })).toEqual(started);
  expect(await agent.start(101, { intends: ['other'] })).toEqual(started);
  expect(host.jobs.at(-1)).toMatchObject({ intends: ['db', 'web'] });
  await live(3 * HOUR, callAll);
  expect(await agent.start(101, { request_id: 'r1', intends: ['other'] })).toMatchObject({ job_id: started.job_id });
  const extra = await agent.start(101, { intends: ['web'] });
  expect(host.jobs.at(-1)).toMatchObject({ jobId: extra.job_id, source: 'guest', intends: ['web'] });
  await live(HOUR, callAll);
  await agent.run(101);
  expect(host.jobs.at(-1)).toMatchObject({ source: 'operator', intends: [] });
});

test('two guests are due: one slot, the more overdue first, the other told nothing of it', async () => {
  const { agent, live, host, callAll, hadBackup } = await evening({ vmids: [101, 102] });
  host.jobs.splice(0);
  hadBackup(101, DAY);
  hadBackup(102, 2 * DAY);
  await live(MINUTE, callAll);
  expect(await agent.due(101)).toMatchObject({ due: false, reason: "Another guest's backup comes first on this host." });
  expect((await agent.due(102)).due).toBe(true);
  await expect(agent.start(101, {})).rejects.toMatchObject({ code: 'backup-slot-busy' });
  await agent.start(102, {});
  expect(await agent.due(101)).toMatchObject({ due: false, reason: "Another guest's backup is running on this host." });
  await live(9 * MINUTE, callAll);
  expect((await agent.due(101)).due).toBe(false);
  await live(2 * MINUTE, callAll);
  expect((await agent.due(101)).due).toBe(true);
});

test('two guests that ask in the same moment: one offer', async () => {
  const { agent, live, callAll } = await evening({ vmids: [101, 102] });
  await live(MINUTE / 2 + 10_000, callAll);
  const answers = await Promise.all([agent.due(101), agent.due(102), agent.due(101), agent.due(102)]);
  expect(answers.map(({ due }) => due)).toEqual([false, true, false, true]);
  const starts = await Promise.allSettled([agent.start(101, {}), agent.start(102, {}), agent.start(102, {})]);
  expect(starts.map(({ status }) => status)).toEqual(['rejected', 'fulfilled', 'fulfilled']);
});

test('ten guests are due, all take their offers: one at a time, each once, in order', async () => {
  const vmids = Array.from({ length: 10 }, (_, index) => 101 + index);
  const { agent, live, host, callAll } = await evening({ vmids });
  await live(3 * HOUR, async () => {
    callAll();
    for (const vmid of vmids) if ((await agent.due(vmid)).due) await agent.start(vmid, {});
  });
  const made = host.jobs.slice(10);
  // The one whose backup is the oldest first; all were due at the same moment.
  expect(made.map(({ vmid }) => vmid)).toEqual(vmids.reverse());
  expect(made.every(({ source, state }) => source === 'schedule' && state === 'done')).toBe(true);
  for (const [index, job] of made.slice(1).entries()) expect(job.createdAt).toBeGreaterThanOrEqual(made[index]?.finishedAt ?? 0);
});

test('an offer that lapses goes to the next; the first is last for half an hour', async () => {
  const { agent, live, host, callAll } = await evening({ vmids: [101, 102], yaml: 'fallback_after: 10h' });
  await live(MINUTE, callAll);
  const offers = async () => [(await agent.due(101)).due, (await agent.due(102)).due];
  const [first, second] = [102, 101];
  expect(await offers()).toEqual([false, true]);
  await live(3 * MINUTE, callAll);
  expect(await offers()).toEqual([true, false]);
  await live(3 * MINUTE, callAll);
  // Both have let it pass: again in order.
  expect(await offers()).toEqual([false, true]);
  await agent.start(first, {});
  await live(11 * MINUTE, callAll);
  expect((await agent.due(second)).due).toBe(true);
  expect(host.jobs.slice(2)).toHaveLength(1);
});

test('a first guest that does not even ask keeps the others waiting no longer than an offer lasts', async () => {
  const { agent, live, callAll } = await evening({ vmids: [101, 102] });
  await live(MINUTE, callAll);
  expect((await agent.due(101)).due).toBe(false);
  await live(3 * MINUTE, callAll);
  expect((await agent.due(101)).due).toBe(true);
});

test('not taken within fallback_after: the agent runs it, and says so until an offer is taken again', async () => {
  const { agent, live, host, callAll } = await evening();
  await live(30 * MINUTE, async () => {
    callAll();
    await agent.due(101);
  });
  expect(host.jobs).toHaveLength(1);
  await live(2 * MINUTE, callAll);
  expect(host.jobs.slice(1)).toMatchObject([{ source: 'agent' }]);
  expect(agent.problems.list(101)).toMatchObject([{ code: 'guest-absent', evidence: 'Its controller did not take the offer.' }]);
  await live(DAY - 35 * MINUTE, callAll);
  await live(10 * MINUTE, async () => {
    callAll();
    if ((await agent.due(101)).due) await agent.start(101, {});
  });
  expect(agent.changes).toEqual(['raised guest-absent 101', 'cleared guest-absent 101']);
});

test('a silent guest is not waited for', async () => {
  const { host, live, agent } = await evening({ start: EVE - HOUR });
  await live(HOUR + MINUTE);
  expect(host.jobs.slice(1)).toMatchObject([{ source: 'agent' }]);
  expect((host.jobs[1]?.createdAt ?? 0) - EVE).toBeLessThanOrEqual(MINUTE);
  expect(agent.problems.list(101)).toMatchObject([{ code: 'guest-absent', evidence: 'Its controller is silent.' }]);
});

test('a wait behind a long backup of another is not held against a guest', async () => {
  const { agent, live, host, callAll } = await evening({ vmids: [101, 102] });
  host.jobMs = HOUR;
  await live(MINUTE, callAll);
  await agent.due(102);
  await agent.start(102, {});
  await live(HOUR + MINUTE, callAll);
  expect(host.jobs.slice(2)).toHaveLength(1);
  expect((await agent.due(101)).due).toBe(true);
});

test('a stopped guest: at once, last, without a problem; skipped while nothing has changed', async () => {
  const { agent, live, host, callAll, guestOf } = await evening({ vmids: [101, 102] });
  await live(MINUTE, callAll);
  guestOf(101).status = 'stopped';
  host.jobs.splice(0, 1);
  await live(MINUTE, callAll);
  // 101 was never backed up, and still the running guest comes first.
  expect(host.jobs.slice(1)).toEqual([]);
  expect((await agent.due(102)).due).toBe(true);
  await agent.start(102, {});
  await live(12 * MINUTE, callAll);
  expect(host.jobs.slice(2)).toMatchObject([{ vmid: 101, source: 'agent' }]);
  await live(10 * MINUTE, callAll);
  expect(host.jobs[2]).toMatchObject({ state: 'done', label: 'stopped' });
  const alone = async (ms: number) => {
    const before = host.jobs.length;
    await live(ms, async () => {
      callAll();
      if ((await agent.due(102)).due) await agent.start(102, {});
    });
    return host.jobs.slice(before).filter(({ vmid }) => vmid === 101).length;
  };
  expect(await alone(5 * DAY)).toBe(0);
  expect(agent.problems.list()).toEqual([]);
  expect((await agent.overview()).guests[0]).toMatchObject({ vmid: 101, due: false });
});

test.each<[string, (world: Awaited<ReturnType<typeof evening>>) => void, number]>([
  ['nothing', () => {}, 0],
  ['its configuration', ({ guestOf }) => Object.assign(guestOf(101), { configDigest: 'd2' }), 1],
  ['a start and a stop', ({ guestOf, clock }) => void guestOf(101).tasks.push(task('vzstart', clock.now())), 1],
  ['a backup by somebody else', ({ guestOf, clock }) => void guestOf(101).tasks.push(task('vzdump', clock.now())), 0],
  ['its archive, which is gone', ({ host }) => void host.lost.add(host.jobs[0]?.archive ?? ''), 1],
  ['its archive, which is damaged', ({ host }) => void host.damaged.add(host.jobs[0]?.archive ?? ''), 1],
])('a stopped guest of which %s has changed', async (_what, change, expected) => {
  const world = await evening();
  world.guestOf(101).status = 'stopped';
  Object.assign(world.host.jobs[0] ?? {}, { label: 'stopped' });
  change(world);
  await world.live(5 * MINUTE);
  expect(world.host.jobs.length - 1).toBe(expected);
  expect(world.agent.problems.list()).toEqual([]);
});
const task = (type: string, at: number) => ({ upid: '', type, id: '101', user: 'root@pam', starttime: Math.floor(at / 1000) });

test('five failures: after 5, 15, 60 and 240 minutes, the third without hold; one problem, one recovery', async () => {
  const { agent, live, host, callAll } = await evening();
  host.jobMs = MINUTE;
  host.fails = () => (host.jobs.length <= 6 ? 'task-failed' : '');
  const holds: boolean[] = [];
  let failedWhenTold = 0;
  await live(DAY, async () => {
    callAll();
    if (failedWhenTold === 0 && agent.problems.list(101).length > 0)
      failedWhenTold = host.jobs.filter(({ state }) => state === 'failed').length;
    const { due, hold } = await agent.due(101);
    if (!due) return;
    holds.push(hold);
    await agent.start(101, {});
  });
  const made = host.jobs.slice(1, 8);
  const waits = made.slice(1).map((job, index) => Math.round((job.createdAt - (made[index]?.finishedAt ?? 0)) / MINUTE));
  expect(waits.slice(0, 5)).toEqual([5, 15, 60, 240, 240]);
  expect(holds.slice(0, 6)).toEqual([true, true, false, false, false, false]);
  expect(made[5]).toMatchObject({ state: 'done' });
  expect(agent.changes).toEqual(['raised backup-failing 101', 'cleared backup-failing 101']);
  expect(failedWhenTold).toBe(2);
});

test("one guest's retries never pass another's first attempt", async () => {
  const { agent, live, host, callAll } = await evening({ vmids: [101, 102] });
  host.jobMs = MINUTE;
  host.fails = ({ vmid }) => (vmid === 102 ? 'task-failed' : '');
  await live(MINUTE, callAll);
  expect((await agent.due(102)).due).toBe(true);
  await agent.start(102, {});
  await live(9 * MINUTE, callAll);
  // 102 is due again since minutes; 101 has not had its first.
  expect((await agent.due(102)).due).toBe(false);
  expect((await agent.due(101)).due).toBe(true);
});

test('a hundred requests in an hour: one backup, every other answer is that job or a refusal', async () => {
  const { agent, live, host, callAll } = await evening({ start: EVE - 10 * HOUR });
  const answers: unknown[] = [];
  await live(100 * 36_000, async () => {
    callAll();
    if (answers.length < 100)
      answers.push(
        await agent.start(101, {}).then(
          ({ job_id }) => job_id,
          (error) => error.code,
        ),
      );
  });
  expect(host.jobs.slice(1)).toMatchObject([{ source: 'guest', state: 'done' }]);
  expect(new Set(answers)).toEqual(new Set([host.jobs[1]?.jobId, 'backup-too-soon']));
});

test('extra backups: two a day, an interval apart, and none of them stands in for the scheduled one', async () => {
  const { agent, live, host, callAll } = await evening({ start: EVE - 3 * HOUR });
  await agent.start(101, {});
  await live(59 * MINUTE, callAll);
  await expect(agent.start(101, {})).rejects.toMatchObject({ code: 'backup-too-soon' });
  await live(90 * MINUTE, callAll);
  await agent.start(101, {});
  await live(61 * MINUTE, callAll);
  expect((await agent.due(101)).due).toBe(true);
  await agent.start(101, {});
  await live(2 * HOUR, callAll);
  expect(host.jobs.slice(1).map(({ source }) => source)).toEqual(['guest', 'guest', 'schedule']);
  await expect(agent.start(101, {})).rejects.toMatchObject({
    code: 'backup-too-soon',
    message: expect.stringContaining('2 extra'),
  });
  await live(20 * HOUR, callAll);
  await expect(agent.start(101, {})).resolves.toMatchObject({ phase: 'running' });
});

test('the operator is not limited, but what must hold must hold', async () => {
  const { agent, guestOf, host, live } = await evening({ start: EVE - 10 * HOUR, vmids: [101, 102] });
  guestOf(102).verdict = refusal('guest-locked');
  const first = await agent.run(101);
  expect(await agent.run(101)).toEqual(first);
  await expect(agent.run(102)).rejects.toMatchObject({ code: 'backup-slot-busy' });
  await live(11 * MINUTE);
  await expect(agent.run(102)).rejects.toMatchObject({ code: 'backup-not-possible', message: 'It cannot start: guest-locked.' });
  await expect(agent.run(999)).rejects.toMatchObject({ code: 'guest-not-enrolled' });
  for (let run = 0; run < 3; run += 1) {
    await agent.run(101);
    await live(11 * MINUTE);
  }
  expect(host.jobs.slice(2).map(({ source }) => source)).toEqual(Array(4).fill('operator'));
});

test('a target that is missing for hours: told at once, asked once a minute, no offers, and cleared', async () => {
  const vmids = Array.from({ length: 20 }, (_, index) => 101 + index);
  const { agent, live, host, callAll, guestOf } = await evening({ vmids });
  for (const vmid of vmids) guestOf(vmid).verdict = refusal('target-not-mounted');
  await live(MINUTE, callAll);
  expect(agent.problems.list()).toMatchObject([{ code: 'target-not-mounted', vmid: null, severity: 'critical' }]);
  host.requests = 0;
  host.checks.length = 0;
  await live(HOUR, async () => {
    callAll();
    for (const vmid of vmids) expect((await agent.due(vmid)).due).toBe(false);
  });
  expect(host.checks.length).toBeLessThanOrEqual(60);
  expect(host.requests).toBeLessThanOrEqual(62);
  expect(await agent.due(105)).toMatchObject({ reason: 'It cannot start: target-not-mounted.' });
  await expect(agent.start(105, {})).rejects.toMatchObject({ code: 'backup-not-possible' });
  // It is still away when the time for scheduled backups is over, and comes back in the day.
  await live(4 * HOUR, callAll);
  for (const vmid of vmids) guestOf(vmid).verdict = {};
  await live(11 * MINUTE, callAll);
  expect(agent.problems.list()).toEqual([]);
});

test('the problems of a guest that is removed end with it', async () => {
  const world = setup({ vmids: [101, 102] });
  world.guestOf(102).verdict = refusal('guest-gone');
  const agent = await world.startAgent();
  await world.live(agent, 2 * DAY);
  expect(agent.problems.list(102).map(({ code }) => code)).toEqual(expect.arrayContaining(['guest-gone', 'backup-overdue']));
  world.host.guests.delete(102);
  await world.live(agent, MINUTE);
  expect(agent.problems.list(102)).toEqual([]);
});

test('a guest that Proxmox does not show: the others are backed up as ever', async () => {
  const world = setup({ vmids: [101, 102] });
  world.guestOf(102).verdict = refusal('guest-unreadable');
  const agent = await world.startAgent();
  await world.live(agent, 3 * DAY);
  expect(world.host.jobs.filter(({ vmid, state }) => vmid === 101 && state === 'done').length).toBeGreaterThanOrEqual(3);
  expect(agent.problems.list().map(({ code, vmid }) => `${code} ${vmid}`)).toContain('guest-unreadable 102');
});

test('a guest that is locked: the others go on; told after a quarter of an hour; cleared when it passes', async () => {
  const { agent, live, callAll, guestOf, host } = await evening({ vmids: [101, 102] });
  guestOf(102).verdict = refusal('guest-locked');
  await live(14 * MINUTE, callAll);
  expect(agent.problems.list()).toEqual([]);
  expect((await agent.due(101)).due).toBe(true);
  await agent.start(101, {});
  await live(14 * MINUTE, callAll);
  expect(agent.problems.list()).toMatchObject([{ code: 'guest-locked', vmid: 102 }]);
  expect(host.checks.filter((vmid) => vmid === 102).length).toBeLessThanOrEqual(28);
  guestOf(102).verdict = {};
  await live(2 * MINUTE, callAll);
  expect(agent.changes).toEqual(['raised guest-locked 102', 'cleared guest-locked 102']);
});

test('a check that takes long: the guest is told after five seconds, and gets its offer when it asks again', async () => {
  const { agent, pass, host, live, callAll } = await evening();
  await live(20_000, callAll);
  host.checkMs = 8000;
  pass(10_000);
  const asked = agent.due(101);
  for (let tries = 0; tries < 20; tries += 1) await Promise.resolve();
  pass(5000);
  expect(await asked).toMatchObject({ due: false, reason: 'It is being checked whether a backup can start now.' });
  pass(3000);
  expect((await agent.due(101)).due).toBe(true);
});

test('a restart forgets an offer, and still counts the backup that comes for it as scheduled', async () => {
  const { agent, live, callAll, startAgent, host } = await evening();
  await live(MINUTE, callAll);
  expect((await agent.due(101)).due).toBe(true);
  const next = await startAgent();
  await next.start(101, { request_id: 'r1' });
  expect(host.jobs[1]).toMatchObject({ source: 'schedule' });
});

test('a restart forgets no failure: the next attempt comes when it would have', async () => {
  const { agent, live, callAll, startAgent, host, live: _, ...world } = await evening();
  host.jobMs = MINUTE;
  host.fails = () => 'task-failed';
  await live(MINUTE, callAll);
  await agent.start(101, {});
  await live(3 * MINUTE, callAll);
  const next = await startAgent();
  await next.tick();
  expect(await next.due(101)).toMatchObject({
    due: false,
    reason: expect.stringContaining('1 attempt failed; the next is made in'),
  });
  world.pass(3 * MINUTE);
  await next.tick();
  expect(await next.due(101)).toMatchObject({ due: true, reason: '1 attempt failed; it is time for the next.' });
});

test.each([
  ['a day back', -DAY],
  ['ten years ahead', 3650 * DAY],
])('a clock that jumps %s stops neither a back-off nor an offer', async (_what, jump) => {
  const { agent, live, callAll, host, setWall } = await evening();
  host.jobMs = MINUTE;
  host.fails = () => 'task-failed';
  await live(MINUTE, callAll);
  await agent.start(101, {});
  await live(2 * MINUTE, callAll);
  setWall(jump);
  await live(3 * MINUTE, callAll);
  expect((await agent.due(101)).due).toBe(false);
  await live(MINUTE, callAll);
  expect((await agent.due(101)).due).toBe(true);
  setWall(-jump);
  await live(2 * MINUTE, callAll);
  expect((await agent.due(101)).due).toBe(true);
});

test('a clock that is set back right after a start does not make another due within the interval', async () => {
  const { live, host, setWall } = await evening({ start: EVE - HOUR });
  await live(HOUR + MINUTE / 2);
  expect(host.jobs[1]).toMatchObject({ state: 'running' });
  setWall(-DAY);
  await live(50 * MINUTE);
  expect(host.jobs.slice(1)).toHaveLength(1);
});

test('a boot in 2036, then the clock is repaired: neither stops the scheduling', async () => {
  const world = setup({ start: EVE + 3650 * DAY });
  world.hadBackup(101, 3650 * DAY + HOUR);
  world.host.uptimeMs = 0;
  let agent = await world.startAgent();
  await world.live(agent, 10 * MINUTE);
  expect(world.host.jobs).toHaveLength(1);
  await world.live(agent, 10 * MINUTE);
  expect(world.host.jobs).toHaveLength(2);
  world.setWall(-3650 * DAY);
  agent = await world.startAgent();
  await world.live(agent, 4 * DAY);
  const repaired = world.host.jobs.slice(2).map(({ createdAt }) => createdAt);
  expect(repaired.length).toBeGreaterThanOrEqual(4);
  expect(repaired.length).toBeLessThanOrEqual(6);
  expect(agent.problems.list(101).map(({ code }) => code)).toEqual(['guest-absent']);
});

test('the schedule that Proxmox rejects: told, and max_age alone decides', async () => {
  const { agent, live, host, callAll } = await evening({ yaml: 'schedule: teatime, window: "00:00-23:59"' });
  expect(agent.problems.list(101)).toMatchObject([
    { code: 'schedule-unknown', evidence: expect.stringContaining('unable to parse') },
  ]);
  await live(13 * HOUR, callAll);
  expect(host.jobs.slice(1)).toMatchObject([{ source: 'agent' }]);
  host.settings = settingsOf('');
  await live(MINUTE, callAll);
  expect(agent.problems.list(101).map(({ code }) => code)).toEqual(['guest-absent']);
});

test('Proxmox away for a week, with a restart: the kept list makes guests due all the same', async () => {
  const { host, startAgent, live } = await evening();
  host.proxmoxAway = true;
  const next = await startAgent();
  const made: number[] = [];
  await live(7 * DAY, () => next.tick());
  for (const { createdAt } of host.jobs.slice(1)) made.push(Math.round((createdAt - EVE) / DAY));
  // The first agent, which lives on, is the one that is faster.
  expect(made).toEqual([0, 1, 2, 3, 4, 5, 6]);
  expect(next.problems.list(101).map(({ code }) => code)).not.toContain('schedule-unknown');
});

test('overdue: told after twice max_age, and when there is none after a day; cleared by a good one', async () => {
  const { agent, live, host, callAll, guestOf } = await evening({ vmids: [101, 102] });
  host.jobs.splice(1);
  host.fails = () => 'task-failed';
  guestOf(101).verdict = refusal('guest-fuse');
  await live(25 * HOUR, callAll);
  expect(agent.problems.list(102).map(({ code }) => code)).toContain('backup-overdue');
  expect(agent.problems.list(101).map(({ code }) => code)).not.toContain('backup-overdue');
  await live(24 * HOUR, callAll);
  expect(agent.problems.list(101).map(({ code }) => code)).toContain('backup-overdue');
  host.fails = () => '';
  guestOf(101).verdict = {};
  await live(6 * HOUR, callAll);
  expect(agent.problems.list().map(({ code }) => code)).toEqual(['guest-absent', 'guest-absent']);
});

test('the overview says of every guest when and why', async () => {
  const { agent, live, callAll, clock } = await evening({ vmids: [101, 102] });
  expect(await agent.overview()).toMatchObject({
    busy: '',
    guests: [
      { vmid: 101, due: false, nextAt: EVE + MINUTE / 2, failures: 0, offeredUntil: null },
      { vmid: 102, due: false },
    ],
  });
  await live(MINUTE, callAll);
  await agent.due(102);
  expect(await agent.overview()).toMatchObject({
    busy: 'The slot is offered to guest 102.',
    guests: [
      { vmid: 101, due: true, reason: "Another guest's backup comes first on this host." },
      { vmid: 102, due: true, offeredUntil: clock.now() + 180_000 },
    ],
  });
  await agent.start(102, {});
  expect(await agent.overview()).toMatchObject({ busy: 'A backup of guest 102 is running.' });
});

test('an extra backup is refused while another guest that is due asks for its turn, and waits for none that does not', async () => {
  const { agent, live, callAll } = await evening({
    ...{ vmids: [101, 102], yaml: 'fallback_after: 10h, min_interval: 0s, guests: {"102": {schedule: "12:00"}}' },
  });
  await live(MINUTE, callAll);
  await agent.run(102);
  await live(9 * MINUTE, async () => {
    callAll();
    expect((await agent.due(101)).reason).toBe("Another guest's backup is running on this host.");
  });
  await live(2 * MINUTE, callAll);
  await expect(agent.start(102, {})).rejects.toMatchObject({ code: 'backup-slot-busy' });
  await live(2 * MINUTE, callAll);
  expect(await agent.start(102, {})).toMatchObject({ phase: 'running' });
});

test('a request is answered within ten seconds, however long the check takes, and the next one finds it done', async () => {
  const { agent, pass, host, live, callAll } = await evening();
  await live(20_000, callAll);
  host.checkMs = 30_000;
  pass(10_000);
  const asked = agent.start(101, { request_id: 'r1' });
  for (let tries = 0; tries < 20; tries += 1) await Promise.resolve();
  pass(8000);
  await expect(asked).rejects.toMatchObject({ code: 'backup-not-possible' });
  pass(22_000);
  for (let tries = 0; tries < 20; tries += 1) await Promise.resolve();
  expect(await agent.start(101, { request_id: 'r1' })).toMatchObject({ phase: 'running' });
  expect([host.checks.length, host.jobs.length]).toEqual([1, 2]);
});

test('what was wrong with a guest that is no longer enrolled is wrong no more', async () => {
  const { agent, live, host, guestOf, callAll } = await evening({ vmids: [101, 102] });
  guestOf(102).verdict = refusal('guest-gone');
  await live(HOUR, callAll);
  expect(agent.problems.list(102)).toMatchObject([{ code: 'guest-gone' }]);
  host.guests.delete(102);
  await live(MINUTE / 2, callAll);
  expect(agent.problems.list(102).filter(({ vmid }) => vmid === 102)).toEqual([]);
  expect(agent.problems.list(101)).toMatchObject([{ code: 'guest-absent' }]);
});

test('an offer that a later check refuses is made no more: nothing is held for it again', async () => {
  const { agent, live, callAll, guestOf } = await evening();
  await live(MINUTE, callAll);
  expect((await agent.due(101)).due).toBe(true);
  guestOf(101).verdict = refusal('node-lock-busy');
  await live(70_000, callAll);
  await expect(agent.start(101, {})).rejects.toMatchObject({ code: 'backup-slot-busy' });
  expect(await agent.due(101)).toMatchObject({ due: false, reason: 'It cannot start: node-lock-busy.' });
  guestOf(101).verdict = {};
  await live(4 * MINUTE, callAll);
  expect((await agent.due(101)).due).toBe(true);
});

test('a turn does not run out while the slot is taken', async () => {
  const { agent, live, host, callAll } = await evening({ vmids: [101, 102, 103], yaml: 'fallback_after: 10h' });
  await live(MINUTE, callAll);
  expect((await agent.due(102)).due).toBe(false);
  await agent.run(101);
  await live(11 * MINUTE, callAll);
  expect(host.jobs.at(-1)).toMatchObject({ vmid: 101, state: 'done' });
  expect([(await agent.due(102)).due, (await agent.due(103)).due]).toEqual([false, true]);
});
