/** How full the host's thin pools are, as the kernel knows it: nothing is scanned, nothing is written. */
import { CommandError, type RunCommand } from './command.ts';

export interface ThinPool {
  /** In device mapper's spelling, which doubles hyphens: `pve-data` of the group `pve`. */
  name: string;
  /** 0 to 1; null where the pool has failed. */
  dataFraction: number | null;
  metadataFraction: number | null;
  /** `ro`: its metadata could not be written. `fail`: not even read. */
  state: 'rw' | 'ro' | 'out_of_data_space' | 'fail';
  /** Set by the kernel when the metadata may be damaged: `thin_check` before anything else. */
  needsCheck: boolean;
}

export interface ThinPools {
  /** Empty on a host without device mapper. */
  read(): Promise<ThinPool[]>;
}

/** Without `--noflush` every look commits the pool's metadata (Documentation/admin-guide/device-mapper/thin-provisioning.rst). */
const ARGS = ['status', '--noflush', '--target', 'thin-pool'];

/** `used/total` in blocks: those of metadata have 4096 bytes, those of data the pool's own size. */
const fraction = (blocks: string | undefined): number | null => {
  const [used, total] = (blocks ?? '').split('/').map(Number);
  return used !== undefined && total !== undefined && total > 0 ? used / total : null;
};

const STATES = ['rw', 'ro', 'out_of_data_space'] as const;

const parseLine = (line: string): ThinPool[] => {
  const [, name = '', facts = ''] = /^(\S+): \d+ \d+ thin-pool (.+)$/.exec(line) ?? [];
  if (name === '') return [];
  const [, metadata, data, , ...flags] = facts.split(' ');
  return [
    {
      // LVM keeps a pool that is in use under this suffix (lvm2, lib/activate/dev_manager.c).
      name: name.replace(/-tpool$/, ''),
      dataFraction: fraction(data),
      metadataFraction: fraction(metadata),
      // `Fail` or `Error` stands alone.
      state: STATES.find((state) => flags.includes(state)) ?? 'fail',
      needsCheck: flags.includes('needs_check'),
    },
  ];
};

const hasNoDeviceMapper = (error: unknown): boolean =>
  error instanceof CommandError &&
  (error.reason === 'start' || /communicate with kernel device-mapper driver/.test(error.message));

export const createThinPools = (run: RunCommand): ThinPools => ({
  read: async () => {
    try {
      return (await run('dmsetup', ARGS)).split('\n').flatMap(parseLine);
    } catch (error) {
      if (hasNoDeviceMapper(error)) return [];
      throw error;
    }
  },
});
