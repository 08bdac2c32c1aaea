/** Memory from /proc/meminfo, proc_meminfo(5), and ZFS's cache. Pure. */

export interface Memory {
  totalBytes: number;
  usedBytes: number;
}

const kibibytes = (meminfo: string, key: string): number => {
  const value = new RegExp(`^${key}: +(\\d+) kB$`, 'm').exec(meminfo)?.[1];
  if (value === undefined) throw new Error(`no ${key} in /proc/meminfo`);
  return Number(value) * 1024;
};

const counter = (arcstats: string, key: string): number =>
  Number(new RegExp(`^${key} +\\d+ +(\\d+)$`, 'm').exec(arcstats)?.[1] ?? 0);

/** What ZFS gives back on demand: MemAvailable does not know of it, so a healthy ZFS host looks full without this. */
const reclaimableBytes = (arcstats: string | null): number =>
  arcstats === null ? 0 : Math.max(0, counter(arcstats, 'size') - counter(arcstats, 'c_min'));

export const parseMemory = (meminfo: string, arcstats: string | null): Memory => {
  const totalBytes = kibibytes(meminfo, 'MemTotal');
  const inUse = totalBytes - kibibytes(meminfo, 'MemAvailable') - reclaimableBytes(arcstats);
  return { totalBytes, usedBytes: Math.max(0, inUse) };
};
