/**
 * One look into a file system that nobody here knows: is it a backup drive? Mounted read-only and without replaying its journal, in the
 * mount namespace of this process, which nobody else sees (agent/ports/drive-check.ts starts it in one).
 */
import { spawnSync } from 'node:child_process';
import { closeSync, constants, lstatSync, opendirSync, openSync, readFileSync } from 'node:fs';
import { type Mount, parseMountinfo } from '#shared/mountinfo';
import type { Found } from './protocol.ts';

interface Way {
  /** As the kernel names the driver. */
  driver: string;
  options: string;
}

/** Never what the superblock asks for on an error: it could stop the host. mount(8), ext4(5), xfs(5), btrfs(5), kernel: Documentation/filesystems. */
const EXT: readonly Way[] = [{ driver: 'ext4', options: 'noload,errors=remount-ro' }];

/** The ways to mount each type without a write, tried in order. The driver comes from the kernel, never from a helper program. */
const WAYS: Readonly<Record<string, readonly Way[]>> = {
  ext2: EXT,
  ext3: EXT,
  ext4: EXT,
  xfs: [{ driver: 'xfs', options: 'norecovery,nouuid' }],
  btrfs: [
    { driver: 'btrfs', options: 'rescue=nologreplay' },
    { driver: 'btrfs', options: 'nologreplay' },
  ],
  f2fs: [{ driver: 'f2fs', options: 'norecovery' }],
  exfat: [{ driver: 'exfat', options: '' }],
  vfat: [{ driver: 'vfat', options: '' }],
  ntfs: [
    { driver: 'ntfs3', options: '' },
    { driver: 'ntfs', options: '' },
  ],
  hfsplus: [{ driver: 'hfsplus', options: '' }],
  iso9660: [{ driver: 'iso9660', options: '' }],
  udf: [{ driver: 'udf', options: '' }],
};

/** Covered for the time of the look, for this process only. Exists wherever there is Debian (file-hierarchy(7)). */
const PLACE = '/mnt';

const ENV = { LC_ALL: 'C' };

const failed = (program: string, { stderr, error }: { stderr: string; error?: Error }): Error =>
  Object.assign(new Error(`${program}: ${error?.message ?? stderr.trim()}`), /busy/i.test(stderr) ? { code: 'EBUSY' } : {});

const mountBy = (device: string, { driver, options }: Way): Error | null => {
  const all = ['ro,nosuid,nodev,noexec', ...(options === '' ? [] : [options])].join(',');
  const result = spawnSync('/usr/bin/mount', ['-i', '-t', driver, '-o', all, device, PLACE], { encoding: 'utf8', env: ENV });
  return result.status === 0 ? null : failed('mount', result);
};

const mount = (device: string, fstype: string): void => {
  const ways = WAYS[fstype];
  if (ways === undefined) throw new Error(`it is not known how to look into ${fstype}`);
  let last: Error | null = null;
  for (const way of ways) {
    const error = mountBy(device, way);
    if (error === null) return;
    last = error;
  }
  throw last;
};

/** Before the answer, and not only by this process's end: from then on the drive is free again. */
const unmount = (): void => {
  const result = spawnSync('/usr/bin/umount', ['-i', PLACE], { encoding: 'utf8', env: ENV });
  if (result.status !== 0) throw failed('umount', result);
};

/** More than any backup storage holds; whoever has made so many gets no verdict. */
const MAX_ENTRIES = 50_000;

/** Links are not followed: what they lead to is not on this drive. */
const isDirectory = (path: string): boolean => lstatSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;

const holdsArchives = (dump: string): boolean => {
  const directory = opendirSync(dump);
  try {
    for (let seen = 0; seen < MAX_ENTRIES; seen += 1) {
      const entry = directory.readSync();
      if (entry === null) return false;
      if (entry.name.startsWith('vzdump-')) return true;
    }
  } finally {
    directory.closeSync();
  }
  throw new Error(`its directory "dump" has more than ${MAX_ENTRIES} entries`);
};

const search = (root: string): Found => {
  if (isDirectory(`${root}/.chunks`)) return 'chunks';
  return isDirectory(`${root}/dump`) && holdsArchives(`${root}/dump`) ? 'vzdump' : 'nothing';
};

export const lookInto = (device: string, fstype: string): Found => {
  mount(device, fstype);
  try {
    return search(PLACE);
  } finally {
    unmount();
  }
};

/** The mount that an open directory lies on, among those of a process. fdinfo: proc_pid_fdinfo(5). */
const mountOfFd = (fd: number, of: string): Mount | undefined => {
  const id = /^mnt_id:\s*(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1];
  return parseMountinfo(readFileSync(`/proc/${of}/mountinfo`, 'utf8')).find((one) => one.id === id);
};

/** By a mount that is there. @param of the process that sees it: a number, or `self` @param numbers of its file system, `8:17` */
export const lookAt = (of: string, point: string, numbers: string): Found => {
  const fd = openSync(of === 'self' ? point : `/proc/${of}/root${point}`, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    const seen = mountOfFd(fd, of);
    if (seen?.device !== numbers || seen.root !== '/') throw new Error(`it is not what is mounted at ${point}`);
    return search(`/proc/self/fd/${fd}`);
  } finally {
    closeSync(fd);
  }
};
