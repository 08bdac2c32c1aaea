/** When drives are read and looked into, and when not; what hangs or sleeps. */
import { describe, expect, test } from 'vitest';
import type { Evidence, Known, SeenMount } from '#agent/disks/inventory/evidence';
import { createProbes, type ProbePorts } from '#agent/disks/sources/probes';
import { CommandError } from '#agent/ports/command';
import { DriveCheckError } from '#agent/ports/drive-check';
import type { Probed } from '#agent/ports/probe';
import type { KernelDevice } from '#agent/ports/sysfs';
import { fakeClock, settle } from '../../fake-clock.ts';
import { madeDevice } from '../made.ts';

const EXT4: Probed = {
  signatures: [{ type: 'ext4', offset: 1080, uuid: 'u1', label: '' }],
  ambivalent: false,
  nothing: false,
  tableUuid: '',
  declared: null,
  partitionUuid: '',
};
const NOTHING: Probed = { ...EXT4, signatures: [], nothing: true };
const NO_MOUNTS: Known<readonly SeenMount[]> = { known: true, value: [] };

const mounted = (facts: Partial<SeenMount['mount']> = {}, more: Partial<SeenMount> = {}): SeenMount => ({
  mount: {
    id: '40',
    parent: '1',
    device: '8:16',
    root: '/',
    point: '/mnt/x',
    fstype: 'ext4',
    source: '/dev/sdb',
    options: ['rw'],
    ...facts,
  },
  pid: 1,
  host: true,
  ...more,
});

const never = (): Promise<never> => new Promise(() => {});

interface World {
  content: Probed;
  mounts: Known<readonly SeenMount[]>;
  written: number;
  diskseq: number | null;
  asleep: boolean;
}

const setup = (ports: Partial<ProbePorts> = {}) => {
  const { clock, advance } = fakeClock();
  const calls: string[] = [];
  const world: World = { content: EXT4, mounts: NO_MOUNTS, written: 0, diskseq: 7, asleep: false };
  const probes = createProbes({
    clock,
    device: {
      read: async (name) => {
        calls.push(`read ${name}`);
        return world.content;
      },
    },
    counters: async () => ({ diskseq: world.diskseq, sectorsWritten: world.written }),
    check: {
      look: async (device, fstype) => {
        calls.push(`look ${device} ${fstype}`);
        return { found: 'nothing' };
      },
      lookAt: async (point, numbers, pid) => {
        calls.push(`look at ${point} ${numbers} ${pid ?? 'self'}`);
        return { found: 'nothing' };
      },
    },
    isAsleep: async () => world.asleep,
    mounts: async () => world.mounts,
    mayLook: () => true,
    ...ports,
  });
  const device = (facts: Partial<KernelDevice> = {}) =>
    madeDevice({ diskseq: world.diskseq, sectorsWritten: world.written, ...facts });
  const udevOf = (devices: readonly KernelDevice[]): Evidence['udev'] => ({
    known: true,
    value: new Map(
      devices.flatMap((one) => [one, ...one.partitions]).map(({ name }) => [name, { properties: {}, links: [] }] as const),
    ),
  });
  const read = (...devices: KernelDevice[]) => probes.read(devices, udevOf(devices));
  /** Reads, letting the clock run as long as the reading waits for it. */
  const readSlowly = async (...devices: KernelDevice[]) => {
    const result = read(...devices);
    await advance(5_000);
    return result;
  };
  return { probes, calls, world, device, read, readSlowly, advance, clock };
};

describe('a drive is read', () => {
  test('once, and looked into once, however often it is asked for', async () => {
    const { read, device, calls, advance } = setup();
    const first = await read(device());
    for (let times = 0; times < 100; times += 1) {
      await advance(20_000);
      expect(await read(device())).toEqual(first);
    }
    expect(calls).toEqual(['read sdb', 'look /dev/sdb ext4']);
    expect(first.probes.get('sdb')).toMatchObject({ known: true, value: { clean: false, signatures: [{ device: 'sdb' }] } });
    expect(first.looks.get('sdb')).toEqual({ known: true, value: { found: 'nothing' } });
    expect([first.asleep.size, first.notAnswering.size]).toEqual([0, 0]);
  });

  test('anew after it was plugged in again, and with another set of partitions', async () => {
    const { read, device, calls, world } = setup({ settleMs: 0 });
    await read(device());
    world.diskseq = 8;
    await read(device());
    expect(calls.filter((call) => call === 'read sdb')).toHaveLength(2);
    const part = { name: 'sdb1', numbers: '8:17', sizeBytes: 10, startBytes: 0, holders: [] };
    await read(device({ partitions: [part] }));
    expect(calls.filter((call) => call === 'read sdb1')).toHaveLength(1);
  });

  test('anew when something was written to it, ten seconds later at the earliest', async () => {
    const { read, device, calls, world, advance } = setup();
    await read(device());
    world.content = NOTHING;
    world.written = 8;
    await advance(9_000);
    await read(device());
    expect(calls.filter((call) => call === 'read sdb')).toHaveLength(1);
    await advance(1_000);
    expect((await read(device())).probes.get('sdb')).toMatchObject({ value: { clean: true } });
    expect(calls.filter((call) => call === 'read sdb')).toHaveLength(2);
  });

  test('not anew while whoever writes to it has it mounted, or stands on it, or nobody knows', async () => {
    const { read, device, calls, world, advance } = setup();
    await read(device());
    const reads = async (mounts: Known<readonly SeenMount[]>, facts: Partial<KernelDevice> = {}) => {
      world.written += 8;
      world.mounts = mounts;
      await advance(20_000);
      await read(device(facts));
    };
    await reads({ known: true, value: [mounted()] });
    await reads({ known: true, value: [mounted({ device: '0:47' })] });
    await reads(NO_MOUNTS, { holders: ['dm-0'] });
    await reads({ known: false, why: 'denied' });
    expect(calls.filter((call) => call === 'read sdb')).toHaveLength(1);
    await reads(NO_MOUNTS);
    expect(calls.filter((call) => call === 'read sdb')).toHaveLength(2);
  });

  test('anew when that is asked for', async () => {
    const { read, probes, device, calls } = setup();
    await read(device());
    await Promise.all([probes.again(device()), probes.again(device())]);
    expect(calls.filter((call) => call === 'read sdb')).toHaveLength(3);
    probes.forget('sdb');
    expect(probes.last('sdb')).toBeUndefined();
  });

  test('never twice at the same time', async () => {
    const open = { now: 0, most: 0 };
    const { read, probes, device } = setup({
      device: {
        read: async () => {
          open.now += 1;
          open.most = Math.max(open.most, open.now);
          await settle();
          open.now -= 1;
          return EXT4;
        },
      },
    });
    await Promise.all([read(device()), probes.again(device()), probes.again(device()), read(device()), probes.again(device())]);
    expect(open.most).toBe(1);
  });

  test('not at all where it has no medium', async () => {
    const { read, device, calls } = setup();
    expect((await read(device({ sizeBytes: 0 }))).probes.get('sdb')).toMatchObject({ known: false });
    expect(calls).toEqual([]);
  });

  test('in vain when its name means another drive before the reading has ended', async () => {
    const swapped = { at: 0 };
    const { read, device } = setup({
      counters: async () => {
        swapped.at += 1;
        return { diskseq: swapped.at > 2 ? 8 : 7, sectorsWritten: 0 };
      },
    });
    expect((await read(device())).probes.get('sdb')).toMatchObject({ known: false, why: expect.stringContaining('exchanged') });
  });
});

describe('a drive that sleeps', () => {
  test.each(['asleep', 'suspended', 'unsure', 'failing'] as const)('is left alone: %s', async (how) => {
    const isAsleep = {
      asleep: async () => true,
      suspended: async () => false,
      unsure: never,
      failing: () => Promise.reject(new Error('x')),
    };
    const { read, readSlowly, device, calls } = setup({ isAsleep: isAsleep[how] });
    const now = how === 'unsure' ? readSlowly : read;
    const seen = await now(device({ suspended: how === 'suspended' }));
    expect(seen.probes.get('sdb')).toMatchObject({ known: false });
    expect(seen.asleep.has('sdb')).toBe(how === 'asleep' || how === 'suspended');
    expect(calls).toEqual([]);
  });

  test('keeps what was read before, also when it was written to', async () => {
    const { read, device, calls, world, advance } = setup();
    const awake = await read(device());
    world.asleep = true;
    world.written = 8;
    await advance(20_000);
    expect(await read(device())).toEqual({ ...awake, asleep: new Set(['sdb']) });
    expect(calls).toHaveLength(2);
  });

  test('is woken up when that is asked for', async () => {
    const { probes, device, calls, world } = setup();
    world.asleep = true;
    await probes.again(device());
    expect(calls).toContain('read sdb');
  });
});

describe('a drive that hangs', () => {
  const hanging = () => {
    const hung = { is: true };
    const reading: string[] = [];
    const made = setup({
      device: {
        read: async (name) => {
          reading.push(name);
          if (name === 'sdb' && hung.is) throw new CommandError('/usr/sbin/blkid', reading.length > 1 ? 'stuck' : 'timeout');
          return EXT4;
        },
      },
    });
    return { ...made, hung, reading };
  };

  test('does not answer until what hangs is gone', async () => {
    const { read, device, hung, advance, reading } = hanging();
    for (let times = 0; times < 20; times += 1) {
      const seen = await read(device());
      expect(seen.notAnswering).toEqual(new Set(['sdb']));
      expect(seen.probes.get('sdb')).toMatchObject({ known: false });
      await advance(5_000);
    }
    expect(reading.length).toBeLessThan(12);
    hung.is = false;
    await advance(10_000);
    expect(await read(device())).toMatchObject({ notAnswering: new Set() });
  });

  test('does not answer either while it is tried again', async () => {
    let times = 0;
    const reading = async () => {
      times += 1;
      if (times > 1) return never();
      throw new CommandError('/usr/sbin/blkid', 'timeout');
    };
    const { read, readSlowly, device, advance } = setup({ device: { read: reading } });
    await read(device());
    await advance(10_000);
    const seen = await readSlowly(device());
    expect(times).toBe(2);
    expect(seen.notAnswering.has('sdb')).toBe(true);
    expect(seen.probes.get('sdb')).toEqual({ known: false, why: 'It does not answer.' });
  });

  test('is waited for two seconds, and not again; the others are not', async () => {
    const { readSlowly, device, advance, clock, probes } = setup({
      device: { read: (name) => (name === 'sdb' ? never() : Promise.resolve(EXT4)) },
    });
    const other = device({ name: 'sdc', numbers: '8:32' });
    const seen = await readSlowly(device(), other);
    expect(seen.probes.get('sdc')).toMatchObject({ known: true });
    expect(seen.probes.get('sdb')).toMatchObject({ known: false });
    await advance(60_000);
    const before = clock.monotonic();
    await probes.read([device(), other], { known: false, why: '' });
    expect(clock.monotonic()).toBe(before);
  });

  test('in a look: it does not answer either', async () => {
    const hung = { is: true };
    const { read, device, advance } = setup({
      check: {
        look: async () => {
          if (hung.is) throw new DriveCheckError('look', 'hung', 'late');
          return { found: 'nothing' };
        },
        lookAt: never,
      },
    });
    const seen = await read(device());
    expect(seen.notAnswering).toEqual(new Set(['sdb']));
    expect(seen.looks.get('sdb')).toMatchObject({ known: false });
    hung.is = false;
    await advance(60_000);
    expect(await read(device())).toMatchObject({ notAnswering: new Set(), looks: new Map([['sdb', { known: true }]]) });
  });
});

describe('into a file system is looked', () => {
  test('by its mount where it is mounted, the host’s before others', async () => {
    const { read, device, calls, world } = setup();
    const inside = mounted({ id: '50', point: '/srv' }, { pid: 77, host: false });
    world.mounts = { known: true, value: [inside, mounted({ root: '/sub', point: '/part' }), mounted()] };
    await read(device());
    expect(calls[1]).toBe('look at /mnt/x 8:16 self');
  });

  test('by another namespace’s mount where only that has it', async () => {
    const { read, device, calls, world } = setup();
    world.mounts = { known: true, value: [mounted({ point: '/srv' }, { pid: 77, host: false })] };
    await read(device());
    expect(calls[1]).toBe('look at /srv 8:16 77');
  });

  test.each<[string, Known<readonly SeenMount[]>]>([
    ['only a part of it is mounted', { known: true, value: [mounted({ root: '/sub' })] }],
    ['nobody knows what is mounted', { known: false, why: 'denied' }],
  ])('not now: %s', async (_why, mounts) => {
    const { read, device, calls, world, advance } = setup();
    world.mounts = mounts;
    expect((await read(device())).looks.get('sdb')).toMatchObject({ known: false });
    expect(calls).toEqual(['read sdb']);
    world.mounts = NO_MOUNTS;
    await advance(60_000);
    expect((await read(device())).looks.get('sdb')).toMatchObject({ known: true });
  });

  test('never where it may not be', async () => {
    const { read, device, calls } = setup({ mayLook: () => false });
    expect((await read(device())).looks.size).toBe(0);
    expect(calls).toEqual(['read sdb']);
  });

  test('not before udev has finished with it', async () => {
    const { probes, device, calls } = setup();
    await probes.read([device()], { known: true, value: new Map() });
    expect(calls).toEqual(['read sdb']);
    await probes.read([device()], { known: true, value: new Map([['sdb', { properties: {}, links: [] }]]) });
    expect(calls).toHaveLength(2);
  });

  test('of one that is plugged in meanwhile, after those who mount it by themselves have had their time', async () => {
    const { read, device, calls, advance } = setup();
    await read();
    await read(device());
    expect(calls).toEqual(['read sdb']);
    await advance(9_999);
    await read(device());
    expect(calls).toEqual(['read sdb']);
    await advance(1);
    expect((await read(device())).looks.get('sdb')).toMatchObject({ known: true });
  });

  test('never where two carry the same btrfs: the kernel cannot tell them apart', async () => {
    const { read, device, calls, world, advance } = setup();
    world.content = { ...EXT4, signatures: [{ type: 'btrfs', offset: 65600, uuid: 'u1', label: '' }] };
    const both = [device(), device({ name: 'sdc', numbers: '8:32' })];
    for (let times = 0; times < 3; times += 1) {
      const { looks } = await read(...both);
      expect([...looks.values()]).toMatchObject([{ known: false }, { known: false }]);
      await advance(60_000);
    }
    expect(calls).toEqual(['read sdb', 'read sdc']);
    await read(device());
    await advance(60_000);
    expect((await read(device())).looks.get('sdb')).toMatchObject({ known: true });
  });

  test('nor before all of them are read', async () => {
    const btrfs: Probed = { ...EXT4, signatures: [{ type: 'btrfs', offset: 65600, uuid: 'u1', label: '' }] };
    let end = () => {};
    const slow = new Promise<void>((resolve) => {
      end = resolve;
    });
    const { read, device, calls, advance } = setup({
      device: { read: (name) => (name === 'sdc' ? slow.then(() => btrfs) : Promise.resolve(btrfs)) },
    });
    const both = [device(), device({ name: 'sdc', numbers: '8:32' })];
    const reading = read(...both);
    await advance(5_000);
    await reading;
    end();
    await settle();
    await read(...both);
    expect(calls).toEqual([]);
  });

  test.each([
    ['busy', 'EBUSY', true],
    ['no driver', '', false],
  ])('%s: another try is made or not', async (_what, code, again) => {
    let looks = 0;
    const look = async () => {
      looks += 1;
      throw new DriveCheckError('look', 'failed', 'mount: …', code);
    };
    const { read, device, advance, world } = setup({ check: { look, lookAt: never } });
    expect((await read(device())).looks.get('sdb')).toMatchObject({ known: false, why: expect.stringContaining('mount') });
    await advance(3_600_000);
    await read(device());
    expect(looks).toBe(again ? 2 : 1);
    world.written += 1;
    await advance(10_000);
    await read(device());
    expect(looks).toBe(again ? 3 : 2);
  });

  test.each<[string, Probed]>([
    ['a member of a set', { ...EXT4, signatures: [{ type: 'LVM2_member', offset: 0, uuid: 'u', label: '' }] }],
    ['two at once', { ...EXT4, signatures: [...EXT4.signatures, { type: 'vfat', offset: 0, uuid: 'v', label: '' }] }],
    ['ambivalent', { ...EXT4, ambivalent: true }],
    ['a locked one', { ...EXT4, signatures: [{ type: 'crypto_LUKS', offset: 0, uuid: 'u', label: '' }] }],
    ['nothing', NOTHING],
  ])('only where it stands alone, not: %s', async (_what, content) => {
    const { read, device, calls, world } = setup();
    world.content = content;
    expect((await read(device())).looks.size).toBe(0);
    expect(calls).toEqual(['read sdb']);
  });

  test('four at a time', async () => {
    const open = { now: 0, most: 0 };
    const ends: (() => void)[] = [];
    const look = async () => {
      open.now += 1;
      open.most = Math.max(open.most, open.now);
      await new Promise<void>((resolve) => ends.push(resolve));
      open.now -= 1;
      return { found: 'nothing' as const };
    };
    const { read, device, advance } = setup({ check: { look, lookAt: never } });
    const devices = Array.from({ length: 9 }, (_, index) =>
      device({ name: `sd${'bcdefghij'[index]}`, numbers: `8:${index * 16}` }),
    );
    const reading = read(...devices);
    while (ends.length > 0 || open.most === 0 || open.now > 0) {
      await settle();
      for (const end of ends.splice(0)) end();
    }
    await advance(3_000);
    expect([...(await reading).looks.values()].filter(({ known }) => known)).toHaveLength(9);
    expect(open.most).toBe(4);
  });
});

test('a drive that somebody has for itself is neither read nor looked into, whatever is written to it; afterwards it is', async () => {
  let isLeft = false;
  const { probes, device, world, calls, readSlowly } = setup({ leaveAlone: () => isLeft, settleMs: 0 });
  await readSlowly(device());
  calls.length = 0;
  isLeft = true;
  world.written = 99;
  world.content = NOTHING;
  const part = { name: 'sdb1', numbers: '8:17', sizeBytes: 1, startBytes: 1, holders: [] };
  for (const partitions of [[], [part]]) {
    await readSlowly(device({ partitions }));
    await probes.again(device({ partitions }));
  }
  expect(calls).toEqual([]);
  isLeft = false;
  await probes.again(device({ partitions: [part] }));
  expect(calls).toEqual(['read sdb', 'read sdb1']);
});
