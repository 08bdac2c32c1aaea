/** Drives that guests have, by every route that a configuration knows, with the guest stopped (hazard 5, T6). */
import { describe, expect, test } from 'vitest';
import { type DriveSpec, type HostSpec, host, look, uuidOf } from '../host.ts';

/** A drive at SATA, one at an NVMe slot, one at USB. */
const SATA: DriveSpec = {
  name: 'sdb',
  pci: ['0000:00:17.0'],
  links: ['/dev/disk/by-path/pci-0000:00:17.0-ata-2'],
  wwn: '0x5000c500a1b2c3d4',
};
const NVME: DriveSpec = { name: 'nvme0n1', pci: ['0000:00:1d.0', '0000:01:00.0'], transport: 'nvme' };
const USB: DriveSpec = { name: 'sdc', pci: ['0000:00:14.0'], usb: { port: '2-1.4', vendor: '0bc2', product: '231a' } };

const HOST: HostSpec = host({ drives: [SATA, NVME, USB] });
/** Beside them the system's drive: sda. */
const ALL = ['nvme0n1', 'sda', 'sdb', 'sdc'];
const DRIVES = ['nvme0n1', 'sdb', 'sdc'];

/** Names of the drives that a line of a guest's configuration takes from the customers, and whether for good (`!`). */
const taken = (guests: Record<string, string>, more: Partial<HostSpec> = {}): string => {
  const { inventory } = look({ ...HOST, guests, ...more });
  return inventory.drives
    .filter(({ name, role }) => DRIVES.includes(name) && role === 'system')
    .map(({ name, reasons }) => `${name}${reasons.some(({ lasting }) => lasting) ? '!' : ''}`)
    .join(' ');
};

const EVERY = 'nvme0n1 sdb sdc';

describe('a machine', () => {
  test.each([
    ['its SATA disk by id', 'sata1: /dev/disk/by-id/ata-Drive_S-sdb,size=465G', 'sdb!'],
    ['a partition by id', 'scsi1: /dev/disk/by-id/ata-Drive_S-sdb-part1', 'sdb!'],
    ['a partition that is not there any more', 'scsi1: /dev/disk/by-id/ata-Drive_S-sdb-part9', 'sdb!'],
    ['by path', 'virtio3: file=/dev/disk/by-path/pci-0000:00:17.0-ata-2,backup=0', 'sdb!'],
    ['by the kernel’s name', 'ide0: /dev/sdb', 'sdb!'],
    ['by a partition’s name', 'ide0: volume=/dev/nvme0n1p1', 'nvme0n1!'],
    ['by a file system’s UUID', `scsi2: /dev/disk/by-uuid/${uuidOf('sdc1')}`, 'sdc!'],
    ['by a partition’s UUID', `scsi2: /dev/disk/by-partuuid/${uuidOf('p:sdc1')}`, 'sdc!'],
    ['by numbers', 'scsi2: /dev/block/8:16', 'sdb!'],
    ['by a roundabout path', 'scsi2: /dev/disk/../disk//by-id/../../sdb', 'sdb!'],
    ['as an EFI disk', 'efidisk0: /dev/sdb1,size=4M', 'sdb!'],
    ['as TPM state', 'tpmstate0: /dev/sdb1', 'sdb!'],
    ['as an unused disk', 'unused0: /dev/sdb', 'sdb!'],
    ['as a path that may be a link', 'scsi2: /root/my-drive', EVERY],
    ['as an image on the root file system', 'scsi2: /var/lib/vz/images/x.raw', ''],
    ['a volume of a storage', 'scsi0: local-lvm:vm-105-disk-0,size=32G', ''],
    ['no disc', 'ide2: none,media=cdrom', ''],
    ['by a PCI address', 'hostpci0: 0000:01:00.0,pcie=1', 'nvme0n1!'],
    ['by a PCI address without domain', 'hostpci0: 01:00.0', 'nvme0n1!'],
    ['by all functions', 'hostpci0: host=0000:01:00', 'nvme0n1!'],
    ['by a controller above', 'hostpci0: 00:1d.0', 'nvme0n1!'],
    ['by a list', 'hostpci0: 00:17;00:14.0', 'sdb! sdc!'],
    ['another device of the bus', 'hostpci0: 0000:02:00.0', ''],
    ['a PCI device that cannot be read', 'hostpci0: what?', EVERY],
    ['an empty PCI device', 'hostpci0: pcie=1', EVERY],
    ['by a USB port', 'usb0: host=2-1.4,usb3=1', 'sdc!'],
    ['by the port of its hub', 'usb0: host=2-1', 'sdc!'],
    ['another port', 'usb0: host=2-2', ''],
    ['by vendor and product', 'usb0: host=0BC2:231a', 'sdc!'],
    ['by vendor and product with 0x', 'usb0: 0x0bc2:0x231a', 'sdc!'],
    ['another USB device', 'usb0: host=046d:c52b', ''],
    ['a viewer’s USB', 'usb0: spice,usb3=1', ''],
    ['USB that cannot be read', 'usb0: host=any', 'sdc'],
    ['QEMU’s own: a file', 'args: -drive file=/dev/disk/by-id/ata-Drive_S-sdb,if=none,id=x', 'sdb!'],
    ['QEMU’s own: a file in quotes', `args: -drive "file=/dev/sdb,if=none"`, 'sdb!'],
    ['QEMU’s own: a PCI device', 'args: -device vfio-pci,host=01:00.0', 'nvme0n1!'],
    ['QEMU’s own: a PCI device in sysfs', 'args: -device vfio-pci,sysfsdev=/sys/bus/pci/devices/0000:01:00.0', 'nvme0n1!'],
    ['QEMU’s own: a PCI device that cannot be read', 'args: -device vfio-pci,host=$HBA', EVERY],
    ['QEMU’s own: NVMe', 'args: -drive file=nvme://0000:01:00.0/1,if=none', 'nvme0n1!'],
    ['QEMU’s own: a USB port', 'args: -device usb-host,hostbus=2,hostport=1.4', 'sdc!'],
    ['QEMU’s own: USB by numbers', 'args: -device usb-host,vendorid=0x0bc2,productid=0x231a', 'sdc!'],
    ['QEMU’s own: USB by address', 'args: -device usb-host,hostbus=2,hostaddr=3', 'sdc'],
    ['QEMU’s own: a SCSI node', 'args: -device scsi-generic,drive=d -drive file=/dev/sg1,id=d', 'sdb sdc'],
    ['QEMU’s own: another file of options', 'args: -readconfig /root/vm.cfg', EVERY],
    ['QEMU’s own: nothing of the kind', 'args: -cpu host -smbios type=1,serial=x', ''],
    ['notes', '#scsi1: /dev/sdb', ''],
    ['a serial line', 'serial0: /dev/ttyS0', ''],
  ])('%s', (_what, text, expected) => {
    expect(taken({ 105: `name: nas\n${text}\n` })).toBe(expected);
  });

  const pci = [
    {
      id: 'nas',
      entries: [
        { node: 'pve1', path: '0000:01:00.0', id: '144d:a808' },
        { node: 'pve2', path: '0000:00:17.0' },
      ],
    },
    { id: 'group', entries: [{ node: 'pve1', path: '0000:00:17.0;0000:01:00' }] },
    { id: 'odd', entries: [{ path: '0000:01:00.0' }] },
    { id: 'broken', entries: [{ node: 'pve1' }] },
  ];
  const usb = [
    { id: 'stick', entries: [{ node: 'pve1', id: '0bc2:231a' }] },
    { id: 'port', entries: [{ node: 'pve1', id: '0bc2:231a', path: '2-1.4' }] },
    { id: 'elsewhere', entries: [{ node: 'pve2', id: '0bc2:231a' }] },
    { id: 'broken', entries: [{ node: 'pve1' }] },
  ];
  test.each([
    ['hostpci0: mapping=nas,pcie=1', 'nvme0n1!'],
    ['hostpci0: mapping=group', 'nvme0n1! sdb!'],
    ['hostpci0: mapping=odd', 'nvme0n1!'],
    ['hostpci0: mapping=broken', EVERY],
    ['hostpci0: mapping=gone', ''],
    ['usb0: mapping=stick', 'sdc!'],
    ['usb0: mapping=port', 'sdc!'],
    ['usb0: mapping=elsewhere', ''],
    ['usb0: mapping=broken', 'sdc'],
  ])('by a mapping of the cluster: %s', (text, expected) => {
    expect(taken({ 105: text }, { proxmox: { pci, usb } })).toBe(expected);
  });
});

describe('a container', () => {
  test.each([
    ['a device file', 'dev0: /dev/sdb1,uid=100000', 'sdb!'],
    ['a device file by its key', 'dev1: path=/dev/disk/by-id/ata-Drive_S-sdc', 'sdc!'],
    ['a graphics card', 'dev0: /dev/dri/renderD128,gid=104', ''],
    ['a mount of a device', 'mp0: /dev/sdb1,mp=/data', 'sdb!'],
    ['its root on a device', 'rootfs: volume=/dev/sdb1,size=8G', 'sdb!'],
    ['a directory of the host', 'mp0: /srv/photos,mp=/photos', ''],
    ['a directory whose name has /dev in it', 'mp0: /srv/dev/sdb,mp=/photos', ''],
    ['a volume', 'mp0: local-lvm:vm-101-disk-1,mp=/data,size=8G', ''],
    ['an entry for LXC', 'lxc.mount.entry: /dev/sdb1 data ext4 defaults 0 0', 'sdb!'],
    ['an entry by UUID', `lxc.mount.entry = UUID=${uuidOf('sdb1')} data ext4 defaults 0 0`, 'sdb!'],
    ['an entry with a blank in its name', 'lxc.mount.entry: /dev/disk/by-label/my\\040photos data ext4 defaults 0 0', 'sdc!'],
    [
      'felhom’s own entry',
      'lxc.mount.entry: /mnt/felhom/.guests/101 mnt/felhom none rbind,ro,rslave,create=dir,optional 0 0',
      '',
    ],
    ['all of USB', 'lxc.mount.entry: /dev/bus/usb dev/bus/usb none bind,optional,create=dir', 'sdc'],
    ['all devices', 'lxc.mount.entry: /dev dev none rbind 0 0', EVERY],
    ['devices by a pattern', 'lxc.mount.entry: /dev/sd[bc] dev none bind 0 0', EVERY],
    ['all links', 'lxc.mount.entry: /dev/disk/by-id dev/disk/by-id none bind 0 0', EVERY],
    ['a table of mounts that is elsewhere', 'lxc.mount.fstab: /root/fstab', EVERY],
    ['another file of settings', 'lxc.include: /root/lxc.conf', EVERY],
    ['a file of settings that LXC ships', 'lxc.include: /usr/share/lxc/config/nesting.conf', ''],
    ['a block device by numbers', 'lxc.cgroup2.devices.allow: b 8:17 rwm', 'sdb!'],
    ['a block device by numbers, old', 'lxc.cgroup.devices.allow = b 8:16 rw', 'sdb!'],
    ['another block device', 'lxc.cgroup2.devices.allow: b 7:0 rwm', ''],
    ['all of a major number', 'lxc.cgroup2.devices.allow: b 8:* rwm', EVERY],
    ['all block devices', 'lxc.cgroup2.devices.allow: b *:* rwm', EVERY],
    ['the making of nodes alone', 'lxc.cgroup2.devices.allow: b *:* m', ''],
    ['everything', 'lxc.cgroup2.devices.allow: a', EVERY],
    ['USB by number', 'lxc.cgroup2.devices.allow: c 189:* rwm', 'sdc'],
    ['SCSI by number', 'lxc.cgroup2.devices.allow: c 21:* rwm', 'sdb sdc'],
    ['a serial line by number', 'lxc.cgroup2.devices.allow: c 188:* rwm', ''],
    ['what cannot be read', 'lxc.cgroup2.devices.allow: b sdb rwm', EVERY],
    ['what is taken away', 'lxc.cgroup2.devices.deny: b 8:17 rwm', ''],
  ])('%s', (_what, text, expected) => {
    const sdc = { ...USB, parts: [{ on: [{ type: 'ext4', label: 'my photos' }] }] };
    expect(taken({ ct101: `arch: amd64\n${text}\n` }, { drives: [...HOST.drives.slice(0, 3), sdc] })).toBe(expected);
  });
});

describe('sections', () => {
  test.each([
    ['[PENDING]', 'It is given to guest 105 (scsi1, pending changes).'],
    ['[pve:pending]', 'It is given to guest 105 (scsi1, pending changes).'],
    ['[before]', 'It is given to guest 105 (scsi1, snapshot "before").'],
    ['[special:fleecing]', 'It is given to guest 105 (scsi1, section "special:fleecing").'],
  ])('%s counts as what is in force does', (section, sentence) => {
    const { drive } = look({ ...HOST, guests: { 105: `name: x\n\n${section}\n#notes\nscsi1: /dev/sdb\n` } });
    expect(drive('sdb').reasons).toEqual([expect.objectContaining({ role: 'system', sentence, lasting: true })]);
    // Only what is in force can keep it in use.
    expect(drive('sdb').holders).toEqual([]);
  });

  test('what is in force is told as a holder', () => {
    const { drive } = look({ ...HOST, guests: { 105: 'scsi1: /dev/sdb' } });
    expect(drive('sdb').holders).toEqual([
      { kind: 'guest', sentence: 'It is given to guest 105 (scsi1).', vmid: 105, pid: null },
    ]);
  });

  test('a line that cannot be read makes every drive system', () => {
    const { inventory, why } = look({ ...HOST, guests: { 105: 'name: x\n\0\0\0scsi1=/dev/sdb\n' } });
    expect(inventory.drives.map(({ name, role }) => [name, role])).toEqual(ALL.map((name) => [name, 'system']));
    expect(why('sdb')).toBe('system: Guest 105 may use it: its configuration has lines that cannot be read.');
  });
});

test('a guest’s disk on a layer gives the drives behind it', () => {
  const layers = [{ name: 'dm-9', dm: { name: 'vault', uuid: 'CRYPT' }, slaves: ['sdb1'] }];
  const { why } = look(host({ drives: [SATA, NVME, USB], layers, guests: { 105: 'scsi1: /dev/mapper/vault' } }));
  expect(why('sdb').split('\n')).toContain('system!: It is given to guest 105 (scsi1).');
});
