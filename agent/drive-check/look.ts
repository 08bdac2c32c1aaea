/**
 * One look into a file system that nobody here knows: is it a backup drive? Where it takes a mount, that is read-only, replays no journal,
 * and is in the mount namespace of this process, which nobody else sees (agent/ports/drive-check.ts starts it in one). The kernel is kept
 * from writing to the device at all meanwhile: some drivers write down errors, or that they mend something, whatever the mount's options.
 */
import { readFileSync, realpathSync } from 'node:fs';
import { basename } from 'node:path';
import { lookIntoExt } from './look-ext.ts';
import { run } from './program.ts';
import type { Found } from './protocol.ts';
import { search } from './search.ts';

interface Way {
  /** As the kernel names the driver. */
  driver: string;
  options: string;
}

/** The ways to mount each type without a write, tried in order. The driver is the kernel's, never a helper program. mount(8), xfs(5), btrfs(5). */
const WAYS: Readonly<Record<string, readonly Way[]>> = {
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

const MOUNT = '/usr/bin/mount';
const UMOUNT = '/usr/bin/umount';
const BLOCKDEV = '/usr/sbin/blockdev';

/** Covered for the time of the look, for this process only. Exists wherever there is Debian (file-hierarchy(7)). */
const PLACE = '/mnt';

const mount = (device: string, ways: readonly Way[]): void => {
  let last: unknown;
  for (const { driver, options } of ways) {
    const all = ['ro,nosuid,nodev,noexec', ...(options === '' ? [] : [options])].join(',');
    try {
      run(MOUNT, '-i', '-t', driver, '-o', all, device, PLACE);
      return;
    } catch (error) {
      last = error;
    }
  }
  throw last;
};

const lookMounted = (device: string, ways: readonly Way[]): Found => {
  mount(device, ways);
  try {
    return search(PLACE);
  } finally {
    // Before the answer, and not only by this process's end: from then on the drive is free again.
    run(UMOUNT, '-i', PLACE);
  }
};

const isReadOnly = (device: string): boolean =>
  readFileSync(`/sys/class/block/${basename(realpathSync(device)).replaceAll('/', '!')}/ro`, 'utf8').trim() === '1';

/** blockdev(8), BLKROSET. The flag lasts until it is lifted, so whoever asked is told before it is set. */
export const liftReadOnly = (device: string): void => void run(BLOCKDEV, '--setrw', device);

export const lookInto = (device: string, fstype: string, beforeReadOnly: () => void): Found => {
  if (/^ext[234]$/.test(fstype)) return lookIntoExt(device);
  const ways = WAYS[fstype];
  if (ways === undefined) throw new Error(`it is not known how to look into ${fstype}`);
  if (isReadOnly(device)) return lookMounted(device, ways);
  beforeReadOnly();
  run(BLOCKDEV, '--setro', device);
  try {
    return lookMounted(device, ways);
  } finally {
    liftReadOnly(device);
  }
};
