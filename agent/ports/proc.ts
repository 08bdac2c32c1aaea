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
  /** The mounts as another process sees them: those of a container, by its init. */
  mountinfoOf(pid: number): Promise<string>;
  /** What the kernel knows of another process; null when there is none. */
  statusOf(pid: number): Promise<string | null>;
  /** File locks of every process, proc_locks(5). */
  locks(): Promise<string>;
  /** A file that this process has open, proc_pid_fdinfo(5). */
  fdinfo(fd: number): Promise<string>;
  /** ZFS's cache; null on a host without ZFS. */
  arcstats(): Promise<string | null>;
}

/** Null where the file does not exist, or its process has just ended; any other failure stays one. */
const whereThere = async (reading: Promise<string>): Promise<string | null> => {
  try {
    return await reading;
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ESRCH')) return null;
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
    mountinfoOf: (pid) => text(String(pid), 'mountinfo'),
    statusOf: (pid) => whereThere(text(String(pid), 'status')),
    locks: () => text('locks'),
    fdinfo: (fd) => text('self', 'fdinfo', String(fd)),
    arcstats: () => whereThere(text('spl', 'kstat', 'zfs', 'arcstats')),
  };
};
