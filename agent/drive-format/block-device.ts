/** An open block device and what the kernel says of it now, found by its numbers: never by a name that another drive may have meanwhile. */
import { closeSync, constants, fstatSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { numbersOf } from '../drive-check/processes.ts';
import { Failed } from './failed.ts';

/** sysfs counts so, whatever the drive's own sectors are (Documentation/ABI/stable/sysfs-block). */
const SECTOR_BYTES = 512;

/** A piece of a drive, in bytes. */
export interface Extent {
  at: number;
  bytes: number;
}

export interface Partition extends Extent {
  /** `sdb1` */
  name: string;
  /** In its table, from 1. */
  number: number;
  /** `8:17` */
  numbers: string;
}

/** What tells a drive from whatever had its name, or its numbers, before. */
export interface Identity {
  numbers: string;
  diskseq: number;
  sizeBytes: number;
}

const directoryOf = (numbers: string): string => `/sys/dev/block/${numbers}`;
const textIn = (path: string): string => readFileSync(path, 'utf8').trim();

/** The kernel writes `!` for a slash (`cciss!c0d0`). */
export const nodeOf = (name: string): string => `/dev/${name.replaceAll('!', '/')}`;

/** Throws with what open(2) says, or Failed where it is no block device. */
export const openBlock = (path: string, flags: number): number => {
  const fd = openSync(path, flags | constants.O_NONBLOCK);
  if (fstatSync(fd).isBlockDevice()) return fd;
  closeSync(fd);
  throw new Failed('changed', `${path} is not a block device`);
};

/** Of what is open. Throws where it has gone meanwhile. */
export const identityOf = (fd: number): Identity => {
  const numbers = numbersOf(fstatSync(fd).rdev);
  const directory = directoryOf(numbers);
  return {
    numbers,
    diskseq: Number(textIn(`${directory}/diskseq`)),
    sizeBytes: Number(textIn(`${directory}/size`)) * SECTOR_BYTES,
  };
};

/** Those that the kernel has of a drive. */
export const partitionsOf = (drive: string): Partition[] => {
  const directory = directoryOf(drive);
  const isPartition = (entry: string): boolean => {
    try {
      return textIn(`${directory}/${entry}/partition`) !== '';
    } catch {
      return false;
    }
  };
  return readdirSync(directory)
    .filter(isPartition)
    .map((name) => ({
      name,
      number: Number(textIn(`${directory}/${name}/partition`)),
      numbers: textIn(`${directory}/${name}/dev`),
      at: Number(textIn(`${directory}/${name}/start`)) * SECTOR_BYTES,
      bytes: Number(textIn(`${directory}/${name}/size`)) * SECTOR_BYTES,
    }));
};

/** Opens a partition by its name and makes sure that it is the one. */
export const openPartition = ({ name, numbers }: Partition, flags: number): number => {
  const fd = openBlock(nodeOf(name), flags);
  const found = numbersOf(fstatSync(fd).rdev);
  if (found === numbers) return fd;
  closeSync(fd);
  throw new Failed('changed', `${nodeOf(name)} is ${found} and not the drive's partition ${numbers}`);
};
