/** Whatever a source says, it is understood whole or said to be missing: nothing that reads one fails in any other way. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseBlockDrivers, parseFilesystems, parseMdstat, parseSwaps } from '#agent/disks/sources/kernel-text';
import { NotUnderstood, plainText } from '#agent/not-understood';
import { bootPartitions } from '#agent/ports/boot-entry';
import { parseBootUuids, parseCrypttab, parseFstab, parseMdadm } from '#agent/ports/config-text';
import { parsePvs } from '#agent/ports/lvm';
import { parseMappings, parseStorages } from '#agent/ports/proxmox-files';
import { parseUdevFile } from '#agent/ports/udev-db';
import { mountUnit, unescapePath } from '#agent/ports/unit-file';
import { parsePools } from '#agent/ports/zpool';

const fixture = (path: string) => readFileSync(join(import.meta.dirname, '../../../fixtures/drives', path), 'utf8');
const LIST = fixture('zpool/list.txt');
const FACTS = { hostname: 'pve1', machineId: '0f', kernelRelease: '6.14' };

/** Each with something it understands. */
const READERS: readonly [string, (text: string) => unknown, string][] = [
  ['swaps', parseSwaps, 'Filename\tType\tSize\tUsed\tPriority\n/dev/sda2 partition 1 0 -2\n'],
  [
    'mdstat',
    parseMdstat,
    'Personalities : [raid1] \nmd0 : active raid1 sde1[0] sdf1[1](F)\n      1 blocks\n\nunused devices: <none>\n',
  ],
  ['drivers', parseBlockDrivers, 'Character devices:\n  1 mem\n\nBlock devices:\n  8 sd\n252 device-mapper\n'],
  ['file systems', parseFilesystems, 'nodev\tproc\n\text4\n'],
  ['pvs', parsePvs, fixture('lvm/one-missing.json')],
  ['zpool list', (text) => parsePools(text, fixture('zpool/status.txt')), LIST],
  ['zpool status', (text) => parsePools(LIST, text), fixture('zpool/status.txt')],
  ['udev', (text) => parseUdevFile(text, 'b8:0'), 'S:disk/by-id/x\nI:1\nE:ID_FS_TYPE=ext4\nG:systemd\n'],
  ['fstab', parseFstab, '# x\nUUID="1" /mnt/a\\040b ext4 nofail 0 1\n'],
  ['crypttab', parseCrypttab, 'c UUID=2 none luks\n'],
  ['mdadm.conf', (text) => parseMdadm(text, 'mdadm.conf'), `ARRAY /dev/md0\n  UUID=${'1'.repeat(32)}\n`],
  ['boot uuids', parseBootUuids, 'D0B1-3CC5\n'],
  ['a unit', (text) => mountUnit('mnt-a.mount', text, FACTS), '[Unit]\nAfter=x\n[Mount]\nWhat=/dev/%p\\\n  x\n#Where=\n'],
  ['a unit’s name', unescapePath, 'mnt-a\\x2db'],
  ['storage.cfg', parseStorages, 'dir: local\n\tpath /var/lib/vz\n\n# x\nlvmthin: l\n\tvgname pve\n'],
  ['a mapping', (text) => parseMappings(text, 'usb.cfg'), 'key\n\tmap id=1058:25a2,node=pve1\n'],
];

const understood = (read: (text: string) => unknown, text: string): void => {
  try {
    read(text);
  } catch (error) {
    expect(error).toBeInstanceOf(NotUnderstood);
  }
};

/** A sample with a piece cut out and something else in its place. */
const spoilt = (sample: string) =>
  fc
    .tuple(
      fc.nat(sample.length),
      fc.nat(40),
      fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('\n', '\t', '=', ':', '\0', '%', '\\', '"')),
    )
    .map(([at, length, text]) => sample.slice(0, at) + text + sample.slice(at + length));

test.each(READERS)('%s', (_name, read, sample) => {
  expect(() => read(sample)).not.toThrow();
  fc.assert(
    fc.property(fc.oneof(spoilt(sample), fc.string({ unit: 'binary' })), (text) => understood(read, text)),
    { numRuns: 300 },
  );
});

test('what the firmware says', () => {
  const bytes = fc
    .uint8Array({ maxLength: 120 })
    .map((content) => Buffer.concat([Buffer.from([7, 0, 0, 0, 1, 0, 0, 0, 42, 0]), content]));
  fc.assert(
    fc.property(bytes, (content) => understood(() => bootPartitions(content, 'Boot0001'), '')),
    { numRuns: 1_000 },
  );
});

test('bytes that are not text are not taken for text, and text is taken as it is', () => {
  fc.assert(fc.property(fc.uint8Array(), (bytes) => understood(() => plainText(Buffer.from(bytes), 'x'), '')));
  const text = fc.string({ unit: 'grapheme' }).filter((one) => !one.includes('\0'));
  fc.assert(
    fc.property(text, (one) => {
      expect(plainText(Buffer.from(one, 'utf8'), 'x')).toBe(one);
    }),
  );
});
