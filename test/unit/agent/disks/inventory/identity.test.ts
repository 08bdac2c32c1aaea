/** What a drive is known by, from whichever source has it. */
import { describe, expect, test } from 'vitest';
import type { UdevEntry } from '#agent/disks/inventory/evidence';
import { identityOf, mdId } from '#agent/disks/inventory/identity';
import type { KernelDevice } from '#agent/ports/sysfs';
import { madeDevice } from '../made.ts';

const identity = (device: Partial<KernelDevice>, properties: Record<string, string>, sets: string[] = []) => {
  const udev = new Map<string, UdevEntry>([['sdb', { properties, links: [] }]]);
  return identityOf({ device: madeDevice({ sizeBytes: 1000, ...device }), udev, probe: null }, sets);
};

describe('a drive', () => {
  test('is known by what the kernel and what udev call it, which need not be the same', () => {
    const { model, serial, wwn, keys } = identity(
      { model: 'Samsung SSD 860', serial: '', wwn: '0x5002538E40A1B2C3' },
      { ID_MODEL: 'Samsung_SSD_860_EVO_1TB', ID_SERIAL_SHORT: 'S3Z8NB0K', ID_WWN: '0x5002538e40a1b2c3' },
    );
    expect({ model, serial, wwn }).toEqual({ model: 'Samsung SSD 860 EVO 1TB', serial: 'S3Z8NB0K', wwn: '0x5002538e40a1b2c3' });
    expect(keys).toEqual(['wwn:0x5002538e40a1b2c3', 'serial:samsung_ssd_860_evo_1tb/s3z8nb0k/1000']);
  });

  test('of SAS is called by its own serial; its name in udev is its WWN', () => {
    const { serial, keys } = identity(
      { serial: '' },
      { ID_MODEL: 'X', ID_SERIAL_SHORT: '35000c500a1b2c3d4', ID_SCSI_SERIAL: 'ZA1234' },
    );
    expect(serial).toBe('ZA1234');
    expect(keys).toEqual(['serial:x/za1234/1000', 'serial:x/35000c500a1b2c3d4/1000']);
  });

  test('of an array has its own WWN only with the extension', () => {
    const { wwn } = identity(
      { wwn: '' },
      { ID_WWN: '0x600508b1001c2f3e', ID_WWN_WITH_EXTENSION: '0x600508b1001c2f3e9a8b7c6d5e4f3a2b' },
    );
    expect(wwn).toBe('0x600508b1001c2f3e9a8b7c6d5e4f3a2b');
  });

  test('without a serial or WWN is known by nothing of its hardware', () => {
    expect(identity({ model: 'Stick', serial: '', wwn: '' }, { ID_WWN: '0x0000000000000000' }).keys).toEqual([]);
  });

  test('that was not read is known by what udev remembers, and by its sets', () => {
    const { keys, tableUuid } = identity(
      { serial: '' },
      { ID_PART_TABLE_UUID: 'AAAA-1', ID_FS_TYPE: 'LVM2_member', ID_FS_UUID: 'abc\\x20d' },
      ['vg:v1'],
    );
    expect([keys, tableUuid]).toEqual([['table:aaaa-1', 'pv:abc_d', 'vg:v1'], 'aaaa-1']);
  });
});

test('an array has one key, however its identifier is written', () => {
  expect(['3aaa0122:29827cfa:5331ad66:ca767371', '3AAA0122-2982-7CFA-5331-AD66CA767371'].map(mdId)).toEqual([
    '3aaa012229827cfa5331ad66ca767371',
    '3aaa012229827cfa5331ad66ca767371',
  ]);
});
