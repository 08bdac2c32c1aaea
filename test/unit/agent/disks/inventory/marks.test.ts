/** Drives that are being formatted, and drives that a format spoilt: whose they are, what they are for, and what is told of them. */
import { describe, expect, test } from 'vitest';
import type { FormatMark } from '#agent/disks/inventory/marks';
import { type DriveSpec, host, look, uuidOf } from '../host.ts';
import { because, madeRecord } from '../made.ts';

const MARK: FormatMark = {
  ...{ state: 'running', drive: 9, bootId: 'boot', device: 'sdb', diskseq: 2, role: 'backup' },
  identity: { model: 'Drive', serial: '', sizeBytes: 500_000_000_000, busPath: '/sys/devices/pci0000:00/0000:00:17.1/block/sdb' },
  sentence: 'It is being formatted with ext4.',
};
const OWNER = { vmid: 101, instance: 'a', since: 1 };
/** Of which nothing is left by which it was known. */
const RECORD = madeRecord({ id: 9, keys: ['fs:gone'], owner: OWNER });
/** A dock without a serial number. */
const BARE: DriveSpec = { name: 'sdb', serial: '' };

const sdb = (mark: Partial<FormatMark>, spec: Partial<DriveSpec> = {}, bootId = 'boot', record = RECORD) =>
  look(host({ drives: [{ ...BARE, ...spec }] }), {
    records: [record],
    formats: { bootId, marks: [{ ...MARK, ...mark }] },
  }).drive('sdb');

test('while it is being formatted it is what it was, in use, and nobody reads more into it', () => {
  const drive = sdb({}, { parts: [], table: 'gpt', declared: 0 });
  expect(drive).toMatchObject({
    role: 'backup',
    state: 'in-use',
    record: { id: 9, owner: OWNER },
    dataBearing: true,
    dataReason: MARK.sentence,
  });
  expect(drive.holders).toHaveLength(1);
});

describe('spoilt', () => {
  const broken = { state: 'broken', role: 'user-data', sentence: 'Formatting it was interrupted.' } as const;

  test.each<[string, Partial<DriveSpec>]>([
    ['half a table', { parts: [], table: 'dos' }],
    ['a partition that is not listed', { declared: 3 }],
    ['several things at once', { ambivalent: ['sdb'] }],
    ['nothing that is known', { on: [{ type: 'strange' }] }],
    ['a file system that cannot be looked into', {}],
  ])('what is left over (%s) makes a customer’s drive nobody else’s', (_what, spec) => {
    const drive = sdb(broken, spec);
    expect(drive).toMatchObject({
      role: 'user-data',
      record: { id: 9, owner: OWNER },
      dataReason: broken.sentence,
      format: { state: 'broken' },
    });
  });

  test('after a start of the host it is known by its place, and what is on it counts again', () => {
    expect(sdb(broken, { parts: [], table: 'dos' }, 'later')).toMatchObject({
      role: 'system',
      record: { id: 9 },
      dataReason: broken.sentence,
    });
    // Elsewhere nothing tells it.
    expect(sdb({ ...broken, identity: { ...MARK.identity, busPath: 'elsewhere' } }, {}, 'later').record).toBeNull();
  });

  test('another drive in the same dock, known by what is on it, is that other one', () => {
    const role = { role: 'backup', why: because('backup').sentence, since: 1 } as const;
    const other = madeRecord({ id: 12, keys: [`fs:${uuidOf('sdb1')}`], owner: { ...OWNER, vmid: 102 } });
    const { drive } = look(host({ drives: [BARE] }), {
      records: [{ ...RECORD, role }, other],
      formats: { bootId: 'later', marks: [{ ...MARK, ...broken, role: 'backup' }] },
    });
    expect(drive('sdb')).toMatchObject({ record: { id: 12 }, related: [], dataReason: expect.stringMatching(/ext4 on sdb1/) });
    expect(drive('sdb').format).toBeUndefined();
  });

  test('with a serial it is known wherever it is', () => {
    const known = madeRecord({ id: 9, keys: ['serial:drive/s1/500000000000'], owner: OWNER });
    const drive = sdb({ ...broken, identity: { ...MARK.identity, busPath: 'elsewhere' } }, { serial: 'S1' }, 'later', known);
    expect(drive).toMatchObject({ record: { id: 9 }, dataReason: broken.sentence });
  });

  test('what the host uses stays the host’s', () => {
    const { drive } = look(host({ drives: [BARE], mounts: [{ point: '/srv', from: 'sdb1' }] }), {
      records: [RECORD],
      formats: { bootId: 'boot', marks: [{ ...MARK, ...broken }] },
    });
    expect(drive('sdb')).toMatchObject({ role: 'system', state: 'in-use' });
  });

  test('its remembered role stays', () => {
    const role = { role: 'backup', why: because('backup').sentence, since: 1 } as const;
    expect(sdb({ ...broken, role: 'backup' }, {}, 'boot', { ...RECORD, role })).toMatchObject({ role: 'backup' });
  });
});

test('another drive under its name has nothing to do with it', () => {
  expect(sdb({ diskseq: 77, identity: { ...MARK.identity, busPath: 'elsewhere' } })).toMatchObject({
    record: null,
    state: 'available',
  });
});
