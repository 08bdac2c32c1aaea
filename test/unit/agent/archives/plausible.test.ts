/** Which sizes are believed. */
import { expect, test } from 'vitest';
import { plausibility } from '#agent/archives/plausible';
import { archiveAt, DAY, NOON } from './setup.ts';

/** One a day, the oldest first. */
const history = (sizes: readonly number[]) =>
  sizes.map((sizeBytes, index) => archiveAt(NOON - (sizes.length - index) * DAY, { sizeBytes }));

test.each<[string, number[], boolean, number[]]>([
  ['the first one', [100], true, [100]],
  ['as large as the others', [100, 110, 90, 100], true, [100, 90, 110]],
  ['half of them', [100, 100, 100, 50], true, [50, 100, 100]],
  ['less than half of them', [100, 100, 100, 49], false, [100, 100, 100]],
  ['twice as large', [100, 100, 100, 300], true, [300, 100, 100]],
  ['the size of the last of three, one of which was large', [100, 1000, 100, 100], true, [100, 100, 1000]],
  ['empty, and the first', [0], false, []],
  ['the sixth that is nearly empty: they do not vouch for each other', [100, 100, 100, 1, 1, 1, 1, 1, 1], false, [100, 100, 100]],
  ['the seventh of a new size', [100, 100, 100, 40, 40, 40, 40, 40, 40, 40], true, [40, 40, 40]],
  ['empty for the seventh time', [100, 100, 0, 0, 0, 0, 0, 0, 0], false, [100, 100]],
])('%s', (_what, sizes, isBelieved, recent) => {
  const found = plausibility(history(sizes));
  expect(found.missing === null).toBe(isBelieved);
  expect(found.sizes).toEqual(recent);
});

test('damaged ones, those of others and those of another format do not count', () => {
  const [a, b, c, d] = history([100, 100, 100, 10]);
  if (!a || !b || !c || !d) throw new Error('four');
  expect(plausibility([a, b, c, d]).missing).toEqual({ sizeBytes: 10, leastBytes: 50 });
  expect(plausibility([a, b, c, { ...d, verification: 'failed' }]).missing).toBeNull();
  expect(plausibility([a, b, c, { ...d, source: 'proxmox' }]).missing).toBeNull();
  expect(plausibility([a, b, c, { ...d, format: 'tar.gz' }]).missing).toBeNull();
});
