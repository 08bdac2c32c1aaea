/** Local time, its gaps and its folds; and the window of the local day. */
import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { isInside, opensAt } from '#agent/duty/window';
import { instantOf } from '#agent/duty/zone';
import type { OffsetAt } from '#agent/ports/local-time';
import { offsetsOf } from './intl.ts';

const HOUR = 3_600_000;
const zoneOf = (zone: string): OffsetAt => {
  const offsetAt = offsetsOf(zone);
  if (offsetAt === null) throw new Error(`no zone ${zone}`);
  return offsetAt;
};
const before = process.env.TZ;
afterAll(() => {
  if (before === undefined) delete process.env.TZ;
  else process.env.TZ = before;
});

test.each([
  ['Europe/Budapest, a summer night', 'Europe/Budapest', '2026-07-01T02:30', '2026-07-01T00:30Z', false],
  ['Europe/Budapest, in the gap', 'Europe/Budapest', '2026-03-29T02:30', '2026-03-29T01:00Z', true],
  ['Europe/Budapest, its last second before', 'Europe/Budapest', '2026-03-29T01:59:59', '2026-03-29T00:59:59Z', false],
  ['Europe/Budapest, its first second after', 'Europe/Budapest', '2026-03-29T03:00', '2026-03-29T01:00Z', false],
  ['Europe/Budapest, twice in autumn: the earlier', 'Europe/Budapest', '2026-10-25T02:30', '2026-10-25T00:30Z', false],
  ['Lord Howe, half an hour', 'Australia/Lord_Howe', '2026-10-04T02:15', '2026-10-03T15:30Z', true],
  ['Apia, a day that never was', 'Pacific/Apia', '2011-12-30T12:00', '2011-12-30T10:00Z', true],
  ['UTC', 'UTC', '2026-03-29T02:30', '2026-03-29T02:30Z', false],
])('%s', (_what, zone, wall, instant, skipped) => {
  expect(instantOf(zoneOf(zone), Date.parse(`${wall}Z`))).toEqual({ at: Date.parse(instant), skipped });
});

test("offsets and instants are the host's own", () => {
  const zones = [
    'Europe/Budapest',
    'America/St_Johns',
    'Australia/Lord_Howe',
    'Africa/Casablanca',
    'Asia/Kathmandu',
    'America/Santiago',
  ];
  const times = fc.integer({ min: Date.UTC(2000, 0), max: Date.UTC(2040, 0) });
  for (const zone of zones) {
    process.env.TZ = zone;
    const offsetAt = zoneOf(zone);
    fc.assert(
      fc.property(times, (ms) => {
        const instant = Math.floor(ms / 1000) * 1000;
        const local = new Date(instant);
        const wall = Date.UTC(
          local.getFullYear(),
          local.getMonth(),
          local.getDate(),
          local.getHours(),
          local.getMinutes(),
          local.getSeconds(),
        );
        expect(instant + offsetAt(instant)).toBe(wall);
        const found = instantOf(offsetAt, wall);
        expect(found.skipped).toBe(false);
        expect(found.at === instant || found.at === instant - HOUR || found.at === instant - HOUR / 2).toBe(true);
      }),
      { numRuns: 200 },
    );
  }
});

const NIGHT = { from: 22 * 60, to: 6 * 60 };
const budapest = zoneOf('Europe/Budapest');
test.each([
  ['before it', NIGHT, '2026-11-21T20:59Z', '2026-11-21T21:00Z'],
  ['at its beginning', NIGHT, '2026-11-21T21:00Z', null],
  ['after midnight', NIGHT, '2026-11-21T02:00Z', null],
  ['at its end', NIGHT, '2026-11-21T05:00Z', '2026-11-21T21:00Z'],
  ['of the day, before', { from: 60, to: 120 }, '2026-11-20T23:59Z', '2026-11-21T00:00Z'],
  ['of the day, after', { from: 60, to: 120 }, '2026-11-21T01:00Z', '2026-11-22T00:00Z'],
  ['that opens in a gap', { from: 150, to: 240 }, '2026-03-29T00:30Z', '2026-03-29T01:00Z'],
])('a window %s', (_what, window, now, opening) => {
  const at = Date.parse(now);
  expect(isInside(window, budapest, at)).toBe(opening === null);
  expect(opensAt(window, budapest, at)).toBe(opening === null ? at : Date.parse(opening));
});
