import { expect, test } from 'vitest';
import { createSysfs } from '#agent/ports/sysfs';
import { classOfPath, classOfStorage, type Drives, drivesBehind } from '#agent/storage/class';
import { parseMountinfo } from '#shared/mountinfo';
import { storageConfig } from '../fake-host.ts';
import { makeTree, type Tree } from '../ports/tree.ts';

const disk = (name: string, numbers: string, rotational: 0 | 1): Tree => ({
  [`block/${name}/dev`]: `${numbers}\n`,
  [`block/${name}/queue/rotational`]: `${rotational}\n`,
});

const layer = (name: string, numbers: string, slaves: string[], dm = ''): Tree => ({
  [`block/${name}/dev`]: `${numbers}\n`,
  [`block/${name}/queue/rotational`]: '1\n',
  ...Object.fromEntries(slaves.map((slave) => [`block/${name}/slaves/${slave}`, ''])),
  ...(dm === ''
    ? {}
    : { [`block/${name}/dm/name`]: `${dm}\n`, [`block/${name}/dm/uuid`]: `${dm.startsWith('luks') ? 'CRYPT' : 'LVM'}-1\n` }),
});

const TREE: Tree = {
  ...disk('nvme0n1', '259:0', 0),
  'block/nvme0n1/nvme0n1p3/dev': '259:3\n',
  ...disk('sda', '8:0', 1),
  'block/sda/sda1/dev': '8:1\n',
  ...disk('sdc', '8:32', 0),
  ...disk('sdd', '8:48', 0),
  'devices/usb1/1-1/block/sdu/dev': '65:0\n',
  'devices/usb1/1-1/block/sdu/queue/rotational': '1\n',
  'block/sdu': '->../devices/usb1/1-1/block/sdu',
  'devices/usb1/1-2/block/sdv/dev': '65:16\n',
  'devices/usb1/1-2/block/sdv/queue/rotational': '0\n',
  'block/sdv': '->../devices/usb1/1-2/block/sdv',
  'block/zd0/dev': '230:0\n',
  ...layer('dm-0', '252:0', ['nvme0n1p3'], 'pve-root'),
  ...layer('dm-1', '252:1', ['nvme0n1p3'], 'pve-data_tdata'),
  ...layer('dm-2', '252:2', ['dm-1', 'dm-9'], 'pve-data-tpool'),
  ...layer('dm-9', '252:9', ['sda1'], 'pve-data_tmeta'),
  ...layer('dm-3', '252:3', ['sda1'], 'big--disks-vm--101--disk--0'),
  ...layer('dm-4', '252:4', ['sda1'], 'pve-slow'),
  ...layer('dm-5', '252:5', ['md0'], 'luks-vault'),
  ...layer('dm-6', '252:6', ['dm-7'], 'loop-a'),
  ...layer('dm-7', '252:7', ['dm-6'], 'loop-b'),
  ...layer('dm-8', '252:8', ['sdc', 'vanished'], 'odd-one'),
  ...layer('md0', '9:0', ['sdc', 'sdd']),
  ...layer('md1', '9:1', ['sdc', 'sda']),
  ...layer('md2', '9:2', ['sdc', 'sdu']),
  'fs/btrfs/1/devices/sdc': '',
  'fs/btrfs/1/devices/sda': '',
};

const MOUNTS = `26 1 252:0 / / rw,relatime shared:1 - ext4 /dev/mapper/pve-root rw
40 26 8:1 / /mnt/bak rw shared:2 - ext4 /dev/sda1 rw
41 26 9:0 / /mnt/raid rw - xfs /dev/md0 rw
42 26 9:1 / /mnt/mixed rw - xfs /dev/md1 rw
43 26 0:45 / /mnt/btrfs rw - btrfs /dev/sdc rw,subvolid=5
44 26 0:46 / /mnt/btrfs-one rw - btrfs /dev/nvme0n1p3 rw
45 26 0:47 / /mnt/pve/nas rw - nfs4 nas:/export rw
46 26 0:48 / /tank rw - zfs tank rw
47 26 65:0 / /mnt/usb rw - ext4 /dev/sdu rw
48 26 65:16 / /mnt/usb-ssd rw - ext4 /dev/sdv rw
49 26 8:1 / /mnt/with\\040blank rw - ext4 /dev/sda1 rw
50 26 0:49 / /mnt/auto rw - autofs systemd-1 rw
51 26 252:5 / /mnt/vault rw - ext4 /dev/mapper/luks-vault rw
52 26 9:2 / /mnt/half rw - ext4 /dev/md2 rw
53 26 252:6 / /mnt/knot rw - ext4 /dev/dm-6 rw
54 26 99:1 / /mnt/nowhere rw - ext4 /dev/ghost rw
garbage
`;

const ZFS = [{ name: 'tank', devices: ['/dev/sdc', '/dev/disk/by-id/ata-DISK_1-part1'] }];

const read = async (): Promise<Drives> => {
  const sysfs = createSysfs({ sys: await makeTree(TREE) });
  const [devices, btrfsMembers] = await Promise.all([sysfs.blockDevices(), sysfs.btrfsMembers()]);
  return {
    devices,
    btrfsMembers,
    mounts: parseMountinfo(MOUNTS),
    links: { '/dev/disk/by-id/ata-DISK_1-part1': 'sda1' },
    zfsPools: ZFS,
  };
};

/** Read once: the first test waits for all of it. */
let known: Promise<Drives> | undefined;
const drives = (): Promise<Drives> => {
  known ??= read();
  return known;
};

test.each([
  ['/', 'fast'],
  ['/var/lib/vz', 'fast'],
  ['/mnt/bak', 'slow'],
  ['/mnt/bak/dump', 'slow'],
  ['/mnt/bakery', 'fast'],
  ['/mnt/raid', 'fast'],
  ['/mnt/mixed', 'slow'],
  ['/mnt/btrfs', 'slow'],
  ['/mnt/btrfs-one', 'fast'],
  ['/mnt/pve/nas', ''],
  ['/tank/x', 'slow'],
  ['/mnt/usb', ''],
  ['/mnt/usb-ssd', 'fast'],
  ['/mnt/with blank/x', 'slow'],
  ['/mnt/auto', ''],
  ['/mnt/vault', 'fast'],
  ['/mnt/half', ''],
  ['/mnt/knot', 'slow'],
  ['/mnt/nowhere', ''],
  ['/dev/sda', 'slow'],
  ['/dev/sda1', 'slow'],
  ['/dev/nvme0n1', 'fast'],
  ['/dev/disk/by-id/ata-DISK_1-part1', 'slow'],
  ['/dev/disk/by-id/ata-GONE', ''],
  ['/dev/mapper/luks-vault', 'fast'],
  ['/dev/mapper/odd-one', ''],
  ['/dev/zd0', ''],
])('path %s: %j', async (path, expected) => expect(classOfPath(await drives(), path)).toBe(expected));

test.each([
  ['dir', { path: '/mnt/bak' }, 'slow'],
  ['dir', { path: '/mnt/bak', keys: { is_mountpoint: 'yes' } }, 'slow'],
  ['dir', { path: '/mnt/bak/sub', keys: { is_mountpoint: '/mnt/bak' } }, 'slow'],
  ['dir', { path: '/mnt/unplugged', keys: { is_mountpoint: '1' } }, ''],
  ['dir', { path: '/mnt/unplugged/sub', keys: { is_mountpoint: '/mnt/unplugged' } }, ''],
  ['dir', { path: '' }, ''],
  ['btrfs', { path: '/mnt/btrfs' }, 'slow'],
  ['lvmthin', { keys: { vgname: 'pve', thinpool: 'data' } }, 'fast'],
  ['lvmthin', { keys: { vgname: 'pve', thinpool: 'other' } }, 'slow'],
  ['lvm', { keys: { vgname: 'pve' } }, 'slow'],
  ['lvm', { keys: { vgname: 'big-disks' } }, 'slow'],
  ['lvm', { keys: { vgname: 'luks' } }, ''],
  ['lvm', { keys: { vgname: 'empty' } }, ''],
  ['lvm', {}, ''],
  ['nfs', { path: '/mnt/pve/unmounted' }, ''],
  ['zfspool', { keys: { pool: 'rpool/data' } }, ''],
  ['zfspool', { keys: { pool: 'tank/vm' } }, 'slow'],
  ['pbs', {}, ''],
])('storage %s %j: %j', async (type, facts, expected) =>
  expect(classOfStorage(await drives(), storageConfig({ path: '', ...facts, type }))).toBe(expected),
);

test.each([
  ['dir', { path: '/var/lib/vz' }, ['nvme0n1'], true],
  ['dir', { path: '/mnt/raid' }, ['sdc', 'sdd'], true],
  ['dir', { path: '/mnt/vault' }, ['sdc', 'sdd'], true],
  ['dir', { path: '/tank/dump' }, ['sda', 'sdc'], true],
  ['dir', { path: '/mnt/nowhere' }, [], false],
  ['dir', { path: '/mnt/unplugged', keys: { is_mountpoint: '1' } }, [], false],
  ['btrfs', { path: '/mnt/btrfs' }, ['sda', 'sdc'], true],
  // Its metadata is on another drive than its data.
  ['lvmthin', { keys: { vgname: 'pve', thinpool: 'data' } }, ['nvme0n1', 'sda'], true],
  ['lvm', { keys: { vgname: 'pve' } }, ['nvme0n1', 'sda'], true],
  ['lvm', { keys: { vgname: 'big-disks' } }, ['sda'], true],
  ['lvm', { keys: { vgname: 'empty' } }, [], false],
  ['zfspool', { keys: { pool: 'tank' } }, ['sda', 'sdc'], true],
  ['zfspool', { keys: { pool: 'gone/vm' } }, [], false],
])('drives behind storage %s %j: %j', async (type, facts, names, whole) =>
  expect(drivesBehind(await drives(), storageConfig({ path: '', ...facts, type }))).toEqual({ names, whole }),
);

test('a layer that lost a drive is told', async () => {
  const all = await drives();
  const mounts = parseMountinfo('1 1 252:8 / / rw - ext4 /dev/dm-8 rw');
  expect(drivesBehind({ ...all, mounts }, storageConfig({}))).toEqual({ names: ['sdc'], whole: false });
});

test.each(['nfs', 'cifs', 'pbs', 'rbd', 'iscsi'])('behind %s there is no drive of this host', async (type) =>
  expect(drivesBehind(await drives(), storageConfig({ type }))).toBeNull(),
);
