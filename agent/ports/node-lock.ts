/** vzdump's lock, one for the node: who holds it is read from the kernel, so that looking never takes it. */
import { open } from 'node:fs/promises';
import { parseMountinfo } from '#shared/mountinfo';
import type { Proc } from './proc.ts';

export interface NodeLock {
  /** Whether any process holds it at this moment. A lock file that is not there is free. */
  held(): Promise<boolean>;
}

export interface NodeLockPorts {
  /** `/var/run/vzdump.lock` */
  lockFile: string;
  proc: Pick<Proc, 'locks' | 'fdinfo' | 'mountinfo'>;
}

const isAbsent = (error: unknown): boolean => error instanceof Error && 'code' in error && error.code === 'ENOENT';

/** `fe:00`, in hexadecimal, of `254:0` (fs/locks.c, lock_get_status). */
const inHex = (numbers: string): string =>
  numbers
    .split(':')
    .map((part) => Number(part).toString(16).padStart(2, '0'))
    .join(':');

/**
 * As /proc/locks names the file: `<device>:<inode>`. stat(2) tells another device than that of the file system on btrfs and
 * overlayfs, so the mount is asked, which the open file names (proc_pid_fdinfo(5)).
 */
const nameInLocks = async ({ lockFile, proc }: NodeLockPorts): Promise<string | null> => {
  const handle = await open(lockFile, 'r').catch((error: unknown) => {
    if (isAbsent(error)) return null;
    throw error;
  });
  if (handle === null) return null;
  try {
    const fdinfo = await proc.fdinfo(handle.fd);
    const field = (name: string) => new RegExp(`^${name}:\\s*(\\d+)$`, 'm').exec(fdinfo)?.[1];
    const mount = parseMountinfo(await proc.mountinfo()).find(({ id }) => id === field('mnt_id'));
    if (!mount) throw new Error(`The mount of ${lockFile} is not in mountinfo.`);
    return `${inHex(mount.device)}:${field('ino')}`;
  } finally {
    await handle.close();
  }
};

/** `1: FLOCK  ADVISORY  WRITE 7518 fe:00:2146371 0 EOF`; who only waits has an arrow before FLOCK. */
const holds = (line: string, name: string): boolean => {
  const [, kind, , , , file] = line.trim().split(/\s+/);
  return kind === 'FLOCK' && file === name;
};

export const createNodeLock = (ports: NodeLockPorts): NodeLock => ({
  held: async () => {
    const name = await nameInLocks(ports);
    if (name === null) return false;
    return (await ports.proc.locks()).split('\n').some((line) => holds(line, name));
  },
});
