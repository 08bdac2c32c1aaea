/** The directories that drives are mounted on: root's, closed, and immutable, so that an absent drive never fills the disk below. */
import { constants, type Stats } from 'node:fs';
import { lstat, mkdir, open, readdir, rmdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { CommandError, type RunCommand } from './command.ts';

/** Why a directory cannot be a mount point; the message is for the log. */
export class DirectoryError extends Error {
  override readonly name = 'DirectoryError';
  /** `open`: others may change what lies above it. `taken`: there is something there already. */
  readonly reason: 'open' | 'taken';

  constructor(reason: DirectoryError['reason'], detail: string) {
    super(detail);
    this.reason = reason;
  }
}

/** None of these is to be called while something is mounted there: they would reach the drive. */
export interface MountDirectories {
  /** Rejects `DirectoryError` where it could not be made; makes nothing. */
  check(path: string): Promise<void>;
  /** Mode 0000; one that is there is replaced if it is empty and root's. Rejects `DirectoryError`. What is above must be there. */
  make(path: string): Promise<void>;
  /**
   * Sees to it that nothing can be written into it; false where the file system it lies on cannot promise that. `isBare` tells whether
   * nothing is mounted there: a drive may be plugged in, and mounted by its unit, at any moment, and its own root is left alone.
   */
  protect(path: string, isBare: () => Promise<boolean>): Promise<boolean>;
  /** Takes it away, where it is there and empty: anything else is not of our making. */
  remove(path: string): Promise<void>;
}

const isCode = (error: unknown, code: string): boolean => error instanceof Error && 'code' in error && error.code === code;

const ancestors = (path: string): string[] => {
  const above = dirname(path);
  return above === path ? [] : [...ancestors(above), above];
};

const lstatThere = (path: string): Promise<Stats | null> =>
  lstat(path).catch((error: unknown) => {
    if (isCode(error, 'ENOENT')) return null;
    throw error;
  });

const OTHERS_WRITE = 0o022;
const STICKY = 0o1000;

const unlessAbsent = (error: unknown): null => {
  if (isCode(error, 'ENOENT')) return null;
  throw error;
};

/**
 * Refuses a path that anybody but root could lead elsewhere: a link on the way, or a directory that others may change. In a sticky
 * directory (/tmp) nobody can replace what is root's (unlink(2)). What is not there yet, root will make.
 */
const requireRootsOwn = async (path: string): Promise<void> => {
  for (const above of ancestors(path)) {
    const found = await lstat(above).catch(unlessAbsent);
    if (found === null) return;
    if (!found.isDirectory()) throw new DirectoryError('open', `${above} is not a directory`);
    if (found.uid !== 0) throw new DirectoryError('open', `${above} belongs to user ${found.uid}`);
    if ((found.mode & OTHERS_WRITE) !== 0 && (found.mode & STICKY) === 0)
      throw new DirectoryError('open', `${above} may be written by others`);
  }
};

/** @returns its mode; null: there is nothing yet */
const requireEmptyAndRoots = async (path: string): Promise<number | null> => {
  const found = await lstatThere(path);
  if (found === null) return null;
  if (!found.isDirectory() || found.uid !== 0) throw new DirectoryError('taken', `${path} is not a directory of root's`);
  if ((await readdir(path)).length > 0) throw new DirectoryError('taken', `${path} is not empty`);
  return found.mode & 0o7777;
};

/** chattr and lsattr say no with status 1: the file system has no such attribute, or none for directories. */
const isRefused = (error: unknown): boolean => error instanceof CommandError && error.reason === 'exit';

export const createMountDirectories = (run: RunCommand): MountDirectories => {
  /** Attributes, as lsattr(1) prints them: `----i---------e------- /mnt/felhom/photos`. */
  const isImmutable = async (path: string): Promise<boolean> => {
    const [flags = ''] = (await run('lsattr', ['-d', '--', path])).split(' ', 1);
    return flags.includes('i');
  };

  const makeImmutable = async (path: string): Promise<boolean> => {
    try {
      if (await isImmutable(path)) return true;
      await run('chattr', ['+i', '--', path]);
      return await isImmutable(path);
    } catch (error) {
      if (isRefused(error)) return false;
      throw error;
    }
  };

  const protect = async (path: string, isBare: () => Promise<boolean>): Promise<boolean> => {
    const held = await open(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
    try {
      if (!(await isBare())) return true;
      // From here on what is held lies below whatever gets mounted. Both programs refuse a link; the dot is the directory itself.
      return await makeImmutable(`/proc/${process.pid}/fd/${held.fd}/.`);
    } finally {
      await held.close();
    }
  };

  const remove = async (path: string): Promise<void> => {
    try {
      if ((await readdir(path)).length > 0) return;
    } catch (error) {
      if (isCode(error, 'ENOENT')) return;
      throw error;
    }
    await run('chattr', ['-i', '--', path]).catch((error: unknown) => {
      if (!isRefused(error)) throw error;
    });
    await rmdir(path);
  };

  const check = async (path: string): Promise<number | null> => {
    await requireRootsOwn(path);
    return requireEmptyAndRoots(path);
  };

  const make = async (path: string): Promise<void> => {
    const mode = await check(path);
    if (mode === 0) return;
    if (mode !== null) await remove(path);
    await mkdir(path, { mode: 0 });
  };

  return {
    check: async (path) => {
      await check(path);
    },
    make,
    protect,
    remove,
  };
};
