/** Whether a name still means the same drive, and how much was written to it: what the kernel counts, without touching the drive. */
import { join } from 'node:path';
import { line } from './sysfs-read.ts';

export interface BlockCounters {
  /** Counts up at each plugging in (Documentation/ABI/stable/sysfs-block); null where there is no such device, or an old kernel. */
  diskseq: number | null;
  /** Of 512 bytes, since it was plugged in; null where the kernel does not count (`queue/iostats`). Documentation/block/stat.rst. */
  sectorsWritten: number | null;
}

export type ReadBlockCounters = (name: string) => Promise<BlockCounters>;

const number = (text: string | undefined): number | null => (text !== undefined && /^\d+$/.test(text) ? Number(text) : null);

const WRITTEN = 6;

export const createBlockCounters =
  (sys = '/sys'): ReadBlockCounters =>
  async (name) => {
    const device = join(sys, 'block', name);
    const [diskseq, iostats, stat] = await Promise.all([
      line(device, 'diskseq'),
      line(device, 'queue', 'iostats'),
      line(device, 'stat'),
    ]);
    return {
      diskseq: number(diskseq),
      sectorsWritten: iostats === '1' ? number(stat.split(/\s+/)[WRITTEN]) : null,
    };
  };
