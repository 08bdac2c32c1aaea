/** Real volumes that can be snapshotted: btrfs on loop devices, gone when the test is, however it ends. */
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, statfsSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findProgram } from '../../engines/process.ts';

const PROGRAMS = ['mkfs.btrfs', 'btrfs', 'losetup', 'mount', 'umount', 'unshare', 'nsenter', 'chroot', 'setpriv', 'tar'];

/** Why no such volume, and no guest on it, can be made here; null: it can. */
export const lacksVolumes = (): string | null => {
  if (process.getuid?.() !== 0) return 'root';
  const missing = PROGRAMS.filter((name) => findProgram(name, ['/sbin', '/bin']) === null);
  if (missing.length > 0) return missing.join(', ');
  return existsSync('/dev/loop-control') ? null : 'loop devices';
};

export const run = (program: string, ...args: string[]): string =>
  execFileSync(findProgram(program, ['/sbin', '/bin']) ?? program, args, { stdio: ['ignore', 'pipe', 'pipe'], timeout: 60_000 })
    .toString()
    .trim();

/**
 * Waits until its standard input ends, as it does also when the test is killed, and then clears away what lies below `$1`. Mounts are
 * taken away lazily: a process of the test that has just been killed may still be about to leave one.
 */
const CLEARS_AWAY = `
cat > /dev/null
for name in $(ls "$1/volumes" 2>/dev/null); do umount --lazy "$1/volumes/$name" 2>/dev/null; done
for image in "$1"/*.image; do for loop in $(losetup --noheadings --output NAME --associated "$image"); do losetup --detach "$loop"; done; done
rm -rf --one-file-system "$1"
`;

/** Disks in memory, where there is room: what is proved here is the instant of a cut, and many databases that flush share one drive. */
const SHARED_MEMORY = '/dev/shm';
const TMPFS_MAGIC = 0x01021994;
const ROOM_BYTES = 4 * 1024 ** 3;
const parent = (): string => {
  try {
    const { type, bavail, bsize } = statfsSync(SHARED_MEMORY);
    return type === TMPFS_MAGIC && bavail * bsize > ROOM_BYTES ? SHARED_MEMORY : tmpdir();
  } catch {
    return tmpdir();
  }
};

export interface Workplace {
  /** Everything of the test lies below. Short, for sockets. */
  dir: string;
  /** A btrfs file system of its own, on a disk of its own. Answers where it is mounted. */
  volume(name: string): string;
  /** Resolves once all is cleared away. */
  close(): Promise<void>;
}

const VOLUME_BYTES = 4 * 1024 ** 3;

export const createWorkplace = (): Workplace => {
  const dir = mkdtempSync(join(parent(), 'felhom-cut-'));
  mkdirSync(join(dir, 'volumes'));
  // In a session of its own: a Ctrl-C in a terminal ends the test, and not whoever clears away after it.
  const clearing = spawn('/bin/sh', ['-c', CLEARS_AWAY, 'clear', dir], { stdio: ['pipe', 'ignore', 'ignore'], detached: true });
  const cleared = new Promise<void>((resolve) => clearing.once('exit', () => resolve()));
  return {
    dir,
    volume: (name) => {
      const image = join(dir, `${name}.image`);
      writeFileSync(image, '');
      truncateSync(image, VOLUME_BYTES);
      run('mkfs.btrfs', '--quiet', '--metadata', 'single', image);
      const loop = run('losetup', '--find', '--show', image);
      const at = join(dir, 'volumes', name);
      mkdirSync(at);
      run('mount', '-t', 'btrfs', '-o', 'noatime', loop, at);
      return at;
    },
    close: () => {
      clearing.stdin.end();
      return cleared;
    },
  };
};

/** What vzdump can snapshot by itself. Answers its path. */
export const makeSubvolume = (volume: string, name: string): string => {
  const path = join(volume, name);
  run('btrfs', 'subvolume', 'create', path);
  return path;
};

/** Read-only ones, that is what vzdump makes; by their paths below the volume. */
export const snapshotsOf = (volume: string): string[] =>
  run('btrfs', 'subvolume', 'list', '-r', volume)
    .split('\n')
    .flatMap((line) => / path (.+)$/.exec(line)?.[1] ?? []);
