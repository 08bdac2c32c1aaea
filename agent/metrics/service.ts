/** The host's health: every source has a deadline, and one that fails or is late gives its last values and is named. */

import type { Clock } from '#shared/clock';
import { int, percent } from '#shared/int';
import { mountOf, parseMountinfo } from '#shared/mountinfo';
import type { HostMetrics } from '#shared/wire/metrics';
import { ageSeconds, type Collector, createCollector, type Reading } from '../collector.ts';
import type { SmartState } from '../disks/smart/service.ts';
import type { RunCommand } from '../ports/command.ts';
import type { Proc } from '../ports/proc.ts';
import type { StorageConfig } from '../ports/proxmox.ts';
import type { Sysfs } from '../ports/sysfs.ts';
import type { ThinPools } from '../ports/thin-pools.ts';
import type { Zpool } from '../ports/zpool.ts';
import type { Drives } from '../storage/class.ts';
import type { NodeView } from '../storage/node-view.ts';
import { createCpuSampler } from './cpu-sampler.ts';
import { type Filling, parseStatfs, parseZfsSpace, STATFS_ARGS, ZFS_ARGS } from './disk.ts';
import { parseLoadavg, parseUptimeSeconds } from './load.ts';
import { parseMemory } from './memory.ts';
import { type Remembered, remember, storageTargets } from './targets.ts';
import { hottest, isProcessorChip } from './temperature.ts';

export interface MetricsPorts {
  clock: Clock;
  proc: Proc;
  sysfs: Pick<Sysfs, 'hwmon'>;
  run: RunCommand;
  view: NodeView;
  thinPools: ThinPools;
  zpool: Pick<Zpool, 'pools'>;
  /** What a drive last said of itself, by kernel name; asks nothing. */
  smart: (drive: string) => SmartState;
}

/** A whole answer takes less than 4 s, so every source has less. What is read from the kernel is kept for bursts only. */
const KERNEL = { deadlineMs: 3_000, keepMs: 1_000 };
/** Costs a child process. */
const CHILD = { deadlineMs: 3_000, keepMs: 2_000 };
/** Asked when the storages are known, so what is left of the 4 s is less. */
const POOLS = { deadlineMs: 800, keepMs: 5_000 };

/** A pool's file systems share its space, so on ZFS the pool is asked; of any other file system statfs knows all. */
const rootFilling = async ({ proc, run }: Pick<MetricsPorts, 'proc' | 'run'>): Promise<Filling> => {
  const root = mountOf(parseMountinfo(await proc.mountinfo()), '/');
  const [pool = ''] = root?.fstype === 'zfs' ? root.source.split('/') : [];
  if (pool !== '') return parseZfsSpace(await run('zfs', [...ZFS_ARGS, pool]));
  return parseStatfs(await run('stat', [...STATFS_ARGS, '/']));
};

type Host = HostMetrics['host'];
type Stale = HostMetrics['stale'];

const diskFields = (disk: Filling | null): Pick<Host, 'disk_total_bytes' | 'disk_used_bytes' | 'disk_percent'> => ({
  disk_total_bytes: int(disk?.totalBytes),
  disk_used_bytes: int(disk?.usedBytes),
  disk_percent: disk === null ? null : percent(disk.usedBytes, disk.usedBytes + disk.availBytes),
});

const staleSources = (readings: Readonly<Record<string, Reading<unknown>>>): Stale =>
  Object.entries(readings)
    .filter(([, { fresh }]) => !fresh)
    .map(([source, { ageMs }]) => ({ source, age_seconds: ageSeconds(ageMs) }));

/** The older of two readings of one thing, late if either is. */
const older = (one: Reading<unknown>, other: Reading<unknown>): Reading<unknown> => ({
  value: null,
  ageMs: one.ageMs === null || other.ageMs === null ? null : Math.max(one.ageMs, other.ageMs),
  fresh: one.fresh && other.fresh,
});

const all = async <T extends Record<string, Collector<unknown>>>(collectors: T) => {
  type Readings = { [K in keyof T]: Awaited<ReturnType<T[K]['read']>> };
  const entries = Object.entries(collectors).map(async ([name, one]) => [name, await one.read()] as const);
  return Object.fromEntries(await Promise.all(entries)) as Readings;
};

export const createMetrics = ({ clock, proc, sysfs, run, view, thinPools, zpool, smart }: MetricsPorts) => {
  const cpu = createCpuSampler({ clock, proc });
  const sources = {
    cpu: createCollector(clock, KERNEL, cpu.read),
    memory: createCollector(clock, KERNEL, async () => parseMemory(...(await Promise.all([proc.meminfo(), proc.arcstats()])))),
    disk: createCollector(clock, CHILD, () => rootFilling({ proc, run })),
    load: createCollector(clock, KERNEL, async () => parseLoadavg(await proc.loadavg())),
    uptime: createCollector(clock, KERNEL, async () => parseUptimeSeconds(await proc.uptime())),
    temperature: createCollector(clock, KERNEL, async () => hottest(await sysfs.hwmon(isProcessorChip))),
  };
  const pools = {
    zfs: createCollector(clock, POOLS, () => zpool.pools()),
    thin: createCollector(clock, POOLS, () => thinPools.read()),
  };
  let figures: Remembered = new Map();

  const host = async (): Promise<{ host: Host; stale: Stale }> => {
    const readings = await all(sources);
    const memory = readings.memory.value;
    return {
      stale: staleSources(readings),
      host: {
        node: view.node,
        cpu_percent: readings.cpu.value,
        memory_total_bytes: int(memory?.totalBytes),
        memory_used_bytes: int(memory?.usedBytes),
        memory_percent: memory === null ? null : percent(memory.usedBytes, memory.totalBytes),
        ...diskFields(readings.disk.value),
        loadavg: readings.load.value ?? ['', '', ''],
        uptime_seconds: int(readings.uptime.value),
        cpu_temp_c: int(readings.temperature.value),
      },
    };
  };

  /** Asked only where there are any, since each costs a child process. */
  const layers = async (storages: readonly StorageConfig[], drives: Drives | null) => {
    const hasZfs = storages.some(({ type }) => type === 'zfspool') || drives?.mounts.some(({ fstype }) => fstype === 'zfs');
    const hasThin = storages.some(({ type }) => type === 'lvmthin');
    const [zfs, thin] = await Promise.all([hasZfs ? pools.zfs.read() : null, hasThin ? pools.thin.read() : null]);
    return {
      drives: drives === null || zfs === null ? drives : { ...drives, zfsPools: zfs.value ?? [] },
      thinPools: thin?.value ?? null,
      stale: staleSources({ ...(zfs && { zfs }), ...(thin && { thin_pools: thin }) }),
    };
  };

  const targets = async (): Promise<Pick<HostMetrics, 'storage_targets' | 'stale'>> => {
    const [storages, resources, drives] = await Promise.all([view.storages.read(), view.resources.read(), view.drives.read()]);
    const found = await layers(storages.value ?? [], drives.value);
    const readings = {
      ...{ node: view.node, nowMs: clock.monotonic(), storages, resources, smart },
      drives: found.drives,
      thinPools: found.thinPools,
    };
    figures = remember(figures, readings);
    return {
      storage_targets: storageTargets(readings, figures),
      stale: [...staleSources({ storage: older(storages, resources), drives }), ...found.stale],
    };
  };

  /** Never rejects. Who asks at the same time shares each source's one collection. */
  const read = async (vmid: number): Promise<HostMetrics> => {
    const [measured, stored] = await Promise.all([host(), targets()]);
    return { vmid, host: measured.host, storage_targets: stored.storage_targets, stale: [...measured.stale, ...stored.stale] };
  };

  return { read, close: cpu.close };
};
export type Metrics = ReturnType<typeof createMetrics>;
