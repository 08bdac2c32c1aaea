/** Thin pools under the guest's volumes: a snapshot taken in a full one stops every guest on it. Pure. */
import type { ThinPool } from '#agent/ports/thin-pools';
import { thinPoolName } from '#agent/storage/thin-pool-name';
import { guestVolumes } from '#agent/storage/volumes';
import type { Facts } from './facts.ts';
import { percent } from './figures.ts';
import { whereKnown } from './known.ts';
import type { Check } from './verdict.ts';

const MOST = { data: 0.85, metadata: 0.75 };

/** The names of the pools that hold volumes of the guest, with the storage through which it uses each. */
export const thinPoolsOf = ({ guest, config, storages }: Pick<Facts, 'guest' | 'config' | 'storages'>): Map<string, string> => {
  const used = new Set(guestVolumes(guest.type, config).map(({ storage }) => storage));
  return new Map(
    storages
      .filter(({ type, storage }) => type === 'lvmthin' && used.has(storage))
      .map((one) => [thinPoolName(one), one.storage]),
  );
};

const illness = ({ state, needsCheck, dataFraction, metadataFraction }: ThinPool): string | null => {
  if (state === 'fail') return 'it has failed';
  if (state === 'out_of_data_space') return 'it has no room left';
  if (state === 'ro') return 'it is read-only';
  if (needsCheck) return 'it has to be checked';
  if (dataFraction !== null && dataFraction > MOST.data)
    return `${percent(dataFraction)} of its room is used, ${percent(MOST.data)} at most are allowed`;
  if (metadataFraction !== null && metadataFraction > MOST.metadata)
    return `${percent(metadataFraction)} of its metadata is used, ${percent(MOST.metadata)} at most are allowed`;
  return null;
};

export const THIN_POOL: Check<Facts> = {
  code: 'thin-pool-full',
  find: (facts) => {
    const names = thinPoolsOf(facts);
    for (const pool of whereKnown(facts.pools) ?? []) {
      const storage = names.get(pool.name);
      const why = storage === undefined ? null : illness(pool);
      if (why === null) continue;
      return {
        sentence: "The room that this guest's disks share is nearly used up or damaged; a backup could stop every guest on it.",
        evidence: `storage ${storage}, thin pool ${pool.name}: ${why}`,
        nextStep: `Look at the pool (lvs -a), then enlarge it, free room in its guests (fstrim), or have it repaired.`,
      };
    }
    return null;
  },
};

/** Pools that could not be looked at do not stop a backup, but somebody should know. */
export const unseenPools = (facts: Facts): string[] => {
  if (facts.pools === null) return [];
  if (!facts.pools.ok) return ["The thin pools of this guest's volumes could not be read."];
  const seen = new Set(facts.pools.value.map(({ name }) => name));
  return [...thinPoolsOf(facts).keys()].filter((name) => !seen.has(name)).map((name) => `The thin pool ${name} was not found.`);
};
