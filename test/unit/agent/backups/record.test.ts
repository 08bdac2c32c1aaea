/** What past jobs say: the last good one, failures since, starts, and how long a hold takes. */
import { describe, expect, test } from 'vitest';
import { type Job, newJob } from '#agent/backups/jobs';
import { recordOf } from '#agent/backups/record';
import { HOUR, setup } from './harness.ts';
import { logLines } from './logs.ts';

const NOW = Date.UTC(2026, 10, 21, 12);
const LOG = logLines('lxc-snapshot-btrfs-two-volumes-and-a-bind-mount');

let count = 0;
const job = (hoursAgo: number, more: Partial<Job> = {}): Job => {
  count += 1;
  const createdAt = NOW - hoursAgo * HOUR;
  const facts = { jobId: `j${count}`, vmid: 101, requestId: null, storage: 'bak', configDigest: '', intends: [] };
  return {
    ...newJob({ ...facts, source: 'schedule', createdAt }),
    startedAt: createdAt,
    finishedAt: createdAt + 60_000,
    ...more,
  };
};
const good = (hoursAgo: number, holdMs: number | null, more: Partial<Job> = {}) => {
  const one = job(hoursAgo, { state: 'done', ...more });
  return { ...one, consistencyPointAt: holdMs === null ? null : one.createdAt + holdMs };
};
const bad = (hoursAgo: number, failure: Job['failure'], more: Partial<Job> = {}) =>
  job(hoursAgo, { state: 'failed', failure, ...more });

describe('from jobs', () => {
  test('none', () =>
    expect(recordOf([], NOW)).toEqual({
      ...{ lastGoodAt: null, lastGood: null, lastStartAt: null, answeredAt: null },
      ...{ failures: [], guestStarts: [], holdExpectedMs: null },
    }));

  test('failures are ours, since the last good one, oldest first', () => {
    const jobs = [
      bad(9, 'task-failed'),
      good(8, 5000),
      bad(3, 'task-failed'),
      bad(2, 'task-failed', { source: 'proxmox' }),
      bad(1, 'cancelled'),
    ];
    const record = recordOf(jobs, NOW);
    expect(record.failures).toEqual([
      { startedAt: NOW - 3 * HOUR, endedAt: NOW - 3 * HOUR + 60_000, failure: 'task-failed' },
      { startedAt: NOW - HOUR, endedAt: NOW - HOUR + 60_000, failure: 'cancelled' },
    ]);
    expect(record).toMatchObject({ lastGoodAt: NOW - 8 * HOUR, lastStartAt: NOW - HOUR });
  });

  test("somebody else's good one counts, and ends the failures", () => {
    const record = recordOf([good(8, 5000), bad(3, 'task-failed'), good(1, null, { source: 'proxmox' })], NOW);
    expect(record).toMatchObject({ lastGoodAt: NOW - HOUR, lastStartAt: NOW - HOUR, failures: [], holdExpectedMs: 5000 });
  });

  test('the data is as old as the earlier of start and point, for either may have been read late', () => {
    expect(recordOf([good(8, -2 * HOUR)], NOW).lastGoodAt).toBe(NOW - 10 * HOUR);
    expect(recordOf([good(8, 5 * HOUR)], NOW).lastGoodAt).toBe(NOW - 8 * HOUR);
  });

  test('the newest is the one that was written last, whatever the clock said', () => {
    expect(recordOf([good(-100, 1000), good(2, 1000)], NOW)).toMatchObject({
      lastStartAt: NOW - 2 * HOUR,
      lastGoodAt: NOW - 2 * HOUR,
    });
  });

  test('what the guest asked for does not answer the schedule, a cancelled one does', () => {
    const extra = good(1, 1000, { source: 'guest' });
    expect(recordOf([good(8, 1000), extra], NOW)).toMatchObject({ answeredAt: NOW - 8 * HOUR, lastGood: extra });
    expect(recordOf([good(8, 1000), bad(2, 'cancelled'), bad(1, 'preempted')], NOW).answeredAt).toBe(NOW - 2 * HOUR);
  });

  test("the guest's own starts of the last day; a future one is not believed", () => {
    const guest = { source: 'guest' } as const;
    const jobs = [bad(25, 'refused', guest), bad(23, 'refused', guest), job(5), job(1, guest), job(-1, guest)];
    expect(recordOf(jobs, NOW).guestStarts).toEqual([NOW - 23 * HOUR, NOW - HOUR]);
  });

  test.each([
    [[4000], 4000],
    [[9000, 1000], 1000],
    [[60_000, 1000, 3000, 2000], 2000],
    [[null], null],
  ])('holds of %j: expected %j', (holds, expected) => {
    expect(
      recordOf(
        holds.map((ms, index) => good(10 - index, ms)),
        NOW,
      ).holdExpectedMs,
    ).toBe(expected);
  });
});

describe('kept current', () => {
  const runOne = async ({ node, advance }: ReturnType<typeof setup>, end = 'OK') => {
    await advance(2000);
    node.write(...LOG);
    node.end(end);
    await advance(5000);
  };

  test('at each change, and the same after a restart', async () => {
    const all = setup();
    const agent = await all.startAgent();
    expect(await agent.record(101)).toMatchObject({ lastStartAt: null });
    await agent.start(101, { source: 'guest' });
    expect(await agent.record(101)).toMatchObject({
      lastStartAt: all.clock.now(),
      guestStarts: [all.clock.now()],
      lastGood: null,
    });
    await runOne(all, 'job errors');
    expect(await agent.record(101)).toMatchObject({ failures: [{ failure: 'task-failed' }] });
    await agent.start(101);
    await runOne(all);
    const record = await agent.record(101);
    expect(record).toMatchObject({ lastGood: { state: 'done' }, failures: [], holdExpectedMs: 2000 });
    expect(await agent.record(102)).toMatchObject({ lastStartAt: null });
    agent.kill();
    expect(await (await all.startAgent()).record(101)).toEqual(record);
  });

  test('also while the disk is full', async () => {
    const all = setup();
    const agent = await all.startAgent();
    await agent.start(101);
    all.fault.full = true;
    await runOne(all);
    await all.advance(5000);
    expect(all.rows()[0]).toMatchObject({ state: 'intent' });
    expect(await agent.record(101)).toMatchObject({ lastGood: { state: 'done' } });
  });

  test('a guest that fails for months has its last good one still', async () => {
    const all = setup();
    const first = await all.startAgent();
    await first.start(101);
    await runOne(all);
    for (let failure = 0; failure < 120; failure += 1) {
      await first.start(101);
      await all.settle();
      all.node.end('job errors');
      await all.advance(4000);
    }
    const record = await first.record(101);
    expect(record).toMatchObject({ lastGood: { state: 'done' }, holdExpectedMs: 2000 });
    expect(record.failures).toHaveLength(100);
    expect(await (await all.startAgent()).record(101)).toEqual(record);
  });
});

test('whoever listens is told of every change, and of the end once it is written', async () => {
  const all = setup();
  const agent = await all.startAgent();
  const changes: string[] = [];
  const ends: unknown[] = [];
  agent.onChange(() => {
    throw new Error('a listener of bad manners');
  });
  agent.onChange(({ state }) => changes.push(state));
  agent.onEnd(({ state }) => ends.push([state, all.rows()[0]?.state, agent.running().length]));
  await agent.start(101);
  await all.advance(2000);
  all.node.write(...LOG);
  all.node.end('OK');
  await all.advance(5000);
  expect([...new Set(changes)]).toEqual(['intent', 'running', 'done']);
  expect(ends).toEqual([['done', 'done', 0]]);
});
