import { Value } from 'typebox/value';
import { afterEach, expect, test } from 'vitest';
import { createSmart, notAsked, type SmartState } from '#agent/disks/smart/service';
import { createMetrics } from '#agent/metrics/service';
import { systemClock } from '#agent/ports/clock';
import { type RunCommand, runCommand } from '#agent/ports/command';
import { createProc, type Proc } from '#agent/ports/proc';
import type { Resources, StorageConfig } from '#agent/ports/proxmox';
import { createSysfs, type KernelDevice, type Sysfs } from '#agent/ports/sysfs';
import { createThinPools, type ThinPools } from '#agent/ports/thin-pools';
import { createZpool, type Zpool } from '#agent/ports/zpool';
import { createNodeView } from '#agent/storage/node-view';
import { HostMetrics } from '#shared/wire/metrics';
import { fakeClock } from '../fake-clock.ts';
import { fakeProc, fakeProxmox, fakeSysfs, NEVER, storageConfig, storageResource, unreachable } from '../fake-host.ts';

const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

interface Changes {
  proc?: Partial<Proc>;
  sysfs?: Partial<Sysfs>;
  run?: RunCommand;
  resources?: () => Promise<Resources>;
  storages?: () => Promise<StorageConfig[]>;
  thinPools?: ThinPools['read'];
  zfsPools?: Zpool['pools'];
  smart?: (drive: string) => SmartState;
}

const setup = ({
  proc: procChanges,
  sysfs: sysfsChanges,
  run = async () => '4096 1000 400 350\n',
  thinPools = async () => [],
  zfsPools = async () => [],
  smart = notAsked,
  ...answers
}: Changes = {}) => {
  const { clock, advance, pending } = fakeClock();
  const proc = { ...fakeProc(clock.monotonic), ...procChanges };
  const sysfs = { ...fakeSysfs(), ...sysfsChanges };
  const proxmox = fakeProxmox(answers);
  const view = createNodeView({ clock, proxmox, proc, sysfs });
  const metrics = createMetrics({
    clock,
    proc,
    sysfs,
    run,
    view,
    thinPools: { read: thinPools },
    zpool: { pools: zfsPools },
    smart,
  });
  closing.push(metrics.close);
  /** What is answered after at most so long; nothing may take 4 s. */
  const answer = async (withinMs = 3_900) => {
    let found: HostMetrics | undefined;
    const asked = metrics.read(101).then((one) => {
      found = one;
    });
    await advance(withinMs);
    if (found === undefined) expect.fail('no answer within 4 s');
    await asked;
    expect(Value.Check(HostMetrics, found)).toBe(true);
    return found;
  };
  return { metrics, answer, advance, pending, proxmox };
};

const ROOT_DISK = { disk_total_bytes: 4_096_000, disk_used_bytes: 2_457_600, disk_percent: 63.2 };

test('a healthy host, whole', async () => {
  const { answer } = setup();
  expect(await answer(700)).toEqual({
    vmid: 101,
    host: {
      node: 'pve1',
      cpu_percent: 50,
      memory_total_bytes: 1_024_000,
      memory_used_bytes: 768_000,
      memory_percent: 75,
      ...ROOT_DISK,
      loadavg: ['0.10', '0.20', '0.30'],
      uptime_seconds: 1362,
      cpu_temp_c: 45,
    },
    storage_targets: [
      {
        name: 'local',
        type: 'dir',
        state: 'active',
        reachable: true,
        total_bytes: 1000,
        used_bytes: 250,
        avail_bytes: 750,
        used_fraction: 0.25,
        content: 'backup,iso',
        mount_path: '/var/lib/vz',
        class_hint: 'fast',
        age_seconds: 0,
        smart: {
          ...{ health: 'UNKNOWN', temperature_c: null, percentage_used: null, age_seconds: null },
          reasons: ['The drive has not been asked yet.'],
        },
      },
    ],
    stale: [],
  });
});

test('on a ZFS root the pool is asked, not the root file system', async () => {
  const asked: unknown[] = [];
  const { answer } = setup({
    proc: { mountinfo: async () => '26 1 0:27 / / rw - zfs rpool/ROOT/pve-1 rw\n' },
    run: async (name, args) => {
      asked.push([name, args.at(-1)]);
      return '3000\t7000\n';
    },
  });
  expect((await answer()).host).toMatchObject({ disk_total_bytes: 10_000, disk_used_bytes: 3_000, disk_percent: 30 });
  expect(asked).toEqual([['zfs', 'rpool']]);
});

test.each([
  ['cpu', { proc: { stat: () => NEVER } }, { cpu_percent: null }],
  ['memory', { proc: { meminfo: () => NEVER } }, { memory_total_bytes: null, memory_used_bytes: null, memory_percent: null }],
  ['memory', { proc: { arcstats: () => Promise.reject(new Error('EIO')) } }, { memory_used_bytes: null }],
  ['disk', { run: () => NEVER }, { disk_total_bytes: null, disk_used_bytes: null, disk_percent: null }],
  ['load', { proc: { loadavg: async () => 'garbage' } }, { loadavg: ['', '', ''] }],
  ['uptime', { proc: { uptime: () => Promise.reject(new Error('EIO')) } }, { uptime_seconds: null }],
  ['temperature', { sysfs: { hwmon: () => NEVER } }, { cpu_temp_c: null }],
  ['storage', { resources: () => NEVER }, {}],
  ['storage', { storages: () => NEVER }, {}],
  ['drives', { sysfs: { blockDevices: () => NEVER } }, {}],
] satisfies [string, Changes, object][])(
  '%s that hangs or fails from the start is named; the rest is there',
  async (source, changes, host) => {
    const found = await setup(changes).answer();
    expect(found.stale).toEqual([{ source, age_seconds: null }]);
    expect(found.host).toMatchObject({ uptime_seconds: 1362, ...ROOT_DISK, ...host });
  },
);

const THIN = storageConfig({ storage: 'local-lvm', type: 'lvmthin', path: '', keys: { vgname: 'pve', thinpool: 'data' } });
const ZFS = storageConfig({ storage: 'tank', type: 'zfspool', path: '', keys: { pool: 'tank/vm' } });
const POOL = { name: 'pve-data', dataFraction: 0.5, metadataFraction: 0.25, state: 'rw', needsCheck: false } as const;

test('thin pools and ZFS pools are asked only where there are any, at most every few seconds', async () => {
  let asked: string[] = [];
  const pools = {
    thinPools: async () => {
      asked.push('thin');
      return [POOL];
    },
    zfsPools: async () => {
      asked.push('zfs');
      return [{ name: 'tank', guid: '1', devices: ['/dev/sda1'] }];
    },
  };
  await setup(pools).answer();
  expect(asked).toEqual([]);
  const smart = (name: string): SmartState => ({
    ...notAsked(),
    health: 'PASSED',
    temperature_c: name === 'sda' ? 30 : 40,
    ageMs: 7_000,
  });
  const { answer } = setup({ ...pools, smart, storages: async () => [THIN, ZFS] });
  await answer(900);
  const found = await answer(0);
  expect(found.storage_targets).toMatchObject([
    { name: 'local-lvm', thin_pool: { data_used_fraction: 0.5, metadata_used_fraction: 0.25 } },
    { name: 'tank', class_hint: 'slow', smart: { health: 'PASSED', temperature_c: 30, age_seconds: 7 } },
  ]);
  expect(asked.sort()).toEqual(['thin', 'zfs']);
  asked = [];
});

test('pools that hang are named, and everything else is there', async () => {
  const found = await setup({ storages: async () => [THIN, ZFS], thinPools: () => NEVER, zfsPools: () => NEVER }).answer();
  expect(found.stale).toEqual([
    { source: 'zfs', age_seconds: null },
    { source: 'thin_pools', age_seconds: null },
  ]);
  expect(found.storage_targets[0]).toMatchObject({ thin_pool: { data_used_fraction: null, metadata_used_fraction: null } });
});

test('a smartctl that never ends keeps no answer back', async () => {
  const { clock } = fakeClock();
  const hung = { read: () => NEVER, power: () => NEVER, scan: () => NEVER };
  const problems = { raise: () => undefined, clear: () => undefined };
  const smart = createSmart({ clock, smartctl: hung, problems, bootId: '', kept: () => null, keep: async () => undefined });
  const device = { name: 'nvme0n1', diskseq: 1, rotational: false, usb: false, suspended: false, model: '', serial: '' };
  void smart.tick([device as KernelDevice]);
  const { answer } = setup({ smart: smart.of });
  for (let call = 0; call < 100; call += 1) {
    expect((await answer(700)).storage_targets[0]?.smart).toMatchObject({ health: 'UNKNOWN' });
  }
});

test('a source that stops gives its last values, with their age', async () => {
  let hung = false;
  const { answer, advance } = setup({ run: async () => (hung ? NEVER : '4096 1000 400 350\n') });
  await answer();
  hung = true;
  await advance(60_000);
  const found = await answer();
  expect(found.host).toMatchObject(ROOT_DISK);
  expect(found.stale).toEqual([{ source: 'disk', age_seconds: 67 }]);
});

test('everything hangs: an answer, still', async () => {
  const hang = () => NEVER;
  const found = await setup({
    proc: { stat: hang, meminfo: hang, loadavg: hang, uptime: hang, mountinfo: hang, arcstats: hang },
    sysfs: { hwmon: hang, blockDevices: hang },
    run: hang,
    resources: hang,
    storages: hang,
  }).answer();
  expect(found.storage_targets).toEqual([]);
  expect(found.stale.map(({ source }) => source)).toEqual([
    'cpu',
    'memory',
    'disk',
    'load',
    'uptime',
    'temperature',
    'storage',
    'drives',
  ]);
});

test('a hundred readers at once cost one collection, each with its own vmid', async () => {
  let spawned = 0;
  const run: RunCommand = async () => {
    spawned += 1;
    return '4096 1000 400 350\n';
  };
  const { metrics, advance, proxmox } = setup({ run });
  const asked = Array.from({ length: 100 }, (_, at) => metrics.read(100 + at));
  await advance(700);
  expect((await Promise.all(asked)).map(({ vmid }) => vmid)).toEqual(Array.from({ length: 100 }, (_, at) => 100 + at));
  expect(spawned).toBe(1);
  expect(proxmox.calls.sort()).toEqual(['resources', 'storages']);
});

test('Proxmox is asked every few seconds at most whatever the clients do, also when it refuses, and never when idle', async () => {
  for (const resources of [undefined, () => Promise.reject(unreachable())]) {
    const { metrics, advance, proxmox } = setup(resources === undefined ? {} : { resources });
    await advance(600_000);
    expect(proxmox.calls).toEqual([]);
    for (let step = 0; step < 100; step += 1) {
      void metrics.read(101);
      await advance(100);
    }
    expect(proxmox.calls.filter((call) => call === 'resources').length).toBeLessThanOrEqual(3);
  }
});

test('idle it costs one small read every five seconds and one timer; closed it costs nothing', async () => {
  let reads = 0;
  const { advance, pending, metrics } = setup({
    proc: {
      stat: async () => {
        reads += 1;
        return 'cpu  1 0 0 1 0 0 0 0\n';
      },
    },
  });
  await advance(60_000);
  expect(reads).toBeLessThanOrEqual(13);
  expect(pending()).toBe(1);
  metrics.close();
  expect(pending()).toBe(0);
});

test('the first answer after a start has a processor figure within a second; later ones look back ten seconds without waiting', async () => {
  const { answer, advance } = setup();
  expect((await answer(900)).host.cpu_percent).toBe(50);
  await advance(30_000);
  expect((await answer(0)).host.cpu_percent).toBe(50);
});

test('nonsense of a source never reaches the wire', async () => {
  const { answer } = setup({
    sysfs: { hwmon: async () => [{ name: 'coretemp', temperatures: [{ label: 'Package id 0', millidegrees: Number.NaN }] }] },
    proc: { meminfo: async () => 'MemTotal: 0 kB\nMemAvailable: 0 kB\n', uptime: async () => `${'9'.repeat(400)}.0 1.0\n` },
    run: async () => '4096 0 0 0\n',
    resources: async () => ({
      guests: [],
      storages: [
        storageResource({ maxdisk: Number.POSITIVE_INFINITY, disk: Number.NaN }),
        storageResource({ storage: 'two', maxdisk: 0, disk: 0 }),
      ],
    }),
    storages: async () => [storageConfig({}), storageConfig({ storage: 'two' })],
  });
  const found = await answer();
  expect(found.host).toMatchObject({ memory_percent: null, disk_percent: null, cpu_temp_c: null, uptime_seconds: null });
  expect(found.storage_targets[0]).toMatchObject({ total_bytes: null, used_bytes: null, avail_bytes: null, used_fraction: null });
  expect(found.storage_targets[1]).toMatchObject({ total_bytes: 0, used_fraction: null });
  expect(JSON.parse(JSON.stringify(found))).toEqual(found);
});

test('this machine, with a Proxmox that hangs: under 4 s of real time, and sane', async () => {
  const proc = createProc();
  const sysfs = createSysfs();
  const proxmox = fakeProxmox({ resources: () => NEVER, storages: () => NEVER });
  const ports = { clock: systemClock, proc, sysfs };
  const pools = { thinPools: createThinPools(runCommand), zpool: createZpool(runCommand) };
  const view = createNodeView({ ...ports, proxmox });
  const metrics = createMetrics({ ...ports, ...pools, run: runCommand, view, smart: notAsked });
  closing.push(metrics.close);
  const before = performance.now();
  const found = await metrics.read(101);
  expect(performance.now() - before).toBeLessThan(4_000);
  expect(Value.Check(HostMetrics, found)).toBe(true);
  expect(found.stale).toEqual([{ source: 'storage', age_seconds: null }]);
  const { host } = found;
  expect(host.cpu_percent).toBeGreaterThanOrEqual(0);
  expect(host.memory_used_bytes).toBeLessThan(host.memory_total_bytes ?? 0);
  expect(host.disk_used_bytes).toBeLessThanOrEqual(host.disk_total_bytes ?? 0);
  expect(host.uptime_seconds).toBeGreaterThan(0);
  expect(host.loadavg.every((load) => /^\d+\.\d\d$/.test(load))).toBe(true);
  const again = performance.now();
  await metrics.read(101);
  expect(performance.now() - again).toBeLessThan(1_000);
});
