import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { disksBehind } from '#controller/ports/block-devices';

let sys = '';
beforeEach(async () => {
  sys = await mkdtemp(join(tmpdir(), 'felhom-sys-'));
});
afterEach(() => rm(sys, { recursive: true }));

const file = async (path: string, text: string) => {
  await mkdir(dirname(join(sys, path)), { recursive: true });
  await writeFile(join(sys, path), text);
};
const link = async (path: string, to: string) => {
  await mkdir(dirname(join(sys, path)), { recursive: true });
  await mkdir(join(sys, to), { recursive: true });
  await symlink(join(sys, to), join(sys, path));
};
const HOST = 'devices/pci0000:00/0000:00:05.0/virtio2/host2';
const SDA = `${HOST}/block/sda`;
const SDB = `${HOST}/block/sdb`;

const behind = async (device: string, more: { fstype?: string; source?: string } = {}) =>
  (await disksBehind({ device, fstype: 'ext4', source: '', ...more }, sys))?.map(({ path }) => path) ?? null;

/** sda with a partition, sdb; a device mapper volume over both, an md over that. */
beforeEach(async () => {
  await file(`${SDA}/sda1/partition`, '1\n');
  await file(`${SDA}/device/wwid`, 't10.QEMU    QEMU HARDDISK   drive-scsi0     \n');
  await mkdir(join(sys, SDB), { recursive: true });
  await link('dev/block/8:0', SDA);
  await link('dev/block/8:1', `${SDA}/sda1`);
  await link('dev/block/8:16', SDB);
  await link('dev/block/253:0', 'devices/virtual/block/dm-0');
  await link('devices/virtual/block/dm-0/slaves/sda1', `${SDA}/sda1`);
  await link('devices/virtual/block/dm-0/slaves/sdb', SDB);
  await link('dev/block/9:0', 'devices/virtual/block/md0');
  await link('devices/virtual/block/md0/slaves/dm-0', 'devices/virtual/block/dm-0');
});

test.each([
  ['a disk', '8:0', [`/${SDA}`]],
  ['a partition', '8:1', [`/${SDA}`]],
  ['a logical volume over two', '253:0', [`/${SDA}`, `/${SDB}`]],
  ['a set over that volume', '9:0', [`/${SDA}`, `/${SDB}`]],
  ['nothing that sysfs knows', '0:40', null],
])('%s', async (_what, device, disks) => {
  expect(await behind(device)).toEqual(disks);
});

test('what a disk calls itself is read', async () => {
  const [disk] = (await disksBehind({ device: '8:1', fstype: 'ext4', source: '' }, sys)) ?? [];
  expect(disk).toMatchObject({ name: 'sda', ids: expect.stringContaining('drive-scsi0') });
});

test('a slave that is gone: the whole is not known', async () => {
  await symlink(join(sys, 'gone'), join(sys, 'devices/virtual/block/dm-0/slaves/sdc'));
  expect(await behind('253:0')).toBeNull();
});

test('btrfs: all its members, by one of them', async () => {
  await link('fs/btrfs/0000-1/devices/sda1', `${SDA}/sda1`);
  await link('fs/btrfs/0000-1/devices/sdb', SDB);
  expect(await behind('0:40', { fstype: 'btrfs', source: '/dev/sda1' })).toEqual([`/${SDA}`, `/${SDB}`]);
  expect(await behind('0:40', { fstype: 'btrfs', source: '/dev/sdz' })).toBeNull();
});
