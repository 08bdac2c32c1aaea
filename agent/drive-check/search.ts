/** Whether a directory tree is that of a backup drive: by what lies in its root, as a mount shows it. */
import { closeSync, constants, lstatSync, opendirSync, openSync, readFileSync, realpathSync } from 'node:fs';
import { basename } from 'node:path';
import { type Mount, parseMountinfo } from '#shared/mountinfo';
import type { Found } from './protocol.ts';

/** Proxmox's backup directory and the beginning of an archive's name (PVE/Storage/Plugin.pm); a PBS datastore's store of chunks. */
export const DUMP = 'dump';
export const ARCHIVE = 'vzdump-';
export const CHUNKS = '.chunks';

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
      if (entry.name.startsWith(ARCHIVE)) return true;
    }
  } finally {
    directory.closeSync();
  }
  throw new Error(`its directory "${DUMP}" has more than ${MAX_ENTRIES} entries`);
};

export const search = (root: string): Found => {
  if (isDirectory(`${root}/${CHUNKS}`)) return 'chunks';
  return isDirectory(`${root}/${DUMP}`) && holdsArchives(`${root}/${DUMP}`) ? 'vzdump' : 'nothing';
};

/** The mount that an open directory lies on, among those of a process. fdinfo: proc_pid_fdinfo(5). */
const mountOfFd = (fd: number, of: string): Mount | undefined => {
  const id = /^mnt_id:\s*(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1];
  return parseMountinfo(readFileSync(`/proc/${of}/mountinfo`, 'utf8')).find((one) => one.id === id);
};

/** What ext4 has found wrong so far (Documentation/admin-guide/ext4.rst, errors_count): it shows a damaged directory as an empty one. */
const errorsOf = (numbers: string): string => {
  try {
    return readFileSync(`/sys/fs/ext4/${basename(realpathSync(`/sys/dev/block/${numbers}`))}/errors_count`, 'utf8').trim();
  } catch {
    return '';
  }
};

/** By a mount that is there. @param of the process that sees it: a number, or `self` @param numbers of its file system, `8:17` */
export const searchMounted = (of: string, point: string, numbers: string): Found => {
  const fd = openSync(of === 'self' ? point : `/proc/${of}/root${point}`, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    const seen = mountOfFd(fd, of);
    if (seen?.device !== numbers || seen.root !== '/') throw new Error(`it is not what is mounted at ${point}`);
    const before = errorsOf(numbers);
    const found = search(`/proc/self/fd/${fd}`);
    if (errorsOf(numbers) !== before) throw new Error('it is damaged');
    return found;
  } finally {
    closeSync(fd);
  }
};
