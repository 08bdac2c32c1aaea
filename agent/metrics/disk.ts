/** How full the host's root file system is. Pure. */

export interface Filling {
  totalBytes: number;
  usedBytes: number;
  /** What an ordinary user may still write: without the blocks reserved for root. */
  availBytes: number;
}

const numbers = (output: string, count: number): number[] => {
  const values = output.trim().split(/\s+/).map(Number);
  if (values.length !== count || !values.every((value) => Number.isFinite(value) && value >= 0))
    throw new Error('unreadable figures');
  return values;
};

/** For stat(1): fundamental block size, blocks, free blocks, blocks free to everyone. */
export const STATFS_ARGS = ['-f', '-c', '%S %b %f %a', '--'] as const;

export const parseStatfs = (output: string): Filling => {
  const [size = 0, blocks = 0, free = 0, avail = 0] = numbers(output, 4);
  return { totalBytes: size * blocks, usedBytes: size * Math.max(0, blocks - free), availBytes: size * avail };
};

/** For zfs(8): a pool's file systems share its space, and statfs counts only the one that is asked. */
export const ZFS_ARGS = ['list', '-Hp', '-o', 'used,available', '--'] as const;

export const parseZfsSpace = (output: string): Filling => {
  const [usedBytes = 0, availBytes = 0] = numbers(output, 2);
  return { totalBytes: usedBytes + availBytes, usedBytes, availBytes };
};
