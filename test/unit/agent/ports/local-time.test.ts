/** The host's local time, against Intl's. */
import { afterAll, expect, test } from 'vitest';
import { createLocalTime } from '#agent/ports/local-time';
import { offsetsOf } from '../duty/intl.ts';

const before = process.env.TZ;
afterAll(() => {
  if (before === undefined) delete process.env.TZ;
  else process.env.TZ = before;
});

const HOUR = 3_600_000;
const ZONES = ['Europe/Budapest', 'America/St_Johns', 'Australia/Lord_Howe', 'Asia/Kathmandu', 'Africa/Casablanca', 'UTC'];

test.each(ZONES)('%s, every hour of three years', (zone) => {
  const [ours, theirs] = [createLocalTime().inZone(zone), offsetsOf(zone)];
  const from = Date.parse('2026-01-01T00:00Z');
  const differing = Array.from({ length: 3 * 365 * 24 }, (_, hour) => from + hour * HOUR).filter(
    (instant) => ours?.(instant) !== theirs?.(instant),
  );
  expect(differing).toEqual([]);
});

test('two zones side by side, and the one that was asked last is the own one', () => {
  const { inZone, here } = createLocalTime();
  const [summer, winter] = [Date.parse('2026-07-01T00:00Z'), Date.parse('2026-01-01T00:00Z')];
  const [budapest, newYork] = [inZone('Europe/Budapest'), inZone('America/New_York')];
  expect([budapest?.(summer), newYork?.(summer), budapest?.(winter)]).toEqual([2 * HOUR, -4 * HOUR, HOUR]);
  expect(here(summer)).toBe(2 * HOUR);
});

test.each(['Middle/Earth', '', '../../etc/passwd', 'Europe', '/etc/passwd', 'Europe/Budapest\0'])('%j is no zone', (name) => {
  expect(createLocalTime().inZone(name)).toBeNull();
});
