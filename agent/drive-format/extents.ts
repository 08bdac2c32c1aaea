/** Which pieces of a drive are zeroed before a new table is made: everywhere that something could be recognised by. Pure. */
import type { Extent } from './block-device.ts';

const MIB = 1024 ** 2;

/** Partition tables, physical volumes, sets and their copies lie within: ZFS has 512 KiB at both ends, LUKS2 up to 4 MiB at the front. */
const DRIVE_END_BYTES = 16 * MIB;
const PARTITION_END_BYTES = 4 * MIB;

/** Copies of a btrfs' superblock, in bytes from its start (btrfs(5), "superblock"). */
const BTRFS_COPIES = [64 * MIB, 256 * 1024 * MIB];
const SIGNATURE_BYTES = 64 * 1024;
/** The smallest piece that a drive is written by. */
const BLOCK_BYTES = 4096;

const endsOf = ({ at, bytes }: Extent, endBytes: number): Extent[] => {
  const length = Math.min(endBytes, bytes);
  return [
    { at, bytes: length },
    { at: at + bytes - length, bytes: length },
  ];
};

const copiesIn = ({ at }: Extent): Extent[] => BTRFS_COPIES.map((offset) => ({ at: at + offset, bytes: SIGNATURE_BYTES }));

const aroundSignature = (offset: number): Extent => ({
  at: offset - (offset % BLOCK_BYTES),
  bytes: SIGNATURE_BYTES,
});

/** In order, without overlaps, and nothing beyond the drive's end. */
const merged = (extents: readonly Extent[], sizeBytes: number): Extent[] => {
  const inside = extents
    .map(({ at, bytes }) => ({ at, bytes: Math.min(at + bytes, sizeBytes) - at }))
    .filter(({ bytes }) => bytes > 0)
    .sort((one, other) => one.at - other.at);
  const result: Extent[] = [];
  for (const { at, bytes } of inside) {
    const last = result.at(-1);
    if (last === undefined || at > last.at + last.bytes) result.push({ at, bytes });
    else last.bytes = Math.max(last.bytes, at + bytes - last.at);
  }
  return result;
};

/**
 * @param parts of the old table, and the one that will be made: what lies where a new file system's copies would is taken for its own
 * @param signatures bytes from the drive's start, of what was found
 */
export const extentsToClear = (sizeBytes: number, parts: readonly Extent[], signatures: readonly number[]): Extent[] => {
  const drive = { at: 0, bytes: sizeBytes };
  const all = [
    ...endsOf(drive, DRIVE_END_BYTES),
    ...parts.flatMap((part) => endsOf(part, PARTITION_END_BYTES)),
    ...[drive, ...parts].flatMap(copiesIn),
    ...signatures.map(aroundSignature),
  ];
  return merged(all, sizeBytes);
};
