import { describe, expect, test } from 'vitest';
import { configured, exposing, given, isExpected, mountSentence, mountsOf, users } from '#agent/disks/deeds/dependants';
import type { ProxmoxFiles } from '#agent/ports/proxmox-files';
import { parseMountinfo } from '#shared/mountinfo';
import { madeDevice } from '../made.ts';

const PLACES = { vmid: 101, mountPoint: '/mnt/felhom/photos', guestPoint: '/mnt/felhom/.guests/101/photos' };

const files = (change: Partial<ProxmoxFiles> = {}): ProxmoxFiles => ({
  node: 'pve1',
  storages: [],
  guests: [],
  pci: [],
  usb: [],
  directories: [],
  ...change,
});
const guest = (vmid: number, text: string, type: 'lxc' | 'qemu' = 'lxc') => ({ vmid, type, text });
const vmids = (found: { vmid: number | null }[]) => found.map(({ vmid }) => vmid);

describe('a configuration', () => {
  test.each([
    ['a bind mount of the place', 'mp0: /mnt/felhom/photos,mp=/photos'],
    ['a bind mount below it', 'mp3: volume=/mnt/felhom/photos/2024,mp=/photos,ro=1'],
    ['with a slash too many', 'mp0: /mnt/felhom//photos/,mp=/photos'],
    ['on a detour', 'mp0: /mnt/felhom/music/../photos,mp=/photos'],
    ['an entry of LXC', 'lxc.mount.entry: /mnt/felhom/photos mnt/photos none bind 0 0'],
    ['an entry of LXC with octal', 'lxc.mount.entry: /mnt/felhom/\\160hotos mnt/photos none bind 0 0'],
    ['an entry with an equals sign', 'lxc.mount.entry = /mnt/felhom/photos mnt/photos none bind 0 0'],
    ['the guest’s place', 'mp0: /mnt/felhom/.guests/101/photos,mp=/photos'],
    ['a disk file on it', 'scsi1: /mnt/felhom/photos/disk.raw,size=4G'],
    ['an option of QEMU', 'args: -drive file=/mnt/felhom/photos/x.img,format=raw'],
    ['an unused disk on it', 'unused0: /mnt/felhom/photos/old.raw'],
  ])('%s depends', (_what, line) => {
    expect(vmids(configured(files({ guests: [guest(105, `arch: amd64\n${line}\n`)] }), PLACES))).toEqual([105]);
  });

  test.each([
    ['the directory of the guest’s drives', 'lxc.mount.entry: /mnt/felhom/.guests/101 mnt/felhom none rbind,ro,rslave 0 0'],
    ['a place of a similar name', 'mp0: /mnt/felhom/photos2,mp=/photos'],
    ['its own place of that name', 'mp0: local:105/vm.raw,mp=/photos'],
    ['what is above', 'mp0: /mnt,mp=/mnt'],
    ['a comment', '#mp0: /mnt/felhom/photos,mp=/x'],
    ['a description', 'description: see /mnt/felhom/photos'],
    ['a snapshot', '[before]\nmp0: /mnt/felhom/photos,mp=/x'],
  ])('%s does not', (_what, line) => {
    expect(configured(files({ guests: [guest(105, `${line}\n`)] }), PLACES)).toEqual([]);
  });

  test('the guest’s own counts too, and is called so', () => {
    const found = configured(files({ guests: [guest(101, 'mp0: /mnt/felhom/photos,mp=/x\n')] }), PLACES);
    expect(found).toEqual([{ vmid: 101, sentence: 'the configuration of this guest (mp0)' }]);
  });

  test('a storage on it depends, and every guest with a volume of it', () => {
    const storages = [{ type: 'dir', id: 'photos', keys: { path: '/mnt/felhom/photos/pve', content: 'images' } }];
    const guests = [
      guest(105, 'rootfs: photos:105/vm-105-disk-0.raw,size=4G\n'),
      guest(106, 'scsi0: local:1/x.raw\nide2: photos:iso/x.iso,media=cdrom\n', 'qemu'),
      guest(107, 'rootfs: photosets:107/x.raw\n'),
    ];
    expect(vmids(configured(files({ storages, guests }), PLACES))).toEqual([105, 106, null]);
  });

  test('a storage of another node does not', () => {
    const storages = [{ type: 'dir', id: 'photos', keys: { path: '/mnt/felhom/photos', nodes: 'pve2,pve3' } }];
    expect(configured(files({ storages }), PLACES)).toEqual([]);
    expect(configured(files({ storages, node: 'pve3' }), PLACES)).toHaveLength(1);
  });

  test('a machine depends on a share of it, by whichever spelling', () => {
    const directories = [
      { id: 'shared', entries: [{ node: 'pve1', path: '/mnt/felhom/photos' }] },
      { id: 'other', entries: [{ node: 'pve2', path: '/mnt/felhom/photos' }] },
      { id: 'felhom-101', entries: [{ node: 'pve1', path: '/mnt/felhom/.guests/101' }] },
    ];
    const guests = [
      guest(105, 'virtiofs0: shared,cache=auto\n', 'qemu'),
      guest(106, 'virtiofs3: dirid=shared\n', 'qemu'),
      guest(107, 'virtiofs0: other\n', 'qemu'),
      guest(101, 'virtiofs0: felhom-101\n', 'qemu'),
      guest(108, 'scsi0: shared\n', 'qemu'),
    ];
    expect(vmids(configured(files({ directories, guests }), PLACES))).toEqual([105, 106]);
  });
});

test.each([
  ['mp0: /mnt/felhom,mp=/drives', [105]],
  ['mp0: /mnt/felhom/,mp=/drives', [105]],
  ['mp0: /mnt,mp=/host', [105]],
  ['mp0: /mnt/felhom/.guests,mp=/host', [105]],
  ['lxc.mount.entry: / host none rbind 0 0', [105]],
  ['virtiofs0: all', [105]],
  ['mp0: /mnt/felhom/photos,mp=/photos', []],
  ['mp0: local:105/x.raw,mp=/mnt', []],
  ['lxc.mount.entry: /mnt/felhom/.guests/105 mnt/felhom none rbind 0 0', []],
  ['lxc.mount.entry: proc proc proc nosuid 0 0', []],
])('a guest with "%s" could change the mount root: %j', (line, found) => {
  const directories = [{ id: 'all', entries: [{ node: 'pve1', path: '/mnt' }] }];
  expect(exposing(files({ directories, guests: [guest(105, `${line}\n`)] }), '/mnt/felhom')).toEqual(found);
});

test('guests to which the drive itself is given are told', () => {
  const holder = { sentence: '', pid: null };
  const holders = [
    { ...holder, kind: 'guest' as const, vmid: 105 },
    { ...holder, kind: 'mount' as const, vmid: 101 },
  ];
  expect(given(holders, 101)).toEqual([{ vmid: 105, sentence: 'guest 105, to which the drive itself is given' }]);
});

test('the same user is told once', () => {
  const user = { pid: 1, command: 'x', vmid: 101, what: 'file', path: '/a' } as const;
  expect(users([user, { ...user, pid: 2 }, { ...user, vmid: 105 }, { ...user, vmid: 105, pid: 3 }], 101)).toHaveLength(2);
  expect(users([{ ...user, what: 'unreadable', path: '' }], 101)[0]?.sentence).toBe('"x" in this guest');
});

describe('mounts', () => {
  const SDB = madeDevice({ partitions: [{ name: 'sdb1', numbers: '8:17', sizeBytes: 1, startBytes: 0, holders: [] }] });
  const mountAt = (line: string, host = false) => {
    const [mount] = parseMountinfo(`50 1 ${line}`);
    if (mount === undefined) throw new Error('no mount');
    return { mount, pid: 7, host };
  };

  test.each([
    ['/mnt/felhom/photos', true],
    ['/mnt/felhom/.guests/101/photos', true],
    ['/mnt/felhom/.guests/105/photos', false],
    ['/photos', false],
    ['/mnt/felhom/music', false],
  ])('one at %s goes with ours: %s', (point, expected) => {
    expect(isExpected(mountAt(`8:17 / ${point} rw - ext4 /dev/sdb1 rw`).mount, PLACES)).toBe(expected);
  });

  test('they are found by their device, btrfs by its source', () => {
    const ext4 = mountAt('8:17 / /a rw - ext4 /dev/sdb1 rw');
    const btrfs = mountAt('0:44 / /b rw - btrfs /dev/sdb1 rw');
    const other = mountAt('8:33 / /c rw - ext4 /dev/sdc1 rw');
    expect(mountsOf([ext4, btrfs, other], '8:17', [SDB])).toEqual([ext4, btrfs]);
  });

  test.each([
    [true, null, 'the server, which has it mounted at /a too'],
    [false, null, 'a program on the server that has it mounted where only it sees it'],
    [false, 101, 'this guest, which has it mounted at /a too'],
    [false, 105, 'guest 105'],
  ])('host %s, guest %s: %s', (host, vmid, sentence) => {
    expect(mountSentence(mountAt('8:17 / /a rw - ext4 /dev/sdb1 rw', host), vmid, 101)).toBe(sentence);
  });
});
