import { execFileSync } from 'node:child_process';
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createSysfs } from '#agent/ports/sysfs';
import { makeTree } from './tree.ts';

test("a drive's sensor is never opened, whatever its number", async () => {
  const sys = await makeTree({
    'class/hwmon/hwmon0/name': 'drivetemp\n',
    'class/hwmon/hwmon1/name': 'coretemp\n',
    'class/hwmon/hwmon1/temp1_label': 'Package id 0\n',
    'class/hwmon/hwmon1/temp1_input': '43000\n',
  });
  const trap = join(sys, 'class/hwmon/hwmon0/temp1_input');
  execFileSync('/usr/bin/mkfifo', [trap]);
  const chips = createSysfs({ sys }).hwmon((name) => name === 'coretemp');
  const first = await Promise.race([chips, new Promise((resolve) => setTimeout(resolve, 500, 'hung: the trap was opened'))]);
  expect(first).toEqual([{ name: 'coretemp', temperatures: [{ label: 'Package id 0', millidegrees: 43_000 }] }]);
  await expect(open(trap, constants.O_WRONLY | constants.O_NONBLOCK)).rejects.toMatchObject({ code: 'ENXIO' });
});

test('block devices: partitions, layers, medium, USB', async () => {
  const sys = await makeTree({
    'devices/pci0000:00/ata1/block/sda/dev': '8:0\n',
    'devices/pci0000:00/ata1/block/sda/queue/rotational': '1\n',
    'devices/pci0000:00/ata1/block/sda/sda1/dev': '8:1\n',
    'devices/pci0000:00/ata1/block/sda/slaves/': '',
    'devices/pci0000:00/usb2/2-1/2-1:1.0/block/sdb/dev': '8:16\n',
    'devices/pci0000:00/usb2/2-1/2-1:1.0/block/sdb/queue/rotational': '0\n',
    'devices/virtual/block/dm-0/dev': '252:0\n',
    'devices/virtual/block/dm-0/queue/rotational': '1\n',
    'devices/virtual/block/dm-0/dm/name': 'pve-root\n',
    'devices/virtual/block/dm-0/dm/uuid': 'LVM-abc\n',
    'devices/virtual/block/dm-0/slaves/sda1': '->../../../../pci0000:00/ata1/block/sda/sda1',
    'block/sda': '->../devices/pci0000:00/ata1/block/sda',
    'block/sdb': '->../devices/pci0000:00/usb2/2-1/2-1:1.0/block/sdb',
    'block/dm-0': '->../devices/virtual/block/dm-0',
    'block/loop0/dev': '7:0\n',
  });
  const bare = { usb: false, slaves: [], partitions: [], dm: null };
  expect(await createSysfs({ sys }).blockDevices()).toEqual([
    { ...bare, name: 'dm-0', numbers: '252:0', rotational: true, slaves: ['sda1'], dm: { name: 'pve-root', uuid: 'LVM-abc' } },
    { ...bare, name: 'loop0', numbers: '7:0', rotational: null },
    { ...bare, name: 'sda', numbers: '8:0', rotational: true, partitions: [{ name: 'sda1', numbers: '8:1' }] },
    { ...bare, name: 'sdb', numbers: '8:16', rotational: false, usb: true },
  ]);
});

test('btrfs sets and the links of /dev/disk', async () => {
  const sys = await makeTree({
    'fs/btrfs/5f3c/devices/sda2': '',
    'fs/btrfs/5f3c/devices/sdb2': '',
    'fs/btrfs/features/raid1c34': '',
  });
  const dev = await makeTree({ 'disk/by-id/ata-DISK_1': '->../../sda', 'disk/by-uuid/ab-cd': '->../../sda1' });
  expect(await createSysfs({ sys }).btrfsMembers()).toEqual([['sda2', 'sdb2']]);
  expect(await createSysfs({ dev }).diskLinks()).toEqual({
    '/dev/disk/by-id/ata-DISK_1': 'sda',
    '/dev/disk/by-uuid/ab-cd': 'sda1',
  });
});

test('without block devices to read it fails: an empty list would be a claim', async () => {
  await expect(createSysfs({ sys: '/nonexistent' }).blockDevices()).rejects.toThrow();
});
