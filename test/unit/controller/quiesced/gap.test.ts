import { expect, test } from 'vitest';
import { createGapWatch } from '#controller/quiesced/gap';
import { TICK_MS } from '#shared/quiesce/awake';

/** Ticks until `to`, the hold seen at each of `stood`. */
const watched = (to: number, stood: number[]) => {
  const gaps = createGapWatch(0);
  for (let now = TICK_MS; now <= to; now += TICK_MS) {
    gaps.tick(now);
    for (const at of stood) if (at > now - TICK_MS && at <= now) gaps.stood(at);
  }
  return gaps;
};

test.each([
  ['awake all the time', 5000, [4000], 5100, null],
  ['frozen right after it was seen', 5000, [4500], 12_000, 7000],
  ['frozen long after it was last seen', 5000, [3000], 12_000, null],
  ['never seen', 5000, [], 12_000, null],
  ['late, but not frozen', 5000, [4500], 5900, null],
] as const)('%s', (_what, awakeTo, stood, askedAt, gap) => {
  expect(watched(awakeTo, [...stood]).endedWithin(askedAt)).toBe(gap);
});

test('a freeze explains only what is found within five seconds', () => {
  const gaps = watched(5000, [4500]);
  for (let now = 12_000; now < 17_000; now += TICK_MS) gaps.tick(now);
  expect(gaps.endedWithin(16_900)).toBe(7000);
  expect(gaps.endedWithin(17_000)).toBeNull();
});

test('a hold that was seen after the freeze, and ended just then, stood all through it', () => {
  const gaps = watched(5000, [4500]);
  gaps.tick(12_000);
  gaps.stood(12_100);
  expect(gaps.endedWithin(12_500)).toBe(7000);
});
