/** The kernel's own figures: /proc, proc(5). Nothing here touches a drive. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface Proc {
  stat(): Promise<string>;
  meminfo(): Promise<string>;
  loadavg(): Promise<string>;
  uptime(): Promise<string>;
  /** The mounts as this process sees them. */
  mountinfo(): Promise<string>;
  /** ZFS's cache; null on a host without ZFS. */
  arcstats(): Promise<string | null>;
}

/** Null where the file does not exist; any other failure stays one. */
const whereThere = async (reading: Promise<string>): Promise<string | null> => {
  try {
    return await reading;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw error;
  }
};

export const createProc = (root = '/proc'): Proc => {
  const text = (...path: string[]) => readFile(join(root, ...path), 'utf8');
  return {
    stat: () => text('stat'),
    meminfo: () => text('meminfo'),
    loadavg: () => text('loadavg'),
    uptime: () => text('uptime'),
    mountinfo: () => text('self', 'mountinfo'),
    arcstats: () => whereThere(text('spl', 'kstat', 'zfs', 'arcstats')),
  };
};
