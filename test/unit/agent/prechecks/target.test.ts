import { describe, expect, test } from 'vitest';
import { storageResource } from '../fake-host.ts';
import { mounts, set, usb } from './bad.ts';
import { DRIVE, GB, mountinfo, ROOT, ROOT_DEVICE, room, setup, type World } from './world.ts';

type Change = (world: World) => void;

/** An ordinary directory is where the drive was. */
const unplugged: Change = (world) => {
  world.hostMounts = mountinfo(ROOT);
  world.rooms['/mnt/usb'] = room(900 * GB, ROOT_DEVICE);
  world.rooms['/mnt/usb/dump'] = room(900 * GB, ROOT_DEVICE);
};
const isNotMounted = { ok: false, code: 'target-not-mounted', sentence: expect.stringMatching(/drive is not connected/) };

describe('the drive that a storage was seen on', () => {
  test('is remembered, and has to be there again', async () => {
    const { check, world, remembered } = setup();
    expect(await check()).toMatchObject({ ok: true });
    expect(remembered()).toEqual([{ storage: 'usb', path: '/mnt/usb', mount_point: '/mnt/usb' }]);
    unplugged(world);
    expect(await check()).toMatchObject({ ...isNotMounted, nextStep: expect.stringContaining('mount /mnt/usb') });
    expect(await check()).toMatchObject(isNotMounted);
    world.hostMounts = mountinfo(ROOT, DRIVE);
    world.rooms['/mnt/usb/dump'] = room(900 * GB);
    expect(await check()).toMatchObject({ ok: true });
  });

  test('may be above the storage, or where the archives lie', async () => {
    for (const [path, point] of [
      ['/mnt/usb/felhom', '/mnt/usb'],
      ['/srv', '/srv/dump'],
    ] as const) {
      const { check, world, remembered } = setup(usb({ path }), (one) => {
        one.hostMounts = mountinfo(ROOT, ['8:1', point, 'ext4']);
        one.rooms[`${path}/dump`] = room(900 * GB);
      });
      await check();
      expect(remembered()).toEqual([{ storage: 'usb', path, mount_point: point }]);
      unplugged(world);
      world.rooms[`${path}/dump`] = room(900 * GB, ROOT_DEVICE);
      expect(await check()).toMatchObject(isNotMounted);
    }
  });

  test('may be behind a symbolic link: the device tells', async () => {
    const { check, world, remembered } = setup(usb({ path: '/srv' }), (one) => {
      one.rooms['/srv/dump'] = room(900 * GB);
    });
    await check();
    expect(remembered()).toEqual([{ storage: 'usb', path: '/srv', mount_point: '/mnt/usb' }]);
    unplugged(world);
    world.rooms['/srv/dump'] = room(900 * GB, ROOT_DEVICE);
    expect(await check()).toMatchObject(isNotMounted);
  });

  test('is forgotten when the storage is given another directory', async () => {
    const { check, world, remembered } = setup();
    await check();
    unplugged(world);
    usb({ path: '/var/lib/vz' })(world);
    world.rooms['/var/lib/vz/dump'] = room(900 * GB, ROOT_DEVICE);
    expect(await check()).toMatchObject({ ok: true });
    expect(remembered()).toEqual([]);
  });

  test('a first sight of a storage on the root file system is accepted', async () => {
    const { check, remembered } = setup(unplugged);
    expect(await check()).toMatchObject({ ok: true });
    expect(remembered()).toEqual([]);
  });

  test('a drive that comes later is remembered from then on', async () => {
    const { check, world, remembered } = setup(unplugged);
    await check();
    world.hostMounts = mountinfo(ROOT, DRIVE);
    world.rooms['/mnt/usb/dump'] = room(900 * GB);
    await check();
    expect(remembered()).toHaveLength(1);
  });

  test('a mount that only waits for somebody is none', async () => {
    const { check, world } = setup();
    await check();
    unplugged(world);
    world.hostMounts = mountinfo(ROOT, ['0:60', '/mnt/usb', 'autofs']);
    expect(await check()).toMatchObject(isNotMounted);
  });

  test('is told before what Proxmox says of the storage', async () => {
    const { check, world } = setup();
    await check();
    unplugged(world);
    world.reported = world.reported.map((one) => ({ ...one, status: one.storage === 'usb' ? 'unknown' : one.status }));
    expect(await check()).toMatchObject(isNotMounted);
  });

  test('a storage that was never written to has no directory for archives yet', async () => {
    const { check } = setup((world) => {
      delete world.rooms['/mnt/usb/dump'];
    });
    expect(await check()).toMatchObject({ ok: true });
  });
});

describe("Proxmox's own demand for a mount", () => {
  test.each(['1', 'yes', 'on', '/mnt/usb', '/mnt/usb/'])('is_mountpoint %s', async (is_mountpoint) => {
    const change = usb({ keys: { is_mountpoint } });
    expect(await setup(change).check()).toMatchObject({ ok: true });
    expect(await setup(change, unplugged).check()).toMatchObject(isNotMounted);
  });

  test.each(['0', 'no'])('is_mountpoint %s demands nothing', async (is_mountpoint) => {
    expect(await setup(usb({ keys: { is_mountpoint } }), unplugged).check()).toMatchObject({ ok: true });
  });

  test.each(['nfs', 'cifs', 'cephfs'])('%s is mounted at its own path', async (type) => {
    const at = (world: World) => {
      usb({ type, path: '' })(world);
      world.rooms['/mnt/pve/usb/dump'] = room(900 * GB, ROOT_DEVICE);
    };
    expect(await setup(at).check()).toMatchObject({ code: 'target-not-mounted', sentence: expect.stringMatching(/share/) });
    const there = mounts((lines) => [...lines, mountinfo(['0:61', '/mnt/pve/usb', 'nfs4'])]);
    expect(await setup(at, there).check()).toMatchObject({ ok: true });
  });
});

describe('what pvestatd says', () => {
  test('its silence is no refusal of a directory that can be measured', async () => {
    const { check } = setup((world) => {
      world.reported = world.reported.map((one) => ({ ...one, status: 'unknown', maxdisk: null, disk: null }));
    });
    expect(await check()).toMatchObject({ ok: true });
    expect(await setup(set({ reported: [] })).check()).toMatchObject({ ok: true });
  });

  test('its silence is one of a storage that only it can measure', async () => {
    expect(await setup(set({ reported: [] }), usb({ type: 'pbs', path: '' })).check()).toMatchObject({ code: 'target-inactive' });
  });

  test('another node is not meant', async () => {
    const reported = [storageResource({ storage: 'usb', node: 'pve2' }), storageResource({ storage: 'local' })];
    expect(await setup(set({ reported })).check()).toMatchObject({ code: 'target-inactive' });
  });
});

describe('room', () => {
  const figures =
    (availBytes: number, more: Partial<World> = {}): Change =>
    (world) => {
      Object.assign(world, more);
      world.rooms['/mnt/usb/dump'] = room(availBytes);
    };
  const RESERVE = 5 * 1024 ** 3;

  test.each([
    ['1.2 times the largest of the last archives', async () => [1 * GB, 10 * GB, 2 * GB], 12 * GB],
    ['without any: 0.7 times what the guest holds', async () => [], 0.7 * 4 * GB],
  ])('%s, and the reserve', async (_what, sizes, needed) => {
    expect(await setup(figures(needed + RESERVE, { sizes })).check()).toMatchObject({ ok: true });
    expect(await setup(figures(needed + RESERVE - 4096, { sizes })).check()).toMatchObject({ code: 'target-full' });
  });

  test('of a small target five in a hundred stay free', async () => {
    const small = (availBytes: number) => (world: World) => {
      world.rooms['/mnt/usb/dump'] = { ...room(availBytes), totalBytes: 40 * GB };
    };
    expect(await setup(small(2.4 * GB + 2 * GB)).check()).toMatchObject({ ok: true });
    expect(await setup(small(2.4 * GB + 2 * GB - 4096)).check()).toMatchObject({ code: 'target-full' });
  });

  test('a virtual machine holds at most its disks; what no backup includes does not count', async () => {
    const machine = (availBytes: number) =>
      figures(availBytes, {
        sizes: async () => [],
        cluster: async () => ({ state: 'ok', guests: new Map([[101, { node: 'pve1', type: 'qemu' as const }]]) }),
        config: async () => ({
          scsi0: 'thin:vm-101-disk-0,discard=on,size=32G',
          virtio1: 'thin:vm-101-disk-1,size=512M',
          scsi2: 'files:101/big.qcow2,backup=0,size=4T',
          ide2: 'none,media=cdrom',
        }),
      });
    const needed = 0.7 * 32.5 * 1024 ** 3 + RESERVE;
    expect(await setup(machine(Math.ceil(needed))).check()).toMatchObject({ ok: true });
    expect(await setup(machine(needed - 4096)).check()).toMatchObject({
      code: 'target-full',
      evidence:
        'storage usb: 29.8 GB free, 29.8 GB needed (the guest holds up to 34.9 GB and has no archive yet; 5.4 GB stay free)',
    });
  });

  test('a Proxmox Backup Server: more than five in a hundred free', async () => {
    const pbs = (disk: number) => (world: World) => {
      usb({ type: 'pbs', path: '' })(world);
      world.reported = [storageResource({ storage: 'usb', type: 'pbs', maxdisk: 1000, disk })];
    };
    expect(await setup(pbs(949)).check()).toMatchObject({ ok: true });
    expect(await setup(pbs(950)).check()).toMatchObject({ code: 'target-full', evidence: expect.stringContaining('5.0 % free') });
  });

  test("a storage of another kind without a directory: pvestatd's figures", async () => {
    const plugin = (disk: number) => (world: World) => {
      usb({ type: 'their-plugin', path: '' })(world);
      world.reported = [storageResource({ storage: 'usb', maxdisk: 40 * GB, disk })];
    };
    expect(await setup(plugin(35 * GB)).check()).toMatchObject({ ok: true });
    expect(await setup(plugin(36 * GB)).check()).toMatchObject({ code: 'target-full' });
  });
});

describe('thin pools', () => {
  test('at its limits a pool will do, and a pool of others does not matter', async () => {
    const pools: World['pools'] = async () => [
      { name: 'pve-data--1', dataFraction: 0.85, metadataFraction: 0.75, state: 'rw', needsCheck: false },
      { name: 'pve-other', dataFraction: 1, metadataFraction: 1, state: 'fail', needsCheck: true },
    ];
    expect(await setup(set({ pools })).check()).toMatchObject({ ok: true, warnings: [] });
  });

  test('a guest without thin volumes asks for none', async () => {
    const pools: World['pools'] = () => Promise.reject(new Error('asked'));
    const config: World['config'] = async () => ({ rootfs: 'zfs:subvol-101-disk-0,size=8G' });
    expect(await setup(set({ pools, config })).check()).toMatchObject({ ok: true, warnings: [] });
  });
});

describe('the copy of suspend mode', () => {
  const small: Change = (world) => {
    world.rooms['/var/tmp'] = room(7 * GB, ROOT_DEVICE);
  };
  const target = (fstype: string) => (world: World) => {
    world.hostMounts = mountinfo(ROOT, ['8:1', '/mnt/usb', fstype]);
  };
  const suspend = (world: World) => {
    world.settings = { ...world.settings, mode: 'suspend' };
  };

  test.each(['ext4', 'ext3', 'xfs', 'nfs4'])('lies beside the archive on %s', async (fstype) => {
    expect(await setup(suspend, small, target(fstype)).check()).toMatchObject({ ok: true });
  });

  test.each(['btrfs', 'zfs', 'exfat', 'cifs'])('lies on the root drive where the target is %s', async (fstype) => {
    expect(await setup(suspend, small, target(fstype)).check()).toMatchObject({ code: 'suspend-no-room' });
    expect(await setup(suspend, target(fstype)).check()).toMatchObject({ ok: true });
  });

  test('lies on the root drive where the target is a Proxmox Backup Server', async () => {
    expect(await setup(suspend, small, usb({ type: 'pbs', path: '' })).check()).toMatchObject({ code: 'suspend-no-room' });
  });

  test('that cannot be measured is refused', async () => {
    const hidden: Change = (world) => {
      delete world.rooms['/var/tmp'];
    };
    expect(await setup(suspend, hidden, target('btrfs')).check()).toMatchObject({ code: 'suspend-no-room' });
  });

  test('is not made in snapshot mode of volumes that take snapshots', async () => {
    expect(await setup(small, target('btrfs')).check()).toMatchObject({ ok: true });
  });
});
