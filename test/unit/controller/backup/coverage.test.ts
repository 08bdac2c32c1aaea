import { expect, test } from 'vitest';
import { type GuestView, placeApp } from '#controller/backup/coverage';
import type { Disk } from '#controller/ports/block-devices';
import type { Mount } from '#shared/mountinfo';
import type { Place } from '#shared/quiesce/protocol';
import type { Coverage } from '#shared/wire/archives';

type Included = Coverage['mounts'][number];
const included = (key: string, mount_point: string, state: Included['state'] = 'in-backup'): Included => ({
  key,
  storage: 'local',
  mount_point,
  state,
  reason: `Reason of ${key}.`,
});
const mount = (id: string, parent: string, device: string, root: string, point: string): Mount => ({
  id,
  parent,
  device,
  root,
  point,
  fstype: 'ext4',
  source: '',
  options: [],
});
const place = (path: string, mount_point: string, device: string, root = '/', fstype = 'ext4'): Place => ({
  path,
  mount_point,
  device,
  fstype,
  root,
});

/** A container: `/` and /srv are volumes, /photos is a directory of the host, /cache a volume that backups leave out. */
const CONTAINER: GuestView = {
  coverage: [
    included('rootfs', '/'),
    included('mp0', '/srv'),
    included('mp1', '/photos', 'bind'),
    included('mp2', '/cache', 'excluded'),
    included('mp3', '/srv/usb', 'device'),
    included('lxc', '', 'unknown'),
  ],
  error: '',
  mounts: [
    mount('1', '0', '8:1', '/', '/'),
    mount('2', '1', '8:2', '/', '/srv'),
    // One btrfs of the host carries the next two: only the path within it tells them apart.
    mount('3', '1', '0:40', '/share/photos', '/photos'),
    mount('4', '1', '0:40', '/images/101/cache', '/cache'),
    mount('5', '2', '8:5', '/', '/srv/usb'),
    // Made by the guest itself, over a volume.
    mount('6', '2', '0:99', '/', '/srv'),
  ],
  disks: new Map(),
};

test.each<[string, Place[] | null, boolean, boolean, string]>([
  ['the root file system', [place('/var/lib/db', '/', '8:1')], true, true, ''],
  ['a volume', [place('/srv/db', '/srv', '8:2')], true, true, ''],
  ['a btrfs volume', [{ ...place('/srv/db', '/srv', '8:2'), subvolume_at: ['/dev/shm/x', '/srv'] }], true, true, ''],
  [
    'a btrfs subvolume in a volume',
    [{ ...place('/srv/db', '/srv', '8:2'), subvolume_at: ['/elsewhere'] }],
    false,
    true,
    '/srv/db is not in the backup: It lies in a btrfs subvolume of its own, and the snapshot is made of the one around it',
  ],
  ['two directories of one volume', [place('/srv/a', '/srv', '8:2'), place('/srv/b', '/srv', '8:2')], true, true, ''],
  ['two volumes', [place('/srv/a', '/srv', '8:2'), place('/var/b', '/', '8:1')], true, false, ''],
  ['a bind mount in the guest of a covered directory', [place('/data/db', '/data', '8:2', '/deep')], true, true, ''],
  [
    'a bind mount in the guest of a directory that is the host’s',
    [place('/data', '/data', '0:40', '/share/photos/db')],
    false,
    true,
    '/data is not in the backup: Reason of mp1',
  ],
  [
    'a directory of the host',
    [place('/photos/db', '/photos', '0:40', '/share/photos')],
    false,
    true,
    '/photos/db is not in the backup: Reason of mp1',
  ],
  [
    'a volume that is left out, of the same file system as another',
    [place('/cache/x', '/cache', '0:40', '/images/101/cache')],
    false,
    true,
    '/cache/x is not in the backup: Reason of mp2',
  ],
  [
    'the same file system, but no mount of the host',
    [place('/x', '/x', '0:40', '/share/photos2')],
    false,
    false,
    'whether the backup includes /x is not known (it is on what is mounted at /x)',
  ],
  [
    'what the guest itself mounted over a volume',
    [place('/srv/db', '/srv', '0:99')],
    false,
    false,
    'whether the backup includes /srv/db is not known (it is on what is mounted at /srv)',
  ],
  [
    'a drive passed to the guest, below a volume',
    [place('/srv/usb/db', '/srv/usb', '8:5')],
    false,
    true,
    '/srv/usb/db is not in',
  ],
  [
    'one part in, one part out',
    [place('/srv/a', '/srv', '8:2'), place('/photos/b', '/photos', '0:40', '/share/photos')],
    false,
    false,
    '/photos/b is not in',
  ],
  ['a memory file system', [place('/run/db', '/run', '0:22', '/', 'tmpfs')], false, false, 'whether the backup'],
  ['the mount point itself', [place('/srv', '/srv', '8:2')], true, true, ''],
  ['nowhere that is known', null, false, false, 'where its data lies is not known'],
  ['nothing', [], false, false, 'where its data lies is not known'],
])('container, data on %s', (_what, data, covered, oneDisk, why) => {
  expect(placeApp(data, CONTAINER)).toEqual({ covered, oneDisk, why: expect.stringContaining(why) });
  expect(placeApp(data, CONTAINER).why === '').toBe(covered);
});

test('a host that does not say what it backs up: nothing is covered', () => {
  const view = { ...CONTAINER, coverage: null, error: 'The agent on the host does not answer.' };
  expect(placeApp([place('/srv', '/srv', '8:2')], view)).toEqual({
    covered: false,
    oneDisk: false,
    why: 'what the backup includes is not known: The agent on the host does not answer.',
  });
});

test('mounts that could not be read: nothing is covered', () => {
  expect(placeApp([place('/srv', '/srv', '8:2')], { ...CONTAINER, mounts: [] }).covered).toBe(false);
});

const disk = (name: string, path: string, ids = ''): Disk => ({ name, path, ids });
const PCI = '/devices/pci0000:00/0000:00:05.0/virtio2';
const SCSI0 = disk('sda', `${PCI}/host2/block/sda`, 't10.QEMU    QEMU HARDDISK   drive-scsi0     ');
const SCSI1 = disk('sdb', `${PCI}/host2/block/sdb`, 't10.QEMU    QEMU HARDDISK   drive-scsi1     ');
const SCSI10 = disk('sdk', `${PCI}/host2/block/sdk`, 't10.QEMU    QEMU HARDDISK   drive-scsi10    ');
const VIRTIO = disk('vda', `${PCI}/block/vda`);
const USB = disk('sdc', '/devices/pci0000:00/0000:00:14.0/usb1/1-1/1-1:1.0/host6/block/sdc', 'Stick');
const ISCSI = disk('sdd', '/devices/platform/host7/session1/target7:0:0/7:0:0:0/block/sdd');
const LOOP = disk('loop0', '/devices/virtual/block/loop0');

const IN = [included('scsi0', ''), included('scsi1', '')];
const OUT = [included('scsi0', ''), included('scsi1', '', 'excluded')];
const machine = (coverage: Included[], ...disks: (Disk[] | null)[]): GuestView => ({
  coverage,
  error: '',
  mounts: [],
  disks: new Map(disks.map((one, index) => [`8:${index}`, one])),
});
const on = (...numbers: number[]) => numbers.map((number) => place(`/d${number}`, `/d${number}`, `8:${number}`));

test.each<[string, GuestView, Place[], boolean, boolean]>([
  ['a disk by its name', machine(IN, [SCSI0]), on(0), true, true],
  ['a disk that is left out', machine(OUT, [SCSI1]), on(0), false, true],
  ['the included one of two', machine(OUT, [SCSI0]), on(0), true, true],
  ['scsi10, which is not scsi1', machine([included('scsi1', '')], [SCSI10]), on(0), false, true],
  ['two disks', machine(IN, [SCSI0], [SCSI1]), on(0, 1), true, false],
  ['one volume group over two disks', machine(IN, [SCSI0, SCSI1]), on(0), true, false],
  ['two partitions of one disk', machine(IN, [SCSI0], [SCSI0]), on(0, 1), true, true],
  ['a mirror of which one half is left out', machine(OUT, [SCSI0, SCSI1]), on(0), false, false],
  ['a disk without a name, where all are included', machine([included('virtio0', '')], [VIRTIO]), on(0), true, true],
  [
    'a disk without a name, where one is left out',
    machine([included('virtio0', ''), included('virtio1', '', 'excluded')], [VIRTIO]),
    on(0),
    false,
    true,
  ],
  [
    'the same, but it is the start-up settings',
    machine([included('virtio0', ''), included('efidisk0', '', 'excluded')], [VIRTIO]),
    on(0),
    true,
    true,
  ],
  [
    'the same, but a device is passed through',
    machine([included('virtio0', ''), included('hostpci0', '', 'device')], [VIRTIO]),
    on(0),
    false,
    true,
  ],
  ['a stick', machine([included('virtio0', '')], [USB]), on(0), false, true],
  ['a disk over the network', machine([included('virtio0', '')], [ISCSI]), on(0), false, true],
  ['a loop device', machine([included('virtio0', '')], [LOOP]), on(0), false, true],
  ['a device that is not known', machine(IN, null), on(0), false, false],
  ['a network file system', machine(IN, [SCSI0]), on(7), false, false],
  ['no drive at all', machine([], [SCSI0]), on(0), false, true],
  ['a directory of the host', machine(IN, [SCSI0]), [{ ...place('/v', '/v', '8:0'), fstype: 'virtiofs' }], false, false],
])('virtual machine, data on %s', (_what, view, data, covered, oneDisk) => {
  const placed = placeApp(data, view);
  expect({ covered: placed.covered, oneDisk: placed.oneDisk }).toEqual({ covered, oneDisk });
  expect(placed.why === '').toBe(covered);
});
