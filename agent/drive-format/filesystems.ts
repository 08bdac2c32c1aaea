/** The file systems that can be made: one entry each. */
import { basename } from 'node:path';
import type { FormatOrder } from './protocol.ts';

export interface Maker {
  program: string;
  /** Debian's, which has the program. */
  package: string;
  /** A smaller drive is refused. */
  minDriveBytes: number;
  /** Of the partition in the GPT (uefi.org; Discoverable Partitions Specification). */
  partitionType: string;
  /** What wipefs(8) finds on a new one, and nothing else. */
  signatures: readonly string[];
  /** Without the device. Never a flag that skips the program's own look at what it destroys, or its exclusive opening. */
  args(root: FormatOrder['root']): readonly string[];
}

const MIB = 1024 ** 2;
/** Of a GPT's two copies and of aligning. */
const TABLE_BYTES = 2 * MIB;

const LINUX_DATA = '0FC63DAF-8483-4772-8E79-3D69D8477DE4';
const BASIC_DATA = 'EBD0A0A2-B9E5-4433-87C0-68B6B72699C7';

export const MAKERS: Readonly<Record<FormatOrder['fstype'], Maker>> = {
  ext4: {
    program: '/usr/sbin/mkfs.ext4',
    package: 'e2fsprogs',
    minDriveBytes: 16 * MIB + TABLE_BYTES,
    partitionType: LINUX_DATA,
    signatures: ['ext4'],
    // Without the last two a large drive is written to for minutes; the kernel does the rest when it is mounted. mke2fs(8), -E.
    args: ({ uid, gid }) => ['-q', '-E', `root_owner=${uid}:${gid},lazy_itable_init=1,lazy_journal_init=1`],
  },
  xfs: {
    program: '/usr/sbin/mkfs.xfs',
    package: 'xfsprogs',
    // mkfs.xfs(8): a smaller file system is refused.
    minDriveBytes: 300 * MIB + TABLE_BYTES,
    partitionType: LINUX_DATA,
    signatures: ['xfs'],
    args: () => ['-q'],
  },
  btrfs: {
    program: '/usr/sbin/mkfs.btrfs',
    package: 'btrfs-progs',
    // It says itself that 109 MiB is the least, with both of two copies of its metadata.
    minDriveBytes: 128 * MIB + TABLE_BYTES,
    partitionType: LINUX_DATA,
    signatures: ['btrfs'],
    args: () => ['-q'],
  },
  exfat: {
    program: '/usr/sbin/mkfs.exfat',
    package: 'exfatprogs',
    minDriveBytes: 16 * MIB + TABLE_BYTES,
    partitionType: BASIC_DATA,
    // Its boot sector ends as a DOS table does.
    signatures: ['exfat', 'dos'],
    args: () => [],
  },
};

/** Beside a file system's own: makes the table. What else is used is in Debian's util-linux, which is always there. */
export const SFDISK = { program: '/usr/sbin/sfdisk', package: 'fdisk' };

/** A sentence for each program that is not there; empty where nothing is missing. */
export const whatIsMissing = async (
  fstype: FormatOrder['fstype'],
  isThere: (program: string) => Promise<boolean>,
): Promise<string> => {
  const sentences: string[] = [];
  for (const { program, package: from } of [MAKERS[fstype], SFDISK])
    if (!(await isThere(program))) sentences.push(`${basename(program)} is not installed (package ${from}).`);
  return sentences.join(' ');
};
