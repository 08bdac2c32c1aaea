import { describe, expect, test } from 'vitest';
import { type Claims, claim, isSuspended, mayTake, standingOf } from '#agent/disks/known/ownership';
import { FelhomError } from '#shared/errors';
import { madeRecord } from '../made.ts';

const claims = (facts: Partial<Claims> = {}): Claims => ({
  guests: null,
  enrolled: [101],
  instances: new Map([
    [101, 'a'],
    [102, 'b'],
  ]),
  ...facts,
});

const by = (vmid: number, instance: string) => madeRecord({ owner: { vmid, instance, since: 5 } });
const free = madeRecord();

const codeOf = (act: () => unknown): string => {
  try {
    act();
    return '';
  } catch (error) {
    return error instanceof FelhomError ? error.code : String(error);
  }
};

test.each([
  ['the only enrolled guest', null, [101], true],
  ['one of two enrolled ones', null, [101, 102], false],
  ['nobody is enrolled', null, [], false],
  ['another is the only one', null, [102], false],
  ['named', [101], [101, 102], true],
  ['another is named', [102], [101], false],
  ['nobody may', [], [101], false],
])('who may take a free drive: %s', (_what, guests, enrolled, may) => {
  expect(mayTake(101, claims({ guests, enrolled }))).toBe(may);
});

describe('101 asks', () => {
  test.each([
    ['a drive without a record', { record: null, related: [] }, claims(), 'free', ''],
    ['a free drive', { record: free, related: [free] }, claims(), 'free', ''],
    ['a free drive that it may not take', { record: free, related: [] }, claims({ guests: [102] }), 'free', 'not-yours'],
    [
      'a free drive, its configuration unread',
      { record: free, related: [] },
      claims({ instances: new Map() }),
      'free',
      'drive-unknown-owner',
    ],
    ['its own', { record: by(101, 'a'), related: [] }, claims({ guests: [] }), 'yours', ''],
    ['its own in another enclosure', { record: free, related: [by(101, 'a')] }, claims(), 'yours', ''],
    ['its own and its copy', { record: by(101, 'a'), related: [by(101, 'a')] }, claims(), 'yours', ''],
    ["another's", { record: by(102, 'b'), related: [] }, claims(), 'not-yours', 'not-yours'],
    ["a copy of another's", { record: free, related: [by(102, 'b')] }, claims(), 'not-yours', 'not-yours'],
    [
      "its own, related to another's",
      { record: by(101, 'a'), related: [by(102, 'b')] },
      claims(),
      'not-yours',
      'drive-unknown-owner',
    ],
    ['one of a former guest 101', { record: by(101, 'old'), related: [] }, claims(), 'not-yours', 'drive-unknown-owner'],
    [
      'its own, its configuration unread',
      { record: by(101, 'a'), related: [] },
      claims({ instances: new Map() }),
      'not-yours',
      'drive-unknown-owner',
    ],
    [
      'one taken without an instance',
      { record: by(101, ''), related: [] },
      claims({ instances: new Map([[101, '']]) }),
      'not-yours',
      'drive-unknown-owner',
    ],
  ] as const)('%s', (_what, drive, given, owner, code) => {
    const standing = standingOf(drive, 101, given);
    expect(standing.owner).toBe(owner);
    expect(standing.why === '').toBe(code === '');
    expect(codeOf(() => claim(drive, 101, given, 9))).toBe(code);
  });
});

test('taking a free drive makes an owner; an owner stays since when it was', () => {
  expect(claim({ record: free, related: [] }, 101, claims(), 9)).toEqual({ vmid: 101, instance: 'a', since: 9 });
  expect(claim({ record: by(101, 'a'), related: [] }, 101, claims(), 9)).toEqual({ vmid: 101, instance: 'a', since: 5 });
});

test('an owner is suspended unless its guest is known to be the same', () => {
  const { instances } = claims();
  expect(isSuspended({ vmid: 101, instance: 'a', since: 1 }, instances)).toBe(false);
  expect(isSuspended({ vmid: 101, instance: 'b', since: 1 }, instances)).toBe(true);
  expect(isSuspended({ vmid: 103, instance: 'a', since: 1 }, instances)).toBe(true);
});
