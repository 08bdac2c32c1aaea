/**
 * Years of schedules against Proxmox's own calendar (the simulator's, which evaluates in the process's zone): every moment that
 * it names is a due one, those that the clocks skip come at the end of the gap, and nothing else does. FELHOM_SOAK=1: more.
 */
import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { type DutyFacts, decide } from '#agent/duty/due';
import { createOccurrences } from '#agent/duty/occurrences';
import { DAY, HOUR, MINUTE, moments, setup } from './harness.ts';
import { intlTime, offsetsOf } from './intl.ts';

const SOAK = process.env.FELHOM_SOAK === '1';
const YEARS = SOAK ? 10 : 3;
const ZONES = [
  ...['Europe/Budapest', 'Europe/Dublin', 'Africa/Casablanca', 'America/New_York', 'America/St_Johns', 'America/Santiago'],
  ...['Australia/Lord_Howe', 'America/Havana', 'Pacific/Apia', 'Asia/Kathmandu', 'Asia/Tehran', 'UTC'],
  // Not Chatham: the simulator's calendar goes backwards in a fold that does not end on the hour.
  ...(SOAK ? Intl.supportedValuesOf('timeZone').filter((zone, index) => index % 8 === 0 && zone !== 'Pacific/Chatham') : []),
];
const SCHEDULES = [
  ...['02:30', '04:15', '0:0', 'daily', '2,3:30', '*:00', '1..3/2:15', 'mon..fri 22:00', 'sun 02:00', '*-1 03:00'],
  ...['02:30 UTC', '*-*-31 2:59:59'],
  ...(SOAK ? ['*/2:30', 'sat,sun 1,2,3:0', '*-3,10-25..31 2:30', '02:00', '03:00', '23:59:59', '*-2-29 2:30', 'weekly'] : []),
];

const before = process.env.TZ;
afterAll(() => {
  if (before === undefined) delete process.env.TZ;
  else process.env.TZ = before;
});

const FACTS: Omit<DutyFacts, 'now' | 'occurrences' | 'offsetAt'> = {
  rules: { maxAgeMs: 3650 * DAY, minIntervalMs: HOUR, window: { from: 0, to: 1 } },
  ...{ uptimeMs: DAY, lastGoodAt: null, answeredAt: null, lastStartAt: null, sinceStartMs: 0, failures: [] },
  sinceFailureMs: Number.POSITIVE_INFINITY,
};
const began = (at: number, now: number) => ({ lastGoodAt: at, answeredAt: at, lastStartAt: at, sinceStartMs: now - at });

/** Every moment of Proxmox's calendar from `from` to `to`. */
const oracle = (schedule: string, from: number, to: number): number[] => {
  const found: number[] = [];
  for (let at = from / 1000; at * 1000 < to; ) {
    const next = moments(schedule, at);
    found.push(...next.map((one) => one * 1000).filter((one) => one <= to));
    at = next.length < 100 ? Number.POSITIVE_INFINITY : (next.at(-1) ?? Number.POSITIVE_INFINITY);
  }
  return found;
};

/** Proxmox's answer out of a calendar that was evaluated once. */
const sliced =
  (named: readonly number[]) =>
  (start: number): number[] => {
    let [low, high] = [0, named.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((named[middle] ?? 0) > start * 1000) high = middle;
      else low = middle + 1;
    }
    return named.slice(low, low + 100).map((at) => at / 1000);
  };

/** Moments at which a guest is due that is backed up at once whenever it is. */
const dues = async (zone: string, local: number[], walls: number[], from: number, to: number): Promise<number[]> => {
  const { clock, store, pass } = setup({ start: from });
  const answers = { 'the schedule': sliced(local), 'the schedule UTC': sliced(walls) };
  const proxmox = {
    analyzeSchedule: async (event: string, start: number) => answers[event as keyof typeof answers](start),
    timezone: async () => zone,
  };
  const occurrences = createOccurrences({ store, proxmox, clock, journal: () => {}, localTime: intlTime, delayMs: 0 });
  const offsetAt = offsetsOf(zone) ?? (() => 0);
  const found: number[] = [];
  let last = from;
  while (clock.now() < to) {
    // Proxmox is away most of the time: the list is used until little of it is left.
    if ((occurrences.of('the schedule')?.moments.filter((at) => at > clock.now()).length ?? 0) < 10)
      await occurrences.refresh(['the schedule']);
    const kept = occurrences.of('the schedule')?.moments ?? [];
    const now = clock.now();
    const decision = decide({ ...FACTS, now, occurrences: kept, offsetAt, ...began(last, now) });
    if (decision.due) {
      found.push(now);
      last = now;
    }
    const next = kept.find((at) => at > now) ?? now + DAY;
    pass(Math.max(1, Math.min(next - now, 20 * DAY)));
  }
  return found;
};

/** A wall clock that does not exist: named by the schedule in UTC, in no local answer. */
const gapEnds = (zone: string, walls: readonly number[]): number[] => {
  const offsetAt = offsetsOf(zone) ?? (() => 0);
  return walls.flatMap((wall) => {
    const local = new Date(wall);
    const [y, mo, d] = [local.getUTCFullYear(), local.getUTCMonth(), local.getUTCDate()];
    const there = new Date(y, mo, d, local.getUTCHours(), local.getUTCMinutes(), local.getUTCSeconds()).getTime();
    if (there + offsetAt(there) === wall) return [];
    // JavaScript takes a skipped time by the offset before the gap: the gap's end is the first whole minute of the later offset.
    const later = offsetAt(there);
    let end = there;
    while (offsetAt(end - MINUTE) === later) end -= MINUTE;
    return [end - (end % MINUTE)];
  });
};

/** Those that come an interval or more after the one before. */
const apart = (moments: readonly number[], from: number): number[] => {
  const kept: number[] = [];
  for (const at of moments) if (at - (kept.at(-1) ?? from) >= HOUR) kept.push(at);
  return kept;
};

test.each(ZONES)(
  'in %s',
  async (zone) => {
    process.env.TZ = zone;
    const from = Date.UTC(2025, 0, 5, 9);
    for (const schedule of SCHEDULES) {
      const to = from + (schedule === '*:00' ? 1 : YEARS) * 365 * DAY;
      const named = oracle(schedule, from, to + 200 * DAY);
      const walls = schedule.endsWith('UTC') ? [] : oracle(`${schedule} UTC`, from - DAY, to + 200 * DAY);
      const expected = [...new Set([...named, ...gapEnds(zone, walls)])].filter((at) => at > from && at < to);
      expected.sort((a, b) => a - b);
      const counted = apart(expected, from);
      const found = await dues(zone, named, walls, from, to);
      expect(found, schedule).toEqual(counted);
      const gaps = found.map((at, index) => at - (found[index - 1] ?? from));
      expect(Math.min(...gaps.slice(1), Number.POSITIVE_INFINITY), schedule).toBeGreaterThanOrEqual(HOUR);
      if (['02:30', '04:15', '0:0', 'daily'].includes(schedule))
        expect(Math.max(...gaps.slice(1)), schedule).toBeLessThanOrEqual(25 * HOUR + (zone === 'Pacific/Apia' ? HOUR : 0));
    }
  },
  120_000,
);

test('whatever the clock does, a guest is due again within the period and an hour, and never twice within the interval', async () => {
  process.env.TZ = 'Europe/Budapest';
  const act = fc.oneof(
    { weight: 8, arbitrary: fc.record({ kind: fc.constant('pass' as const), ms: fc.integer({ min: MINUTE, max: 30 * HOUR }) }) },
    fc.record({
      kind: fc.constant('jump' as const),
      ms: fc.constantFrom(-DAY, DAY, -HOUR, HOUR, 3650 * DAY, -3650 * DAY, -4 * MINUTE),
    }),
    fc.record({ kind: fc.constant('zone' as const), ms: fc.integer({ min: 0, max: 2 }) }),
    fc.record({ kind: fc.constant('restart' as const), ms: fc.constant(0) }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(act, { minLength: 1, maxLength: 20 }), async (acts) => {
      process.env.TZ = 'Europe/Budapest';
      const world = setup({ start: Date.UTC(2026, 2, 25, 12), zone: 'Europe/Budapest', yaml: 'window: "00:00-23:59"' });
      let agent = await world.startAgent();
      const starts: number[] = [];
      const watch = () => {
        for (const { endsAt } of world.host.jobs.slice(starts.length)) starts.push(endsAt - world.host.jobMs);
      };
      for (const { kind, ms } of acts) {
        if (kind === 'pass') await world.live(agent, ms, watch, 10 * MINUTE);
        else if (kind === 'jump') world.setWall(ms);
        else if (kind === 'restart') agent = await world.startAgent();
        else {
          world.host.zone = ['Europe/Budapest', 'America/New_York', 'Asia/Tehran'][ms] ?? 'UTC';
          process.env.TZ = world.host.zone;
        }
      }
      await world.live(agent, 2 * DAY, watch, 10 * MINUTE);
      const gaps = starts.map((at, index) => at - (starts[index - 1] ?? 0));
      expect(Math.max(...gaps, world.clock.monotonic() - (starts.at(-1) ?? 0))).toBeLessThanOrEqual(25 * HOUR + 40 * MINUTE);
      // A restart forgets the monotonic clock: only then a jump back may hide a start.
      if (!acts.some(({ kind }) => kind === 'restart'))
        expect(Math.min(...gaps.slice(1), HOUR)).toBeGreaterThanOrEqual(HOUR - 10 * MINUTE);
    }),
    { numRuns: SOAK ? 300 : 15 },
  );
}, 120_000);
