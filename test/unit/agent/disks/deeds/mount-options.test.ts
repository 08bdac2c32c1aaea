import fc from 'fast-check';
import { expect, test } from 'vitest';
import { buildOptions, readOptions } from '#agent/disks/deeds/mount-options';
import type { FelhomError } from '#shared/errors';

const ROOT = { uid: 100_000, gid: 100_000 };
const built = (text: string, fstype: 'ext4' | 'xfs' | 'btrfs' | 'exfat' = 'ext4') =>
  buildOptions(fstype, readOptions(text, fstype), ROOT);

test.each([
  ['ext4', '', 'nosuid,nodev,errors=remount-ro'],
  ['xfs', '', 'nosuid,nodev'],
  ['btrfs', '', 'nosuid,nodev'],
  ['exfat', '', 'nosuid,nodev,uid=100000,gid=100000'],
  ['ext4', 'ro,noatime', 'nosuid,nodev,errors=remount-ro,ro,noatime'],
  ['ext4', 'defaults,rw,relatime,nofail,nosuid,nodev', 'nosuid,nodev,errors=remount-ro'],
  ['btrfs', 'compress', 'nosuid,nodev,compress=zstd'],
  ['btrfs', 'noatime,compress=lzo', 'nosuid,nodev,noatime,compress=lzo'],
] as const)('%s with "%s" is mounted with %s', (fstype, asked, options) => {
  expect(built(asked, fstype)).toBe(options);
});

/** Each could make a mount do something else, or the host stop. */
const FORBIDDEN = (
  'suid dev exec user users owner group loop bind rbind remount move context=x fscontext=x defcontext=x rootcontext=x ' +
  'errors=panic errors=continue device=/dev/sda logdev=/dev/sda rtdev=/dev/sda journal_dev=8:1 journal_path=/x journal_checksum ' +
  'data=journal sb=1 norecovery noload nouuid subvol=x subvolid=5 degraded rescue=all umask=0 fmask=0 dmask=0 uid=0 gid=0 ' +
  'X-mount.idmap=x x-systemd.automount x-systemd.device-timeout=0 _netdev sync async auto noauto helper=x verity.hashdevice=/x ' +
  'RO Ro rO ro\\,suid "ro" \'ro\' ro; ro\tsuid ro\nsuid ro\0 ro%n %n ro=1 compress=zstd:15 compress-force compress=none'
).split(' ');

test.each(FORBIDDEN)('%j is refused, alone and behind what is allowed', (option) => {
  for (const text of [option, `ro,${option}`, `${option},noatime`, ` ${option}`, `ro,,${option}`])
    expect(() => readOptions(text, 'btrfs')).toThrow(expect.objectContaining({ code: 'mount-option-refused' }));
});

test.each([',', 'ro,', ',ro', 'ro, noatime', ' ', '\n'])('%j, which no list of options is, is refused', (text) => {
  expect(() => readOptions(text, 'ext4')).toThrow(expect.objectContaining({ code: 'mount-option-refused' }));
});

test.each(['ro,rw', 'rw,noatime,ro', 'noatime,relatime'])('%s contradicts itself', (text) => {
  expect(() => readOptions(text, 'ext4')).toThrow(/contradict/);
});

test.each(['ext4', 'xfs', 'exfat'] as const)('compress is refused on %s', (fstype) => {
  expect(() => readOptions('compress', fstype)).toThrow(/is for btrfs/);
});

test('whatever is asked for, nothing gets through but what is listed', () => {
  const words = fc.oneof(
    fc.constantFrom('ro', 'rw', 'noatime', 'compress', 'nosuid', 'nodev', 'relatime', ...FORBIDDEN),
    fc.string({ maxLength: 12 }),
  );
  const own = /^nosuid,nodev(,errors=remount-ro|,uid=100000,gid=100000)?(,ro)?(,noatime)?(,compress=(zstd|zlib|lzo))?$/;
  fc.assert(
    fc.property(fc.array(words, { maxLength: 6 }), fc.constantFrom('ext4', 'xfs', 'btrfs', 'exfat'), (asked, fstype) => {
      try {
        return own.test(built(asked.join(','), fstype));
      } catch (error) {
        return (error as FelhomError).code === 'mount-option-refused';
      }
    }),
    { numRuns: 500 },
  );
});
