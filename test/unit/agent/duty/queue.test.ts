/** The order among guests that are due. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { inOrder, type Waiting } from '#agent/duty/queue';

const one = (vmid: number, facts: Partial<Waiting> = {}): Waiting => ({
  ...{ vmid, since: 100, dataOf: 50, retry: false, stopped: false, lapsed: false },
  ...facts,
});

test.each<[string, Waiting, Waiting]>([
  ['the most overdue', one(102, { since: 1 }), one(101)],
  ['never backed up', one(102, { since: Number.NEGATIVE_INFINITY }), one(101, { since: 1 })],
  ['a first attempt before a retry, however old', one(102), one(101, { retry: true, since: 1 })],
  ['running before stopped', one(102), one(101, { stopped: true, since: 1 })],
  ["a stopped one's first attempt before a retry", one(102, { stopped: true }), one(101, { retry: true })],
  ['whoever let its turn pass comes last', one(102, { retry: true, stopped: true }), one(101, { lapsed: true, since: 1 })],
  ['of one moment, the one with the older data', one(102, { dataOf: 49 }), one(101)],
  ['by number where nothing else differs', one(101), one(102)],
])('%s', (_what, first, second) => {
  expect(inOrder([second, first])).toEqual([first, second]);
  expect(inOrder([first, second])).toEqual([first, second]);
});

test('the order does not depend on who was met first', () => {
  const guest = fc.record({
    vmid: fc.integer({ min: 100, max: 200 }),
    ...{ since: fc.integer({ min: 0, max: 3 }), dataOf: fc.integer({ min: 0, max: 2 }) },
    ...{ retry: fc.boolean(), stopped: fc.boolean(), lapsed: fc.boolean() },
  });
  fc.assert(
    fc.property(fc.uniqueArray(guest, { selector: ({ vmid }) => vmid, minLength: 1 }), (guests) => {
      expect(inOrder([...guests].reverse())).toEqual(inOrder(guests));
    }),
  );
});
