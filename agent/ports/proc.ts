/** The kernel's own figures: /proc, proc(5). Nothing here touches a drive. */
import { readdir, readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';

export interface Proc {
  stat(): Promise<string>;
  meminfo(): Promise<string>;
  loadavg(): Promise<string>;
  /** Every block device with its size, proc_partitions(5). */
  partitions(): Promise<string>;
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
  /** Swap devices and files, proc_swaps(5). */
  swaps(): Promise<string>;
  /** md arrays, md(4). The file is there only while the kernel has md. */
  mdstat(): Promise<string>;
  /** Drivers by major number, proc_devices(5). */
  devices(): Promise<string>;
  /** File systems that the kernel can mount now, proc_filesystems(5). */
  filesystems(): Promise<string>;
  /** Numbers of every process, lowest first. */
  processes(): Promise<number[]>;
  /** `mnt:[4026531841]`, mount_namespaces(7); null when the process has ended. Rejects without CAP_SYS_PTRACE. */
  mountNamespaceOf(pid: number): Promise<string | null>;
  /** Where the process's `/` is, proc_pid_root(5); null when it has ended. Rejects without CAP_SYS_PTRACE. */
  rootOf(pid: number): Promise<string | null>;
  /** What a process has open: paths, `socket:[…]` and the like, proc_pid_fd(5); null when it has ended. Rejects without CAP_SYS_PTRACE. */
  openFilesOf(pid: number): Promise<string[] | null>;
}

/** Null where the file does not exist, or its process has just ended; any other failure stays one. */
const whereThere = async <T>(reading: Promise<T>): Promise<T | null> => {
  try {
    return await reading;
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ESRCH')) return null;
    throw error;
  }
};

const openFiles = async (directory: string): Promise<string[]> => {
  const numbers = await readdir(directory);
  // One that was closed meanwhile is not open any more.
  const targets = await Promise.all(numbers.map((number) => whereThere(readlink(join(directory, number)))));
  return targets.filter((target) => target !== null);
};

export const createProc = (root = '/proc'): Proc => {
  const text = (...path: string[]) => readFile(join(root, ...path), 'utf8');
  return {
    stat: () => text('stat'),
    meminfo: () => text('meminfo'),
    loadavg: () => text('loadavg'),
    partitions: () => text('partitions'),
    uptime: () => text('uptime'),
    mountinfo: () => text('self', 'mountinfo'),
    mountinfoOf: (pid) => text(String(pid), 'mountinfo'),
    statusOf: (pid) => whereThere(text(String(pid), 'status')),
    locks: () => text('locks'),
    fdinfo: (fd) => text('self', 'fdinfo', String(fd)),
    arcstats: () => whereThere(text('spl', 'kstat', 'zfs', 'arcstats')),
    swaps: () => text('swaps'),
    mdstat: () => text('mdstat'),
    devices: () => text('devices'),
    filesystems: () => text('filesystems'),
    processes: async () =>
      (await readdir(root))
        .filter((name) => /^\d+$/.test(name))
        .map(Number)
        .sort((a, b) => a - b),
    mountNamespaceOf: (pid) => whereThere(readlink(join(root, String(pid), 'ns', 'mnt'))),
    rootOf: (pid) => whereThere(readlink(join(root, String(pid), 'root'))),
    openFilesOf: (pid) => whereThere(openFiles(join(root, String(pid), 'fd'))),
  };
};
