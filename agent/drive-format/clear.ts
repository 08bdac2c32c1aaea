/** Takes away everything that a drive could be recognised by, and makes sure that it is gone from the medium. */
import { closeSync, constants, fsyncSync, readSync, writeSync } from 'node:fs';
import { type Extent, openPartition, type Partition, partitionsOf } from './block-device.ts';
import { extentsToClear } from './extents.ts';
import { Failed } from './failed.ts';
import type { HeldDrive } from './hold.ts';
import { FIRST, runWell } from './run-on.ts';
import { inWords, listedOn, signaturesOn } from './signatures.ts';

const PIECE_BYTES = 1024 ** 2;
const ZEROS = Buffer.alloc(PIECE_BYTES);

/** Where the new partition will begin, by which every tool aligns. */
export const PARTITION_AT = 1024 ** 2;

/** For each piece of 1 MiB at most. */
const inPieces = ({ at, bytes }: Extent, act: (at: number, bytes: number) => void): void => {
  for (let done = 0; done < bytes; done += PIECE_BYTES) act(at + done, Math.min(PIECE_BYTES, bytes - done));
};

const zero = (fd: number, extent: Extent): void =>
  inPieces(extent, (at, bytes) => {
    for (let done = 0; done < bytes; ) done += writeSync(fd, ZEROS, 0, bytes - done, at + done);
  });

/** Some broken drives take everything that is written and keep nothing. */
const assertZero = (fd: number, extent: Extent): void => {
  const buffer = Buffer.alloc(PIECE_BYTES);
  inPieces(extent, (at, bytes) => {
    for (let done = 0; done < bytes; ) {
      const read = readSync(fd, buffer, 0, bytes - done, at + done);
      if (read === 0 || !buffer.subarray(0, read).equals(ZEROS.subarray(0, read)))
        throw new Failed('io', `it does not keep what is written to it, at ${at}`);
      done += read;
    }
  });
};

const BLOCKDEV = '/usr/sbin/blockdev';

/** Everything is on the medium, and what is read from now on comes from there (fsync(2); BLKFLSBUF, blockdev(8)). */
export const settle = (fd: number): void => {
  fsyncSync(fd);
  runWell([fd], BLOCKDEV, ['--flushbufs', FIRST]);
};

const signaturesIn = (part: Partition): number[] => {
  const fd = openPartition(part, constants.O_RDONLY);
  try {
    return listedOn(fd).map(({ offset }) => part.at + offset);
  } finally {
    closeSync(fd);
  }
};

/** @param alone the drive, open for this process alone. Throws Failed, or what the system says. */
export const clear = ({ fd, identity }: HeldDrive, alone: number): void => {
  const { numbers, sizeBytes } = identity;
  const old = partitionsOf(numbers);
  const signatures = [...listedOn(fd).map(({ offset }) => offset), ...old.flatMap(signaturesIn)];
  const coming = { at: PARTITION_AT, bytes: sizeBytes - PARTITION_AT };
  const extents = extentsToClear(sizeBytes, [...old, coming], signatures);
  for (const extent of extents) zero(alone, extent);
  settle(alone);
  for (const extent of extents) assertZero(alone, extent);
  const left = signaturesOn(fd);
  if (left.listed.length > 0 || Object.keys(left.found).length > 0)
    throw new Failed('leftovers', `after everything was zeroed there is still ${inWords(left)}`);
};
