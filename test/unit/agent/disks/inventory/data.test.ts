/** Whether a drive carries data, and in which words that is said (hazard 17; T27, T28). */
import { describe, expect, test } from 'vitest';
import { type BlankState, bytesText, dataOf } from '#agent/disks/inventory/data';
import type { Known, Probe } from '#agent/disks/inventory/evidence';
import { madeDevice } from '../made.ts';

const probe = (facts: Partial<Probe> = {}): Known<Probe> => ({
  known: true,
  value: { signatures: [], ambivalent: [], clean: true, tableUuid: '', declared: null, partitionUuids: {}, ...facts },
});
const signature = (type: string, device = 'sdb', label = '') => ({ device, offset: 0, type, uuid: '', label });
const part = { name: 'sdb1', numbers: '8:17', sizeBytes: 1, startBytes: 1, holders: [] };

const LOOKS_EMPTY = 'It looks empty, but it has not been read to its end';

describe('a drive without any signature', () => {
  test.each<[string, BlankState | undefined, boolean, string]>([
    ['read to its end, all zero', { state: 'proved' }, false, 'It is empty: all of it was read, and all of it is zero.'],
    ['not read', { state: 'unread' }, true, `${LOOKS_EMPTY}.`],
    ['never asked to be read', undefined, true, `${LOOKS_EMPTY}.`],
    ['being read', { state: 'reading', readFraction: 0.427 }, true, `${LOOKS_EMPTY} yet: 42 % so far.`],
    ['nearly read', { state: 'reading', readFraction: 0.99999 }, true, `${LOOKS_EMPTY} yet: 99 % so far.`],
    ['read as more than there is', { state: 'reading', readFraction: 7 }, true, `${LOOKS_EMPTY} yet: 99 % so far.`],
    [
      'with something behind',
      { state: 'data', at: 67_108_864 },
      true,
      'No file system was found on it, but something is written on it, first at 67.1 MB from its start.',
    ],
  ])('%s', (_what, blank, dataBearing, dataReason) => {
    expect(dataOf(madeDevice(), probe(), blank)).toEqual({ dataBearing, dataReason });
  });
});

test('something at the very front is said to be there', () => {
  expect(dataOf(madeDevice(), probe(), { state: 'data', at: 0 }).dataReason).toContain('right at its start');
});

/** Not even a proof makes these blank. */
test.each<[string, Known<Probe> | undefined, Parameters<typeof madeDevice>[0], string]>([
  ['not read yet', undefined, {}, 'It has not been looked at, so it counts as carrying data.'],
  ['not readable', { known: false, why: 'x' }, {}, 'It could not be read, so it counts as carrying data.'],
  [
    'with a signature',
    probe({ signatures: [signature('ext4', 'sdb1', 'Photos'), signature('ext4', 'sdb1', 'Photos')], clean: false }),
    {},
    'It carries ext4 "Photos" on sdb1.',
  ],
  [
    'with several',
    probe({ signatures: [signature('gpt'), signature('PMBR'), signature('crypto_LUKS', 'sdb1')] }),
    {},
    'It carries a partition table (GPT) on sdb, LUKS encryption on sdb1.',
  ],
  [
    'with a file system whose boot sector looks like a table',
    probe({ signatures: [signature('ntfs'), signature('dos')] }),
    {},
    'It carries ntfs on sdb.',
  ],
  ['with partitions', probe(), { partitions: [part] }, 'It has partitions.'],
  [
    'about which blkid and wipefs do not agree',
    probe({ clean: false }),
    {},
    'What is on it could not be told, so it counts as carrying data.',
  ],
  [
    'on which blkid found several things',
    probe({ ambivalent: ['sdb'] }),
    {},
    'What is on it could not be told, so it counts as carrying data.',
  ],
  ['without a size', probe(), { sizeBytes: null }, 'What is on it could not be told, so it counts as carrying data.'],
  ['of no size', probe(), { sizeBytes: 0 }, 'What is on it could not be told, so it counts as carrying data.'],
])('a drive %s carries data', (_what, probed, device, dataReason) => {
  expect(dataOf(madeDevice(device), probed, { state: 'proved' })).toEqual({ dataBearing: true, dataReason });
});

test.each([
  [0, '0 bytes'],
  [999, '999 bytes'],
  [1000, '1.0 kB'],
  [4_000_787_030_016, '4.0 TB'],
])('%i bytes', (bytes, text) => {
  expect(bytesText(bytes)).toBe(text);
});
