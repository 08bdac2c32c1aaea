import { Value } from 'typebox/value';
import { expect, test } from 'vitest';
import type { GuestType } from '#agent/ports/proxmox';
import { guestCoverage } from '#agent/storage/coverage';
import { guestVolumes } from '#agent/storage/volumes';
import { Coverage } from '#shared/wire/archives';

const states = (type: GuestType, config: Record<string, string>) =>
  guestCoverage(type, config).map(({ key, mount_point, state }) =>
    [key, mount_point, state].filter((part) => part !== '').join(' '),
  );
const one = (type: GuestType, key: string, text: string, more: Record<string, string> = {}) =>
  states(type, { ...more, [key]: text });

test.each([
  ['rootfs', 'local-lvm:vm-101-disk-0,size=8G', 'rootfs / in-backup'],
  ['rootfs', 'local-lvm:vm-101-disk-0,backup=0', 'rootfs / in-backup'],
  ['mp0', 'tank:x,mp=/data,backup=1', 'mp0 /data in-backup'],
  ['mp0', 'tank:x,mp=/data', 'mp0 /data excluded'],
  ['mp0', 'tank:x,mp=/data,backup=0', 'mp0 /data excluded'],
  ['mp1', '/mnt/felhom/photos,mp=/photos,backup=1', 'mp1 /photos bind'],
  ['mp1', '/dev/sdb1,mp=/disk,backup=1', 'mp1 /disk device'],
  ['mp2', 'nonsense,mp=/n,backup=1', 'mp2 /n unknown'],
  ['mp2', '', 'mp2 unknown'],
  ['dev0', '/dev/sdb,mode=0660', 'dev0 device'],
  ['dev0', 'path=/dev/disk/by-id/ata-X', 'dev0 device'],
])('container: %s: %s: %s', (key, text, expected) => expect(one('lxc', key, text)).toEqual([expected]));

test.each([
  ['/mnt/usb mnt/usb none bind,create=dir 0 0', 'lxc /mnt/usb bind'],
  ['/mnt/felhom/101 mnt/felhom none rbind,rslave,create=dir', 'lxc /mnt/felhom bind'],
  ['/mnt/my\\040drive mnt/my\\040drive none bind 0 0', 'lxc /mnt/my drive bind'],
  ['/mnt/a /absolute none bind', 'lxc /absolute bind'],
  ['/dev/sdb1 mnt/disk ext4 defaults 0 0', 'lxc /mnt/disk device'],
  ['/dev/sdb1 mnt/disk none bind 0 0', 'lxc /mnt/disk device'],
  ['/dev/pve/data mnt/disk ext4 defaults', 'lxc /mnt/disk device'],
  ['UUID=1234 mnt/disk ext4 defaults', 'lxc /mnt/disk device'],
  ['server:/export mnt/nas nfs rw', 'lxc /mnt/nas unknown'],
  ['relative mnt/x none bind', 'lxc /mnt/x unknown'],
  ['overlay mnt/x overlay lowerdir=/a', 'lxc /mnt/x unknown'],
  ['/mnt/usb', 'lxc unknown'],
])('container, by hand: %s: %s', (entry, expected) =>
  expect(one('lxc', 'lxc', `lxc.mount.entry = ${entry}`)).toEqual([expected]),
);

test.each([
  'lxc.mount.entry = /dev/dri dev/dri none bind,optional,create=dir',
  'lxc.mount.entry = /dev/net/tun dev/net/tun none bind,create=file',
  'lxc.mount.entry = /dev/ttyUSB0 dev/ttyUSB0 none bind,optional,create=file',
  'lxc.mount.entry = tmpfs tmp tmpfs defaults',
  'lxc.mount.auto = proc:rw',
  'lxc.cgroup2.devices.allow = c 226:0 rwm',
  '',
])('container, by hand: %s holds no data', (line) => expect(one('lxc', 'lxc', line)).toEqual([]));

test('container, by hand: every line is looked at, and a file of mounts is not known', () => {
  const lxc = [
    'lxc.apparmor.profile = unconfined',
    'lxc.mount.entry = /a a none bind',
    'lxc.mount.entry = /b b none bind',
    'lxc.mount.fstab = /etc/lxc/fstab',
  ].join('\n');
  expect(states('lxc', { rootfs: 'a1:x', lxc })).toEqual(['rootfs / in-backup', 'lxc /a bind', 'lxc /b bind', 'lxc unknown']);
});

test.each(['net0', 'unused0', 'dev1', 'memory', 'usb0', 'args'])('container: %s is no mount', (key) =>
  expect(one('lxc', key, '/dev/ttyACM0')).toEqual([]),
);

test.each([
  ['scsi0', 'local-lvm:vm-100-disk-0,size=32G', 'scsi0 in-backup'],
  ['virtio1', 'nfs:100/vm-100-disk-1.qcow2,backup=0', 'virtio1 excluded'],
  ['scsi2', '/dev/disk/by-id/ata-DISK_1,size=4T', 'scsi2 in-backup'],
  ['scsi2', '/dev/disk/by-id/ata-DISK_1,backup=0', 'scsi2 excluded'],
  ['efidisk0', 'local-lvm:vm-100-disk-1', 'efidisk0 excluded'],
  ['tpmstate0', 'local-lvm:vm-100-disk-2', 'tpmstate0 in-backup'],
  ['virtiofs0', 'photos,cache=auto', 'virtiofs0 bind'],
  ['hostpci0', '0000:01:00.0,pcie=1', 'hostpci0 device'],
  ['usb0', 'host=1058:25ee', 'usb0 device'],
  ['usb1', 'mapping=stick', 'usb1 device'],
  ['scsi3', 'nonsense', 'scsi3 unknown'],
  ['args', '-drive file=/srv/x.raw,if=virtio', 'args unknown'],
  ['args', '-blockdev driver=file,filename=/x', 'args unknown'],
  ['args', '-cpu host -virtfs local,path=/x', 'args unknown'],
])('machine: %s: %s: %s', (key, text, expected) => expect(one('qemu', key, text)).toEqual([expected]));

test.each([
  ['usb0', 'spice,usb3=1'],
  ['usb0', 'host=spice'],
  ['args', '-cpu host,+aes'],
  ['args', ''],
  ['ide2', 'none,media=cdrom'],
  ['lxc', 'lxc.mount.entry = /a a none bind'],
  ['net0', 'virtio=AA:BB'],
])('machine: %s: %s is not listed', (key, text) => expect(one('qemu', key, text)).toEqual([]));

test('what is said to be in a backup is what vzdump takes, and nothing else', () => {
  const configs: [GuestType, Record<string, string>][] = [
    ['lxc', { rootfs: 'a1:x', mp0: 'a1:y,mp=/y', mp1: 'a1:z,mp=/z,backup=1', mp2: '/b,mp=/b,backup=1', dev0: '/dev/sdb' }],
    [
      'qemu',
      { bios: 'ovmf', efidisk0: 'a1:x', scsi0: 'a1:y,backup=0', scsi1: '/dev/sdb', virtiofs0: 'd', args: '-drive file=x' },
    ],
  ];
  for (const [type, config] of configs) {
    const taken = guestVolumes(type, config).flatMap(({ key, backup }) => (backup ? [key] : []));
    expect(guestCoverage(type, config).flatMap(({ key, state }) => (state === 'in-backup' ? [key] : []))).toEqual(taken);
  }
});

test('each reason is a sentence without paths, and fits the wire', () => {
  const lxc = 'lxc.mount.entry = /secret/dir a none bind\nlxc.mount.fstab = /x';
  const mounts = [
    ...guestCoverage('lxc', {
      rootfs: 'a1:x',
      mp0: '/secret/dir,mp=/a',
      mp1: 'a1:x,mp=/b',
      mp2: 'x,mp=/c',
      dev0: '/dev/sdb',
      lxc,
    }),
    ...guestCoverage('qemu', {
      scsi0: 'a1:x',
      scsi1: '/dev/sdb',
      usb0: 'host=1:2',
      virtiofs0: 'd',
      args: '-drive x',
      efidisk0: 'a1:x',
    }),
  ];
  for (const { reason } of mounts) {
    expect(reason).toMatch(/^[A-Zf].*\.$/);
    expect(reason).not.toContain('/');
  }
  expect(Value.Errors(Coverage, { vmid: 101, mounts, age_seconds: 0 })).toEqual([]);
});
