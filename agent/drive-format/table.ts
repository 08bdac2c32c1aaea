/** A new partition table with one partition, and that partition, open. */
import { closeSync, constants, fsyncSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { openPartition, type Partition, partitionsOf } from './block-device.ts';
import { PARTITION_AT, settle } from './clear.ts';
import { Failed } from './failed.ts';
import type { HeldDrive } from './hold.ts';
import { FIRST, runOn, runWell } from './run-on.ts';

const SFDISK = '/usr/sbin/sfdisk';
const BLOCKDEV = '/usr/sbin/blockdev';
const PARTX = '/usr/bin/partx';

/** Somebody may have an old partition open for a moment, and a new one's node may take one. */
const PATIENCE_MS = 5_000;
const PAUSE_MS = 100;

/** The one partition that the kernel has of the drive, where it is the new one. */
const newPartition = (drive: string): Partition | null => {
  const [first, ...others] = partitionsOf(drive);
  return first !== undefined && others.length === 0 && first.at === PARTITION_AT ? first : null;
};

/** Until it is no more refused because the drive is busy. */
const reread = async (fd: number): Promise<void> => {
  for (let waited = 0; waited < PATIENCE_MS; waited += PAUSE_MS) {
    const { exit, stderr } = runOn([fd], BLOCKDEV, ['--rereadpt', FIRST]);
    if (exit === 0 || !/\bbusy\b/i.test(stderr)) return;
    await pause(PAUSE_MS);
  }
};

/** BLKRRPART (blockdev(8)); a kernel does not look for partitions on every loop device, so there it is told of each (partx(8)). */
const tellKernel = async ({ fd, identity }: HeldDrive): Promise<Partition> => {
  await reread(fd);
  const found = newPartition(identity.numbers);
  if (found !== null) return found;
  const { stderr } = runOn([fd], PARTX, ['-u', FIRST]);
  const told = newPartition(identity.numbers);
  if (told !== null) return told;
  const names = partitionsOf(identity.numbers).map(({ name }) => name);
  throw new Failed('busy', `the kernel has not taken up the new table; it has ${names.join(', ') || 'no partition'} (${stderr})`);
};

const openSoon = async (partition: Partition): Promise<number> => {
  for (let waited = 0; ; waited += PAUSE_MS) {
    try {
      return openPartition(partition, constants.O_RDWR);
    } catch (error) {
      if (waited >= PATIENCE_MS) throw error;
      await pause(PAUSE_MS);
    }
  }
};

export interface NewPartition extends Partition {
  /** Open for reading and writing. */
  fd: number;
}

/** The drive must not be open for this process alone: the kernel would refuse to read the table. Throws Failed, or what the system says. */
export const makeTable = async (drive: HeldDrive, partitionType: string): Promise<NewPartition> => {
  const script = `label: gpt\nstart=${PARTITION_AT / 1024 ** 2}MiB, type=${partitionType}\n`;
  runWell([drive.fd], SFDISK, ['-q', '--no-reread', '--no-tell-kernel', FIRST], script);
  fsyncSync(drive.fd);
  const partition = await tellKernel(drive);
  const fd = await openSoon(partition);
  try {
    // Whoever had an old partition of the same place open may have left the kernel a copy of what was there.
    settle(fd);
    return { ...partition, fd };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
};
