import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { listedDurableId } from '#agent/disks/durable-id';
import type { Drive } from '#agent/disks/inventory/drive';
import { driveDurableId, isDurableId } from '#shared/durable-id';
import { madeDrive, madeFilesystem } from './made.ts';

const DIGEST = '0123456789abcdefghjkmnpqrs';

describe('the written form', () => {
  test('role, model, serial, bytes, digest', () => {
    expect(listedDurableId(madeDrive())).toMatch(/^byid:user-data\.Drive\.S1\.500000000000\.[0-9a-hjkmnp-tv-z]{26}$/);
  });

  test.each([
    ['a dot', 'a.b', 'a_b'],
    ['a shell', 'x;curl$(id)|sh `w` "q"', 'x_curl__id__sh__w___q_'],
    ['an escape', 'a\x1b[31m', 'a__31m'],
    ['a zero byte', 'a\0b', 'a_b'],
    ['two bytes a letter', 'é', '__'],
    ['right to left', '\u202e', '___'],
    ['nothing', '', '_'],
    ['a slash and a line', 'a/b\nc', 'a_b_c'],
    ['what may stay', 'WD:40-A_', 'WD:40-A_'],
  ])('%s', (_what, serial, written) => {
    const id = driveDurableId({ role: 'system', model: 'm', serial, sizeBytes: 5, digest: DIGEST });
    expect(id).toBe(`byid:system.m.${written}.5.${DIGEST}`);
  });

  test('whatever a drive says, it stays inert, short and whole', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary', maxLength: 4096 }),
        fc.string({ unit: 'grapheme', maxLength: 300 }),
        (model, serial) => {
          const id = driveDurableId({ role: 'user-data', model, serial, sizeBytes: Number.MAX_SAFE_INTEGER, digest: DIGEST });
          expect(isDurableId(id)).toBe(true);
          expect(id.split('.')).toHaveLength(5);
          expect(id.endsWith(`.${DIGEST}`)).toBe(true);
        },
      ),
    );
  });

  test('in a shell it is one word', () => {
    const id = driveDurableId({ role: 'system', model: '`id`', serial: "x';touch /tmp/pwned;'", sizeBytes: 1, digest: DIGEST });
    expect(execFileSync('/bin/sh', ['-c', `printf '%s\\n' ${id}`]).toString()).toBe(`${id}\n`);
  });
});

describe('the digest', () => {
  const base = madeDrive({
    filesystems: [madeFilesystem()],
    device: { partitions: [{ name: 'sdb1', numbers: '8:17', sizeBytes: 499, startBytes: 1048576, holders: [] }] },
  });
  const id = listedDurableId(base);

  test.each<[string, Drive]>([
    ['the role', { ...base, role: 'backup' }],
    ['the place where it is plugged in', { ...base, identity: { ...base.identity, busPath: 'usb-2' } }],
    ['the WWN', { ...base, identity: { ...base.identity, wwn: '0x5' } }],
    ['the table', { ...base, identity: { ...base.identity, tableUuid: 'x' } }],
    ['a key', { ...base, identity: { ...base.identity, keys: [...base.identity.keys, 'part:x'] } }],
    ['a label', { ...base, filesystems: [madeFilesystem({ label: 'other' })] }],
    ['a UUID', { ...base, filesystems: [madeFilesystem({ uuid: '1234-ABCD' })] }],
    [
      'where a partition begins',
      { ...base, device: { ...base.device, partitions: base.device.partitions.map((one) => ({ ...one, startBytes: 2 })) } },
    ],
    ['a serial that is written alike', { ...base, identity: { ...base.identity, serial: 'S1\u0001' } }],
  ])('changes with %s', (_what, drive) => {
    expect(listedDurableId(drive)).not.toBe(id);
  });

  test('does not change with names, counters and states', () => {
    const moved: Drive = {
      ...base,
      name: 'sdq',
      device: {
        ...base.device,
        name: 'sdq',
        diskseq: 99,
        sectorsWritten: 7,
        partitions: base.device.partitions.map((one) => ({ ...one, name: 'sdq1', numbers: '65:1' })),
      },
      filesystems: [madeFilesystem({ device: 'sdq1', numbers: '65:1' })],
      identity: { ...base.identity, keys: [...base.identity.keys].reverse() },
      state: 'mounted',
      dataReason: 'other words',
      holders: [{ kind: 'mount', sentence: 'x', vmid: null, pid: null }],
    };
    expect(listedDurableId(moved)).toBe(id);
  });
});
