/** Who has a drive in use, source by source; and that a source which gives no answer counts as one that says yes. */
import { describe, expect, test } from 'vitest';
import { createInUse, type InUsePorts } from '#agent/disks/deeds/in-use';
import type { Holder } from '#agent/disks/inventory/drive';
import type { SeenMount } from '#agent/disks/inventory/evidence';
import type { DeviceUser } from '#agent/ports/drive-check';
import type { KernelDevice } from '#agent/ports/sysfs';
import { madeDevice, madeDrive, madeEvidence } from '../made.ts';

const PART = { name: 'sdb1', numbers: '8:17', sizeBytes: 10, startBytes: 0, holders: [] };
const DRIVE = madeDevice({ partitions: [PART] });

const mount = (facts: Partial<SeenMount['mount']>, more: Partial<SeenMount> = {}): SeenMount => ({
  mount: {
    id: '40',
    parent: '1',
    device: '8:17',
    root: '/',
    point: '/mnt/x',
    fstype: 'ext4',
    source: '/dev/sdb1',
    options: ['rw'],
    ...facts,
  },
  pid: 1,
  host: true,
  ...more,
});

const ROOT = mount({ id: '1', device: '8:1', point: '/', source: '/dev/sda1' });

interface World {
  devices?: KernelDevice[];
  sources?: Partial<Awaited<ReturnType<InUsePorts['gather']>>>;
  users?: DeviceUser[] | Error;
  exclusive?: 'free' | 'busy' | Error;
  twins?: string[];
}

const answer = async <T>(value: T | Error): Promise<T> => {
  if (value instanceof Error) throw value;
  return value;
};

const asked: string[] = [];

const holders = async ({
  devices = [DRIVE],
  sources = {},
  users = [],
  exclusive = 'free',
  twins = [],
}: World): Promise<Holder[]> => {
  asked.length = 0;
  const inUse = createInUse({
    check: {
      exclusive: (file) => {
        asked.push(file);
        return answer(exclusive);
      },
      users: (numbers) => {
        asked.push(...numbers);
        return answer(users);
      },
    },
    gather: async () =>
      madeEvidence({ kernel: { known: true, value: devices }, mounts: { known: true, value: [ROOT] }, ...sources }),
    assignments: () => [{ mountPoint: '/mnt/felhom/photos', vmid: 101 }],
    guestOf: async (pid) => (pid === 77 ? 105 : null),
  });
  return inUse.holders(madeDrive({ device: DRIVE, twins }));
};

const mounts = (...seen: SeenMount[]): World => ({ sources: { mounts: { known: true, value: [ROOT, ...seen] } } });
const known = <T>(value: T) => ({ known: true as const, value });
const user = (facts: Partial<DeviceUser>): DeviceUser => ({
  pid: 4711,
  command: 'kvm',
  vmid: null,
  what: 'device',
  path: '/dev/sdb',
  ...facts,
});
const loop = (facts: Partial<KernelDevice>) => madeDevice({ name: 'loop3', numbers: '7:3', diskseq: 20, ...facts });

test('nobody', async () => {
  expect(await holders({})).toEqual([]);
  expect(asked.sort()).toEqual(['/dev/sdb', '8:16', '8:17']);
});

describe('is told', () => {
  test.each<[string, World, Partial<Holder>]>([
    ['a mount of a partition', mounts(mount({})), { kind: 'mount', vmid: null, sentence: 'It is mounted at /mnt/x.' }],
    ['a mount of felhom’s own', mounts(mount({ point: '/mnt/felhom/photos' })), { kind: 'mount', vmid: 101 }],
    ['a btrfs, by what was mounted', mounts(mount({ device: '0:47', fstype: 'btrfs' })), { kind: 'mount' }],
    ['a mount in a guest', mounts(mount({ point: '/srv' }, { host: false, pid: 77 })), { kind: 'mount', vmid: 105, pid: 77 }],
    ['a mount in a namespace of the host’s', mounts(mount({}, { host: false, pid: 78 })), { kind: 'mount', vmid: null, pid: 78 }],
    ['swap on a partition', { sources: { swaps: known(['/dev/sdb1']) } }, { kind: 'swap' }],
    ['a device on a partition', { devices: [{ ...DRIVE, partitions: [{ ...PART, holders: ['dm-3'] }] }] }, { kind: 'device' }],
    ['a RAID', { sources: { md: known([{ name: 'md0', members: ['sdb1'] }]) } }, { kind: 'device' }],
    ['a ZFS pool', { sources: { zfs: known([{ name: 'tank', guid: '1', devices: ['/dev/sdb1'] }]) } }, { kind: 'device' }],
    [
      'a member of a btrfs that another member’s mount names',
      { sources: { btrfs: known([['sdc', 'sdb1']]) } },
      { kind: 'mount' },
    ],
    ['a loop device on the drive itself', { devices: [DRIVE, loop({ backingFile: '/dev/sdb' })] }, { kind: 'loop' }],
    ['QEMU', { users: [user({ vmid: 101 })] }, { kind: 'guest', vmid: 101, pid: 4711 }],
    [
      'any process',
      { users: [user({ command: 'badblocks' })] },
      { kind: 'process', sentence: expect.stringContaining('badblocks') },
    ],
    ['a process that keeps what was unmounted', { users: [user({ what: 'file', path: '/x/y' })] }, { kind: 'process' }],
    ['a process that cannot be asked', { users: [user({ what: 'unreadable', path: '' })] }, { kind: 'unknown', pid: 4711 }],
    ['whoever the kernel knows and nobody else', { exclusive: 'busy' }, { kind: 'exclusive' }],
  ])('%s', async (_what, world, expected) => {
    expect(await holders(world)).toMatchObject([expected]);
  });

  test('swap, and a loop device, on a file of a file system that is on it', async () => {
    const sources = { mounts: known([ROOT, mount({ point: '/mnt/x' })]), swaps: known(['/mnt/x/swapfile']) };
    const devices = [
      DRIVE,
      loop({ backingFile: '/mnt/x/disk.img (deleted)' }),
      loop({ name: 'loop4', backingFile: '/srv/other.img' }),
    ];
    expect((await holders({ devices, sources })).map(({ kind }) => kind)).toEqual(['mount', 'swap', 'loop']);
  });

  test('every mount of a btrfs of which one is found, and its numbers are asked for', async () => {
    const one = mount({ device: '0:47', fstype: 'btrfs' });
    const bind = mount({ id: '41', device: '0:47', fstype: 'btrfs', source: 'elsewhere', point: '/b' }, { host: false, pid: 77 });
    expect(await holders(mounts(one, bind))).toMatchObject([{ vmid: null }, { vmid: 105 }]);
    expect(asked).toContain('0:47');
  });

  test('who uses a file system only where no mount tells', async () => {
    const world = { ...mounts(mount({})), users: [user({ what: 'file', path: '/mnt/x/a' })] };
    expect((await holders(world)).map(({ kind }) => kind)).toEqual(['mount']);
  });

  test('a twin’s mount, and its claim is asked for', async () => {
    const twin = madeDevice({ name: 'sdc', numbers: '8:32', diskseq: 9 });
    const world = { ...mounts(mount({ device: '8:32', source: '/dev/sdc' })), devices: [DRIVE, twin], twins: ['sdc'] };
    expect(await holders(world)).toMatchObject([{ kind: 'mount' }]);
    expect(asked).toContain('/dev/sdc');
    expect(await holders({ ...world, twins: [] })).toEqual([]);
  });

  test('what nobody should read is not in a sentence', async () => {
    const [found] = await holders({ users: [user({ command: 'a\u001b[31m\u202eb', path: '/dev/\nx' })] });
    expect(found?.sentence).toBe('Process 4711 (a[31mb) has /dev/ x open.');
  });
});

describe('in use, for nobody can tell', () => {
  const missing = { known: false as const, why: 'it hangs' };
  test.each(['mounts', 'swaps', 'md', 'zfs', 'btrfs', 'kernel'] as const)('%s', async (source) => {
    expect(await holders({ sources: { [source]: missing } })).toMatchObject([{ kind: 'unknown' }]);
  });
  test.each<[string, World]>([
    ['who has it open', { users: new Error('hung') }],
    ['whether it is claimed', { exclusive: new Error('hung') }],
    ['the drive is gone', { devices: [] }],
    ['another drive has its name', { devices: [{ ...DRIVE, diskseq: 8 }] }],
  ])('%s', async (_what, world) => expect(await holders(world)).toMatchObject([{ kind: 'unknown' }]));

  test('also where somebody is named', async () => {
    const found = await holders({ ...mounts(mount({})), exclusive: new Error('hung') });
    expect(found.map(({ kind }) => kind)).toEqual(['mount', 'unknown']);
  });
});
