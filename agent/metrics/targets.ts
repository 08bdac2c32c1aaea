/** Storage targets from Proxmox's configuration and pvestatd's figures. Pure: what is remembered is handed in and out. */
import { fraction, int } from '#shared/int';
import type { HostMetrics } from '#shared/wire/metrics';
import { ageSeconds, type Reading } from '../collector.ts';
import type { Resources, StorageConfig, StorageResource } from '../ports/proxmox.ts';
import { classOfStorage } from '../storage/class.ts';
import { type HealthReadings, targetHealth, thinPoolOf } from './target-health.ts';

type StorageTarget = HostMetrics['storage_targets'][number];

/** The newest figures that pvestatd gave of a storage. */
interface Figures {
  totalBytes: number;
  usedBytes: number;
  /** Monotonic. */
  atMs: number;
}
export type Remembered = ReadonlyMap<string, Figures>;

export interface TargetReadings extends HealthReadings {
  node: string;
  nowMs: number;
  storages: Reading<StorageConfig[]>;
  resources: Reading<Resources>;
}

const reported = ({ node, resources }: TargetReadings): StorageResource[] =>
  (resources.value?.storages ?? []).filter((storage) => storage.node === node);

/** Adds what a reading brought, and forgets storages that are no longer there. */
export const remember = (before: Remembered, readings: TargetReadings): Remembered => {
  const atMs = readings.nowMs - (readings.resources.ageMs ?? 0);
  const news = reported(readings).flatMap(({ storage, status, maxdisk, disk }): [string, Figures][] =>
    status === 'available' && maxdisk !== null && disk !== null
      ? [[storage, { totalBytes: maxdisk, usedBytes: disk, atMs }]]
      : [],
  );
  const names = new Set(configured(readings).map(({ storage }) => storage));
  return new Map([...before, ...news].filter(([storage]) => names.has(storage)));
};

/** As far as the resources tell, where the configuration was never read. */
const asConfig = ({ storage, type, content }: StorageResource): StorageConfig => ({
  storage,
  type,
  content,
  path: '',
  disabled: false,
  nodes: [],
  keys: {},
});

/** This node's storages. */
const configured = (readings: TargetReadings): StorageConfig[] =>
  (readings.storages.value ?? reported(readings).map(asConfig)).filter(
    ({ nodes }) => nodes.length === 0 || nodes.includes(readings.node),
  );

/**
 * pvestatd reports only storages that it could activate, all in one pass, and its reports lapse. So one that is missing while
 * another is there is inactive; where none is there pvestatd itself is held up, and nothing is known of any.
 */
const stateOf = (config: StorageConfig, readings: TargetReadings, known: boolean): StorageTarget['state'] => {
  if (config.disabled) return 'disabled';
  if (readings.resources.fresh) {
    const all = reported(readings);
    const status = all.find(({ storage }) => storage === config.storage)?.status;
    if (status === 'available') return 'active';
    if (status === 'inactive' || all.some((other) => other.status === 'available')) return 'inactive';
  }
  return known ? 'stale' : 'unknown';
};

const sortedContent = (content: string): string =>
  content
    .split(',')
    .map((word) => word.trim())
    .filter((word) => word !== '')
    .sort()
    .join(',');

const target = (config: StorageConfig, readings: TargetReadings, figures: Figures | undefined): StorageTarget => {
  const state = stateOf(config, readings, figures !== undefined);
  const shown = state === 'disabled' ? undefined : figures;
  return {
    name: config.storage,
    type: config.type,
    state,
    reachable: state === 'active',
    total_bytes: int(shown?.totalBytes),
    used_bytes: int(shown?.usedBytes),
    avail_bytes: shown === undefined ? null : int(Math.max(0, shown.totalBytes - shown.usedBytes)),
    used_fraction: fraction(shown?.usedBytes, shown?.totalBytes),
    content: sortedContent(config.content),
    mount_path: config.path,
    class_hint: readings.drives === null ? '' : classOfStorage(readings.drives, config),
    age_seconds: shown === undefined ? null : ageSeconds(readings.nowMs - shown.atMs),
    ...thinPoolOf(readings, config),
    smart: targetHealth(readings, config),
  };
};

export const storageTargets = (readings: TargetReadings, figures: Remembered): StorageTarget[] =>
  configured(readings)
    .map((config) => target(config, readings, figures.get(config.storage)))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
