import { expect, test } from 'vitest';
import { failingProblem, type Judged, nextFailing } from '#agent/disks/smart/failing';
import { smartReading } from '#agent/disks/smart/parse';

const judged = (health: 'PASSED' | 'FAILING' | 'UNKNOWN' | 'nothing'): Judged => ({
  plug: 'boot/1',
  name: 'sda',
  reading: health === 'nothing' ? null : { ...smartReading({}), health },
});
const HOUR = 3_600_000;
/** A drive that has been well since the fifth hour. */
const RECOVERING = new Map([['boot/1', 5 * HOUR]]);

test.each([
  ['failing again', 'FAILING', 9, [['boot/1', null]]],
  ['well, and not for long', 'PASSED', 7, [['boot/1', 5 * HOUR]]],
  ['well for hours', 'PASSED', 7.5, []],
  // What it says nothing of, it has not said to be well.
  ['without a verdict', 'UNKNOWN', 9, [['boot/1', null]]],
  ['without any reading', 'nothing', 9, [['boot/1', null]]],
] as const)('a drive that was failing and is %s', (_what, health, hours, expected) =>
  expect([...nextFailing(RECOVERING, [judged(health)], hours * HOUR)]).toEqual(expected),
);

test('a drive that never failed is not told of', () => {
  expect([...nextFailing(new Map(), [judged('UNKNOWN'), judged('PASSED')], 0)]).toEqual([]);
  expect(failingProblem(new Map(), [judged('PASSED')])).toBeNull();
});
