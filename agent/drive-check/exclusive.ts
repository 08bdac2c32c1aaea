/** Whether a block device can be had for oneself alone, and getting what was written onto its medium. */
import { closeSync, constants, fstatSync, fsyncSync, openSync } from 'node:fs';
import { run } from './program.ts';

/** Read-only: udev looks anew at whatever was open for writing when it is closed (udev(7), `OPTIONS+="watch"`). */
const open = (device: string, flags: number): number => {
  const fd = openSync(device, constants.O_RDONLY | constants.O_NONBLOCK | flags);
  if (fstatSync(fd).isBlockDevice()) return fd;
  closeSync(fd);
  throw new Error(`${device} is not a block device`);
};

const isBusy = (error: unknown): boolean => error instanceof Error && 'code' in error && error.code === 'EBUSY';

/** On a block device O_EXCL means: fail while anybody (a mount, swap, a set) claims it or a part of it. open(2). */
export const exclusive = (device: string): 'free' | 'busy' => {
  try {
    closeSync(open(device, constants.O_EXCL));
    return 'free';
  } catch (error) {
    if (isBusy(error)) return 'busy';
    throw error;
  }
};

const BLOCKDEV = '/usr/sbin/blockdev';

/** fsync of a block device also tells the drive to write its own cache; then the kernel forgets its copy (BLKFLSBUF, blockdev(8)). */
export const flush = (device: string): void => {
  const fd = open(device, 0);
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  run(BLOCKDEV, '--flushbufs', device);
};
