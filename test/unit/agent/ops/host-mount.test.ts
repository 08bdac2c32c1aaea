/** A mount of the host's, as what is needed to make it again. */
import { expect, test } from 'vitest';
import { plainOptions, sourceNow, unmountedOf } from '#agent/ops/host-mount';
import { parseMountinfo } from '#shared/mountinfo';
import { host, look, uuidOf } from '../disks/host.ts';

const drive = look(host({ drives: [{ name: 'sdb' }] })).drive('sdb');
const UUID = `UUID=${uuidOf('sdb1')}`;
const numbers = drive.filesystems[0]?.numbers ?? '';

const made = (...lines: string[]) => {
  const mounts = parseMountinfo(lines.map((line, index) => `${30 + index} 1 ${line.replace('N', numbers)}\n`).join(''));
  const units = [{ file: 'mnt-usb.mount', what: '/dev/sdb1', where: '/mnt/usb/' }];
  const [mount] = mounts;
  if (mount === undefined) throw new Error('no mount');
  return unmountedOf({ drive, mounts, units }, mount);
};

test.each([
  [
    'by its UUID, with its unit',
    ['N / /mnt/usb rw,noatime - ext4 /dev/sdb1 rw,errors=remount-ro'],
    [UUID, 'ext4', 'rw,noatime,errors=remount-ro', 'mnt-usb.mount'],
  ],
  ['one that can only be read stays so', ['N / /srv/a ro,noatime - ext4 /dev/sdb1 rw'], [UUID, 'ext4', 'ro,noatime', '']],
  ['not what an error made of it', ['N / /srv/a rw - ext4 /dev/sdb1 rw,emergency_ro'], [UUID, 'ext4', 'rw', '']],
  [
    'what FUSE says of its own is left out',
    ['N / /srv/a rw,nosuid - fuseblk /dev/sdb1 rw,user_id=0,allow_other,blksize=4096'],
    [UUID, 'ext4', 'rw,nosuid', ''],
  ],
  [
    'a subvolume',
    ['0:47 /sub /srv/a rw - btrfs /dev/sdb1 rw,subvolid=256,subvol=/sub'],
    [UUID, 'ext4', 'rw,subvolid=256,subvol=/sub', ''],
  ],
  ['an unlocked volume by its path', ['253:1 / /srv/a rw - ext4 /dev/mapper/usb rw'], ['/dev/mapper/usb', 'ext4', 'rw', '']],
  [
    'a part that is bound, by the mount that shows it',
    ['N /dump/new /srv/a rw,nodev - ext4 /dev/sdb1 rw', 'N / /mnt/usb rw - ext4 /dev/sdb1 rw'],
    ['/mnt/usb/dump/new', 'none', 'bind,nodev', ''],
  ],
])('%s', (_what, lines, [source, fstype, options, unit]) => {
  expect(made(...lines)).toMatchObject({ kind: 'unmounted', source, fstype, options, unit });
});

test('a part that nothing shows cannot be made again', () => {
  expect(made('N /dump /srv/a rw - ext4 /dev/sdb1 rw')).toBeNull();
});

test('found again by its UUID under whatever name; gone when the file system is', () => {
  const one = made('N / /mnt/usb rw - ext4 /dev/sdb1 rw');
  if (one === null) throw new Error('no mount');
  expect(sourceNow(drive, one)).toBe('/dev/sdb1');
  const elsewhere = look(host({ drives: [{ name: 'sdx', parts: [{ on: [{ type: 'ext4', uuid: uuidOf('sdb1') }] }] }] }));
  expect(sourceNow(elsewhere.drive('sdx'), one)).toBe('/dev/sdx1');
  expect(sourceNow(look(host({ drives: [{ name: 'sdb', parts: [] }] })).drive('sdb'), one)).toBeNull();
});

test.each([
  ['rw,nosuid,noatime,attr2,logbufs=8', 'rw,nosuid,noatime'],
  ['rw,ssd,subvolid=5,subvol=/sub', 'rw,subvol=/sub'],
  ['bind,nodev', 'bind,nodev'],
  ['errors=remount-ro', 'rw'],
])('of %s every kernel takes %s', (all, plain) => {
  expect(plainOptions(all)).toBe(plain);
});
