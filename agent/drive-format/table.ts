/** A new partition table with one partition, and that partition, open. */
import { closeSync, constants, fsyncSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { type Extent, openPartition, type Partition, partitionsOf } from './block-device.ts';
import { PARTITION_AT, settle } from './clear.ts';
import { Failed } from './failed.ts';
import { SFDISK } from './filesystems.ts';
import type { HeldDrive } from './hold.ts';
import { FIRST, runOn, runWell } from './run-on.ts';

const BLOCKDEV = '/usr/sbin/blockdev';
const PARTX = '/usr/bin/partx';

/** Somebody may have an old partition open for a moment, and a new one's node may take one. */
const PATIENCE_MS = 5_000;
const PAUSE_MS = 100;

/** `sfdisk --json`: in sectors of that size. */
interface Listed {
  sectorsize?: unknown;
  partitions?: { start?: unknown; size?: unknown }[];
}

/** Where the one partition lies, as the table on the drive has it. */
const partitionInTable = (fd: number): Extent => {
  const { partitiontable: table } = JSON.parse(runWell([fd], SFDISK.program, ['--json', FIRST]).stdout) as {
    partitiontable?: Listed;
  };
  const [{ start, size } = {}, ...others] = table?.partitions ?? [];
  const place = { at: Number(start) * Number(table?.sectorsize), bytes: Number(size) * Number(table?.sectorsize) };
  if (others.length > 0 || place.at !== PARTITION_AT || !(place.bytes > 0))
    throw new Failed('leftovers', `the new table does not say what was written: ${JSON.stringify(table)}`);
  return place;
};

/** The one partition that the kernel has of the drive, where it is the new one and not one of before. */
const partitionAt = (drive: string, { at, bytes }: Extent): Partition | null => {
  const [first, ...others] = partitionsOf(drive);
  return first !== undefined && others.length === 0 && first.at === at && first.bytes === bytes ? first : null;
};

/** BLKRRPART (blockdev(8)). Refused while anybody has an old partition open, and on a loop device that is not searched for partitions. */
const reread = (fd: number): string => runOn([fd], BLOCKDEV, ['--rereadpt', FIRST]).stderr;

/** The same for each partition by itself (BLKPG, partx(8)). It cannot tell by itself which there are, of a drive that has no name for it. */
const retell = (fd: number, old: readonly Partition[]): string => {
  for (const { number } of old) runOn([fd], PARTX, ['-d', '--nr', `${number}:${number}`, FIRST]);
  return runOn([fd], PARTX, ['-a', FIRST]).stderr;
};

/** Until the kernel has the new partition and no other. */
const tellKernel = async ({ fd, identity: { numbers } }: HeldDrive): Promise<Partition> => {
  const place = partitionInTable(fd);
  let why = '';
  for (let waited = 0; waited < PATIENCE_MS; waited += PAUSE_MS) {
    why = reread(fd);
    const found = partitionAt(numbers, place);
    if (found !== null) return found;
    why = `${why} ${retell(fd, partitionsOf(numbers))}`;
    const told = partitionAt(numbers, place);
    if (told !== null) return told;
    await pause(PAUSE_MS);
  }
  const names = partitionsOf(numbers).map(({ name }) => name);
  throw new Failed('busy', `the kernel has not taken up the new table; it has ${names.join(', ') || 'no partition'} (${why})`);
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
  runWell([drive.fd], SFDISK.program, ['-q', '--no-reread', '--no-tell-kernel', FIRST], script);
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
