import { expect, test } from 'vitest';
import type { GuestType } from '#agent/ports/proxmox';
import { guestVolumes, type Volume } from '#agent/storage/volumes';

const volume = (facts: Partial<Volume>): Volume => ({
  key: '',
  storage: '',
  hostPath: '',
  mountPoint: '',
  backup: false,
  ...facts,
});
const one = (type: GuestType, key: string, text: string, more: Record<string, string> = {}) =>
  guestVolumes(type, { ...more, [key]: text });

test.each([
  ['rootfs', 'local-lvm:vm-101-disk-0,size=8G', { storage: 'local-lvm', mountPoint: '/', backup: true }],
  ['rootfs', 'volume=local-lvm:vm-101-disk-0,size=8G', { storage: 'local-lvm', mountPoint: '/', backup: true }],
  ['rootfs', 'local:101/vm-101-disk-0.raw,size=0T,backup=0', { storage: 'local', mountPoint: '/', backup: true }],
  ['rootfs', '/srv/root', { hostPath: '/srv/root', mountPoint: '/', backup: true }],
  ['mp0', 'local-zfs:subvol-101-disk-1,mp=/data,backup=1,size=8G', { storage: 'local-zfs', mountPoint: '/data', backup: true }],
  ['mp0', 'backup=yes,mp=/data,volume=tank:subvol-101-disk-1', { storage: 'tank', mountPoint: '/data', backup: true }],
  ['mp0', 'tank:x,mp=/data,backup=On', { storage: 'tank', mountPoint: '/data', backup: true }],
  ['mp0', 'tank:x,mp=/data,backup=true', { storage: 'tank', mountPoint: '/data', backup: true }],
  ['mp0', 'tank:x,mp=/data', { storage: 'tank', mountPoint: '/data' }],
  ['mp0', 'tank:x,mp=/data,backup=0', { storage: 'tank', mountPoint: '/data' }],
  ['mp0', 'tank:x,mp=/data,backup=2', { storage: 'tank', mountPoint: '/data' }],
  ['mp0', 'tank:x,mp=/data,backup=', { storage: 'tank', mountPoint: '/data' }],
  ['mp1', '/mnt/felhom/photos,mp=/photos,backup=1', { hostPath: '/mnt/felhom/photos', mountPoint: '/photos' }],
  ['mp1', '/mnt/a=b,mp=/photos', { hostPath: '/mnt/a=b', mountPoint: '/photos' }],
  ['mp1', '/dev/sdb1,mp=/disk,backup=1', { hostPath: '/dev/sdb1', mountPoint: '/disk' }],
  ['mp255', 'tank:x,mp=/z,ro=1,mountoptions=noatime;nodev', { storage: 'tank', mountPoint: '/z' }],
  ['mp2', 'nonsense,mp=/n,backup=1', { mountPoint: '/n' }],
  ['mp2', '', {}],
])('container: %s: %s', (key, text, facts) => expect(one('lxc', key, text)).toEqual([volume({ key, ...facts })]));

test.each(['unused0', 'net0', 'lxc', 'dev0', 'mp', 'mpx', 'memory', 'scsi0', 'description'])('container: %s is no mount', (key) =>
  expect(one('lxc', key, 'local-lvm:vm-101-disk-3')).toEqual([]),
);

test.each([
  ['scsi0', 'local-lvm:vm-100-disk-0,size=32G,iothread=1', { storage: 'local-lvm', backup: true }],
  ['scsi0', 'file=local-lvm:vm-100-disk-0,size=32G', { storage: 'local-lvm', backup: true }],
  ['scsi0', 'volume=local-lvm:vm-100-disk-0', { storage: 'local-lvm', backup: true }],
  ['virtio1', 'nfs:100/vm-100-disk-1.qcow2,backup=0', { storage: 'nfs' }],
  ['virtio1', 'nfs:100/vm-100-disk-1.qcow2,backup=off', { storage: 'nfs' }],
  ['sata2', 'nfs:100/vm-100-disk-1.qcow2,backup=No', { storage: 'nfs' }],
  ['ide1', 'nfs:100/vm-100-disk-1.qcow2,backup=false', { storage: 'nfs' }],
  ['ide1', 'nfs:100/vm-100-disk-1.qcow2,backup=1,media=disk', { storage: 'nfs', backup: true }],
  ['scsi30', '/dev/disk/by-id/ata-DISK_1,size=4T', { hostPath: '/dev/disk/by-id/ata-DISK_1', backup: true }],
  ['scsi30', '/dev/disk/by-id/ata-DISK_1,backup=0', { hostPath: '/dev/disk/by-id/ata-DISK_1' }],
  ['tpmstate0', 'local-lvm:vm-100-disk-2,size=4M,version=v2.0', { storage: 'local-lvm', backup: true }],
  ['efidisk0', 'local-lvm:vm-100-disk-1,efitype=4m', { storage: 'local-lvm' }],
  ['virtiofs0', 'photos,cache=auto', {}],
])('machine: %s: %s', (key, text, facts) => expect(one('qemu', key, text)).toEqual([volume({ key, ...facts })]));

test('machine: an EFI disk counts where the machine boots by it', () => {
  expect(one('qemu', 'efidisk0', 'local-lvm:x', { bios: 'ovmf' })).toMatchObject([{ backup: true }]);
  expect(one('qemu', 'efidisk0', 'local-lvm:x', { bios: 'seabios' })).toMatchObject([{ backup: false }]);
});

test.each([
  ['ide2', 'none,media=cdrom'],
  ['ide2', 'local:iso/debian.iso,media=cdrom,size=600M'],
  ['ide2', 'cdrom,media=cdrom'],
  ['ide2', 'none'],
  ['scsi1', 'local-lvm:vm-100-cloudinit,media=cdrom'],
  ['unused0', 'local-lvm:vm-100-disk-9'],
  ['scsihw', 'virtio-scsi-single'],
  ['boot', 'order=scsi0;net0'],
  ['rootfs', 'local-lvm:x'],
  ['mp0', 'local-lvm:x,mp=/x'],
])('machine: %s: %s is not listed', (key, text) => expect(one('qemu', key, text)).toEqual([]));

test('in the order of kinds and numbers', () => {
  const keys = ['virtiofs0', 'scsi10', 'efidisk0', 'scsi2', 'ide0', 'tpmstate0', 'virtio0', 'sata1'];
  const machine = guestVolumes('qemu', Object.fromEntries(keys.map((key) => [key, 'a1:x'])));
  expect(machine.map(({ key }) => key)).toEqual([
    'ide0',
    'sata1',
    'scsi2',
    'scsi10',
    'virtio0',
    'efidisk0',
    'tpmstate0',
    'virtiofs0',
  ]);
  const container = guestVolumes('lxc', { mp10: 'a1:x', mp9: 'a1:x', rootfs: 'a1:x' });
  expect(container.map(({ key }) => key)).toEqual(['rootfs', 'mp9', 'mp10']);
});
