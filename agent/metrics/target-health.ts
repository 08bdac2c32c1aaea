/** What the drives behind a storage target say of themselves, and how full its thin pool is. Pure. */
import { int } from '#shared/int';
import type { HostMetrics } from '#shared/wire/metrics';
import { ageSeconds } from '../collector.ts';
import type { SmartState } from '../disks/smart/service.ts';
import { worstOf } from '../disks/smart/worst.ts';
import type { StorageConfig } from '../ports/proxmox.ts';
import type { ThinPool } from '../ports/thin-pools.ts';
import { type Drives, drivesBehind } from '../storage/class.ts';
import { thinPoolName } from '../storage/thin-pool-name.ts';

type Target = HostMetrics['storage_targets'][number];

export interface HealthReadings {
  drives: Drives | null;
  /** By kernel name. */
  smart: (drive: string) => SmartState;
  /** Null where they could not be read. */
  thinPools: readonly ThinPool[] | null;
}

const unknown = (reason: string): Target['smart'] => ({
  health: 'UNKNOWN',
  temperature_c: null,
  percentage_used: null,
  age_seconds: null,
  reasons: [reason],
});

/** A drive that nobody knows is one more that says nothing. */
const NOT_KNOWN: SmartState = {
  health: 'UNKNOWN',
  temperature_c: null,
  percentage_used: null,
  power_on_hours: null,
  standby: false,
  reasons: ['Not all of its drives are known.'],
  ageMs: null,
};

/** The oldest of them; null where there is one that never answered. */
const oldest = (states: readonly SmartState[]): number | null =>
  states.some(({ ageMs }) => ageMs === null) ? null : Math.max(...states.map(({ ageMs }) => ageMs ?? 0));

export const targetHealth = ({ drives, smart }: HealthReadings, config: StorageConfig): Target['smart'] => {
  if (drives === null) return unknown('The drives of this host could not be read.');
  const behind = drivesBehind(drives, config);
  if (behind === null) return unknown('Its drives are not of this host.');
  if (behind.names.length === 0) return unknown('Which drives are behind it is not known.');
  const known = behind.names.map((name) => ({ name, reading: smart(name) }));
  const all = behind.whole ? known : [...known, { name: 'others', reading: NOT_KNOWN }];
  const worst = worstOf(all);
  return {
    health: worst.health,
    temperature_c: int(worst.temperature_c),
    percentage_used: int(worst.percentage_used),
    age_seconds: ageSeconds(oldest(all.map(({ reading }) => reading))),
    reasons: worst.reasons,
  };
};

/** Of LVM-thin storages only; figures are null where the pool is not there, has failed or could not be asked. */
export const thinPoolOf = ({ thinPools }: HealthReadings, config: StorageConfig): Pick<Target, 'thin_pool'> => {
  if (config.type !== 'lvmthin') return {};
  const pool = thinPools?.find(({ name }) => name === thinPoolName(config));
  return {
    thin_pool: { data_used_fraction: pool?.dataFraction ?? null, metadata_used_fraction: pool?.metadataFraction ?? null },
  };
};
