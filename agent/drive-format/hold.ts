/** Having a drive for oneself: the one that is meant and no other, kept from udev and from every mount. */
import { closeSync, constants } from 'node:fs';
import { type Identity, identityOf, openBlock } from './block-device.ts';
import { Failed, failedBy } from './failed.ts';
import type { FormatOrder } from './protocol.ts';
import { runOn } from './run-on.ts';

export interface HeldDrive {
  /** Kept open to the end: as long as it is, the kernel gives its name and numbers to no other drive. The lock is on this. */
  fd: number;
  identity: Identity;
  /** Throws (Failed) where it is not the drive any more that it was. */
  assertSame(): void;
}

const FLOCK = '/usr/bin/flock';
/** flock(1), -E: a status that it has for nothing else. */
const LOCKED = 75;
/** udev has it for moments, whenever it looks at the drive. */
const WAIT_SECONDS = 10;

type Meant = Pick<FormatOrder, 'numbers' | 'diskseq' | 'sizeBytes'>;

const assertSame = (fd: number, { numbers, diskseq, sizeBytes }: Meant): Identity => {
  const found = identityOf(fd);
  if (found.numbers === numbers && found.diskseq === diskseq && found.sizeBytes === sizeBytes) return found;
  const words = (one: Meant): string => `${one.numbers}, sequence number ${one.diskseq}, ${one.sizeBytes} bytes`;
  throw new Failed('changed', `it is ${words(found)}; meant was ${words({ numbers, diskseq, sizeBytes })}`);
};

/** udev leaves a whole drive alone while this lock is held (systemd's BLOCK_DEVICE_LOCKING); programs that have the same open file keep it. */
const lock = (fd: number): void => {
  const { exit, stderr } = runOn([fd], FLOCK, ['-x', '-w', String(WAIT_SECONDS), '-E', String(LOCKED), '3']);
  if (exit === LOCKED) throw new Failed('locked', `somebody else has held its lock for ${WAIT_SECONDS} s`);
  if (exit !== 0) throw new Failed('io', `flock ended with ${exit}: ${stderr}`);
};

/** Opens the drive, makes sure that it is the one, and takes its lock. Throws Failed, or what open(2) says. */
export const hold = (order: Meant & Pick<FormatOrder, 'device'>): HeldDrive => {
  const fd = openBlock(order.device, constants.O_RDWR);
  try {
    const identity = assertSame(fd, order);
    lock(fd);
    assertSame(fd, order);
    return { fd, identity, assertSame: () => void assertSame(fd, order) };
  } catch (error) {
    closeSync(fd);
    throw failedBy(error);
  }
};

/**
 * The same drive once more, for this process alone: fails while anybody (a mount, swap, a set) claims it or a part of it, and until it is
 * closed nobody can. open(2), O_EXCL.
 */
export const takeAlone = ({ fd }: HeldDrive): number => openBlock(`/proc/self/fd/${fd}`, constants.O_RDWR | constants.O_EXCL);
