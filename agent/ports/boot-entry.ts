/** Boot entries of the firmware, as the kernel's efivarfs has them. UEFI 2.10, 3.1.3 (load option) and 10.3 (device path). Pure. */
import { NotUnderstood } from '../not-understood.ts';

/** Four bytes of attributes, which efivarfs puts first (Documentation/filesystems/efivarfs.rst); then the load option's own and its length. */
const EFIVARFS_HEADER = 4;
const OPTION_HEADER = EFIVARFS_HEADER + 6;

const MEDIA = 4;
const HARD_DRIVE = 1;
const HARD_DRIVE_LENGTH = 42;

/** A GUID's first three numbers are stored little end first. */
const guid = (bytes: Buffer): string => {
  const hex = (from: number, to: number) => bytes.toString('hex', from, to);
  const first = bytes.readUInt32LE(0).toString(16).padStart(8, '0');
  const [second, third] = [4, 6].map((at) => bytes.readUInt16LE(at).toString(16).padStart(4, '0'));
  return `${first}-${second}-${third}-${hex(8, 10)}-${hex(10, 16)}`;
};

/** As blkid names partitions: by their own GUID, in an MBR by the drive's number and theirs. */
const partitionOf = (node: Buffer): string[] => {
  const signature = node.subarray(24, 40);
  if (node[41] === 2) return [guid(signature)];
  if (node[41] !== 1) return [];
  const [drive, number] = [signature.readUInt32LE(0), node.readUInt32LE(4)].map((one) => one.toString(16));
  return [`${drive?.padStart(8, '0')}-${number?.padStart(2, '0')}`];
};

const nodesOf = (path: Buffer, name: string): Buffer[] => {
  const nodes: Buffer[] = [];
  for (let at = 0; at < path.length; ) {
    const length = path.length - at < 4 ? 0 : path.readUInt16LE(at + 2);
    if (length < 4 || at + length > path.length) throw new NotUnderstood(`the firmware's ${name} is not understood`);
    nodes.push(path.subarray(at, at + length));
    at += length;
  }
  return nodes;
};

/** @param variable whole, as efivarfs gives it; empty where it was just deleted @param name `Boot0003` @throws NotUnderstood */
export const bootPartitions = (variable: Buffer, name: string): string[] => {
  if (variable.length === 0) return [];
  if (variable.length < OPTION_HEADER) throw new NotUnderstood(`the firmware's ${name} is not understood`);
  const pathLength = variable.readUInt16LE(EFIVARFS_HEADER + 4);
  let at = OPTION_HEADER;
  // The description ends with a character of zero.
  while (at + 1 < variable.length && variable.readUInt16LE(at) !== 0) at += 2;
  const path = variable.subarray(at + 2, at + 2 + pathLength);
  if (path.length < pathLength) throw new NotUnderstood(`the firmware's ${name} is not understood`);
  return nodesOf(path, name)
    .filter((node) => node[0] === MEDIA && node[1] === HARD_DRIVE && node.length >= HARD_DRIVE_LENGTH)
    .flatMap(partitionOf);
};
