/** Every process of the host and what it has open, from /proc alone: proc_pid_fd(5), proc_pid_fdinfo(5), proc_pid_maps(5). */
import { closeSync, openSync, readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';

/** What a process keeps open; `link` where /proc shows it. */
export interface Open {
  what: 'file' | 'root' | 'directory';
  link: string;
  path: string;
  /** Of the mount it lies on; null where nobody tells. */
  mountId: () => string | null;
}

/** Somebody may see that there is a process, and not what it has open. */
export class Unreadable extends Error {
  override readonly name = 'Unreadable';
}

const isDenied = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && (error.code === 'EACCES' || error.code === 'EPERM');

/** Null where the process, or what it had open, has gone meanwhile. */
const whereThere = <T>(read: () => T): T | null => {
  try {
    return read();
  } catch (error) {
    if (isDenied(error)) throw new Unreadable(String(error));
    return null;
  }
};

const entries = (directory: string): string[] => whereThere(() => readdirSync(directory)) ?? [];
const text = (path: string): string => whereThere(() => readFileSync(path, 'utf8')) ?? '';
const link = (path: string): string => whereThere(() => readlinkSync(path)) ?? '';

export const processes = (): number[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);

/** Of a process whose first thread has ended, another thread tells what it has open. */
const directoryOf = (pid: number): string => {
  const own = `/proc/${pid}`;
  const [, state] = /\) (\S)/.exec(text(`${own}/stat`).slice(text(`${own}/stat`).lastIndexOf(')'))) ?? [];
  if (state !== 'Z') return own;
  const other = entries(`${own}/task`).find((task) => Number(task) !== pid);
  return other === undefined ? own : `${own}/task/${other}`;
};

/** Linux's O_PATH: a handle on the place alone; nothing of the file system is asked. open(2), asm-generic/fcntl.h. */
const O_PATH = 0o10000000;

const mountIdIn = (fdinfo: string): string | null => /^mnt_id:\s*(\d+)$/m.exec(fdinfo)?.[1] ?? null;

const mountIdOfPlace = (path: string): string | null => {
  const fd = whereThere(() => openSync(path, O_PATH));
  if (fd === null) return null;
  try {
    return mountIdIn(text(`/proc/self/fdinfo/${fd}`));
  } finally {
    closeSync(fd);
  }
};

const PLACES = [
  ['cwd', 'directory'],
  ['root', 'root'],
] as const;

/** Files, and the working and root directory; not sockets, pipes and the like. Throws Unreadable. */
export const opensOf = (pid: number): Open[] => {
  const directory = directoryOf(pid);
  const places = PLACES.map(([name, what]): Open => {
    const path = `${directory}/${name}`;
    return { what, link: path, path: link(path), mountId: () => mountIdOfPlace(path) };
  });
  const files = entries(`${directory}/fd`).map((fd): Open => {
    const path = `${directory}/fd/${fd}`;
    return { what: 'file', link: path, path: link(path), mountId: () => mountIdIn(text(`${directory}/fdinfo/${fd}`)) };
  });
  return [...places, ...files].filter(({ path }) => path.startsWith('/') && !path.startsWith('/memfd:'));
};

/** A file that is mapped into a process's memory: it stays in use though nobody has it open. */
export interface Mapping {
  /** Of its file system: `8:17`. */
  numbers: string;
  path: string;
  link: string;
}

const mappingIn = (pid: number, line: string): Mapping[] => {
  const [, range, major, minor, path] = /^(\S+) \S+ \S+ ([0-9a-f]+):([0-9a-f]+) \d+\s+(\/.*)$/.exec(line) ?? [];
  if (range === undefined || major === undefined || minor === undefined || path === undefined) return [];
  const numbers = `${Number.parseInt(major, 16)}:${Number.parseInt(minor, 16)}`;
  return [{ numbers, path, link: `/proc/${pid}/map_files/${range}` }];
};

/** Waits for the process's memory lock, which one that hangs may hold: not to be awaited without end. Rejects Unreadable. */
export const mappingsOf = async (pid: number): Promise<Mapping[]> => {
  const maps = await readFile(`/proc/${pid}/maps`, 'utf8').catch((error: unknown) => {
    if (isDenied(error)) throw new Unreadable(String(error));
    return '';
  });
  return maps.split('\n').flatMap((line) => mappingIn(pid, line));
};

/** Numbers of the block device that something open is; null where it is none. Asks the file system of its node. */
export const blockDeviceAt = (path: string): string | null => {
  const found = whereThere(() => statSync(path));
  return found?.isBlockDevice() ? numbersOf(found.rdev) : null;
};

/** sys/sysmacros.h, as Node hands out `dev_t`. */
export const numbersOf = (dev: number): string => {
  const all = BigInt(dev);
  const major = ((all >> 8n) & 0xfffn) | ((all >> 32n) & 0xfffff000n);
  const minor = (all & 0xffn) | ((all >> 12n) & 0xffffff00n);
  return `${major}:${minor}`;
};

export const commandOf = (pid: number): string => text(`/proc/${pid}/comm`).trimEnd();
export const cgroupOf = (pid: number): string => text(`/proc/${pid}/cgroup`);
export const mountinfoOf = (pid: number): string => text(`/proc/${pid}/mountinfo`);
export const rootOf = (pid: number): string => link(`/proc/${pid}/root`);
export const mountNamespaceOf = (pid: number): string => link(`/proc/${pid}/ns/mnt`);
export const parentOf = (pid: number): number => Number(/^PPid:\s*(\d+)$/m.exec(text(`/proc/${pid}/status`))?.[1] ?? 0);
export const environmentOf = (pid: number): string => text(`/proc/${pid}/environ`);
