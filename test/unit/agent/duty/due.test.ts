/** When a backup is due, and what people are told of it. */
import { expect, test } from 'vitest';
import { type DutyFacts, decide } from '#agent/duty/due';
import { jitterOf } from '#agent/duty/jitter';
import { span } from '#agent/duty/words';
import { offsetsOf } from './intl.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const at = (hour: number, minute = 0, day = 21) => Date.UTC(2026, 10, day, hour, minute);
/** Every day at 04:15, up to two weeks ahead. */
const DAILY = Array.from({ length: 20 }, (_, day) => at(4, 15, 15) + day * DAY);
const LAST_NIGHT = at(4, 15) + 10_000;
const FACTS: DutyFacts = {
  now: at(12),
  rules: { maxAgeMs: 36 * HOUR, minIntervalMs: HOUR, window: { from: 22 * 60, to: 6 * 60 } },
  occurrences: DAILY,
  offsetAt: offsetsOf('UTC') ?? (() => 0),
  uptimeMs: DAY,
  lastGoodAt: LAST_NIGHT,
  answeredAt: LAST_NIGHT,
  lastStartAt: LAST_NIGHT,
  sinceStartMs: at(12) - LAST_NIGHT,
  failures: [],
  sinceFailureMs: Number.POSITIVE_INFINITY,
};
/** The last backup, good or not, was begun then. */
const began = (when: number, now: number): Partial<DutyFacts> => ({
  ...{ now, lastGoodAt: when, answeredAt: when, lastStartAt: when, sinceStartMs: now - when },
});
const failed = (...failures: string[]) => ({ failures, lastStartAt: at(4, 15, 22), sinceStartMs: HOUR });
const NEVER = { lastGoodAt: null, answeredAt: null, lastStartAt: null, sinceStartMs: Number.POSITIVE_INFINITY };
const old = began(at(4, 15, 20), at(12));

test.each<[string, Partial<DutyFacts>, object]>([
  ['fresh', {}, { due: false, missed: false, nextAt: at(4, 15, 22), reason: 'The last good backup is 7 hours old.' }],
  ['never backed up, at noon', NEVER, { due: true, kind: 'first', reason: 'No backup yet.' }],
  ['never backed up, after a boot', { ...NEVER, uptimeMs: 0 }, { due: true, kind: 'first' }],
  ['a moment before the hour', { now: at(4, 15, 22) - 1 }, { due: false, nextAt: at(4, 15, 22) }],
  ['at the hour', { now: at(4, 15, 22), sinceStartMs: DAY }, { due: true, kind: 'scheduled', since: at(4, 15, 22) }],
  ['two hours late', { now: at(6, 14, 22), sinceStartMs: DAY }, { due: true, kind: 'scheduled' }],
  ['later than that, in the day', { now: at(6, 15, 22), sinceStartMs: DAY }, { due: false, missed: true, nextAt: at(22, 0, 22) }],
  ['later than that, in the window', { ...old, now: at(22) }, { due: true, kind: 'catch-up', since: at(4, 15) }],
  ['in the window, right after a boot', { ...old, now: at(22), uptimeMs: 14 * MINUTE }, { due: false, nextAt: at(22, 1) }],
  [
    'twice max_age, in the day',
    began(at(4, 15, 18), at(12)),
    { due: true, kind: 'catch-up', since: at(4, 15, 19), reason: 'The last good backup is 3 days old.' },
  ],
  [
    'max_age without a schedule, in the day',
    { ...old, occurrences: [], now: at(17) },
    { due: false, missed: true, nextAt: at(22) },
  ],
  ['max_age without a schedule, at night', { ...old, occurrences: [], now: at(23) }, { due: true, since: at(16, 15) }],
  [
    'an extra run just before the hour',
    { now: at(4, 20, 22), lastGoodAt: at(4, 0, 22), lastStartAt: at(4, 0, 22), sinceStartMs: 20 * MINUTE },
    { due: false, nextAt: at(5, 0, 22), reason: 'A backup was started 20 minutes ago; the next may start in 40 minutes.' },
  ],
  [
    'an extra run before the hour, an hour on',
    { now: at(5, 0, 22), lastGoodAt: at(4, 0, 22), lastStartAt: at(4, 0, 22), sinceStartMs: HOUR },
    { due: true, kind: 'scheduled' },
  ],
  ['a foreign run just before the hour', began(at(4, 0, 22), at(5, 0, 22)), { due: false, nextAt: at(4, 15, 23) }],
  // Back-off: whatever the schedule, the window and the interval say.
  ['one failure, 4 minutes ago', { ...failed('task-failed'), sinceFailureMs: 4 * MINUTE }, { due: false, nextAt: at(12, 1) }],
  [
    'one failure, 5 minutes ago',
    { ...failed('task-failed'), sinceFailureMs: 5 * MINUTE },
    { due: true, kind: 'retry', since: at(12) },
  ],
  ['two, 14 minutes ago', { ...failed('task-failed', 'task-lost'), sinceFailureMs: 14 * MINUTE }, { due: false }],
  ['two, 15 minutes ago', { ...failed('task-failed', 'task-lost'), sinceFailureMs: 15 * MINUTE }, { due: true }],
  ['three, 59 minutes ago', { ...failed('a', 'b', 'c'), sinceFailureMs: 59 * MINUTE }, { due: false }],
  ['three, an hour ago', { ...failed('a', 'b', 'c'), sinceFailureMs: HOUR }, { due: true }],
  ['nine, 239 minutes ago', { ...failed(...'abcdefghi'), sinceFailureMs: 239 * MINUTE }, { due: false }],
  ['nine, four hours ago', { ...failed(...'abcdefghi'), sinceFailureMs: 4 * HOUR }, { due: true }],
  ['a failure whose time is not believed', failed('task-failed'), { due: true, kind: 'retry', since: at(12) }],
  ['two, between which one gave way', { ...failed('a', 'preempted', 'b'), sinceFailureMs: 15 * MINUTE }, { due: true }],
  ['gave way, 5 minutes ago', { ...failed('a', 'b', 'preempted'), sinceFailureMs: 5 * MINUTE }, { due: true, kind: 'retry' }],
  ['gave way twice, 14 minutes ago', { ...failed('preempted', 'preempted'), sinceFailureMs: 14 * MINUTE }, { due: false }],
  ['gave way twice, 15 minutes ago', { ...failed('preempted', 'preempted'), sinceFailureMs: 15 * MINUTE }, { due: true }],
  ['cancelled', { ...failed('cancelled'), answeredAt: at(11), sinceFailureMs: HOUR }, { due: false, nextAt: at(4, 15, 22) }],
  [
    'cancelled, never a good one',
    { ...NEVER, ...failed('cancelled'), answeredAt: at(11) },
    { due: false, nextAt: at(4, 15, 22) },
  ],
  [
    'cancelled, the next night',
    { ...NEVER, ...failed('cancelled'), answeredAt: at(11), now: at(4, 15, 22) },
    { due: true, kind: 'scheduled' },
  ],
  // The clock was wrong when these were written.
  [
    'a success in the future',
    { ...began(at(12, 0, 28), at(12)), sinceStartMs: Number.POSITIVE_INFINITY },
    { due: true, kind: 'catch-up', reason: "The last good backup's time lies in the future, so its age is not known." },
  ],
  [
    'a success in the future, right after a start',
    { ...began(at(12, 0, 28), at(12)), sinceStartMs: 10 * MINUTE },
    { due: false },
  ],
  [
    'a success a little ahead',
    began(at(12, 1), at(12)),
    { due: false, reason: 'The last good backup is less than a minute old.' },
  ],
])('%s', (_what, facts, expected) => {
  expect(decide({ ...FACTS, ...facts })).toMatchObject(expected);
});

test('the interval is counted from the scheduled moment, so that an hourly schedule is hourly', () => {
  const hourly = Array.from({ length: 48 }, (_, hour) => at(0) + hour * HOUR);
  const now = at(9);
  const facts = { ...FACTS, occurrences: hourly, ...began(at(8) + 40_000, now) };
  expect(decide(facts)).toMatchObject({ due: true, kind: 'scheduled', since: at(9) });
  expect(decide({ ...facts, now: now - 1 }).due).toBe(false);
});

test("a host's delay is its own, and always the same", () => {
  const delays = Array.from({ length: 1000 }, (_, host) => jitterOf(`host-${host}`));
  expect(Math.min(...delays)).toBeGreaterThanOrEqual(0);
  expect(Math.max(...delays)).toBeLessThan(HOUR);
  const minutes = new Map<number, number>();
  for (const delay of delays) minutes.set(Math.floor(delay / MINUTE), (minutes.get(Math.floor(delay / MINUTE)) ?? 0) + 1);
  expect(Math.max(...minutes.values())).toBeLessThanOrEqual(0.05 * delays.length);
  expect(jitterOf('host-1')).toBe(jitterOf('host-1'));
});

test.each([
  [0, 'less than a minute'],
  [60_000, '1 minute'],
  [119 * 60_000, '119 minutes'],
  [2 * HOUR, '2 hours'],
  [71 * HOUR, '71 hours'],
  [72 * HOUR, '3 days'],
])('%d ms in words', (ms, words) => expect(span(ms)).toBe(words));
