/** One header block of a tar (POSIX.1-2017 pax, ustar; GNU tar manual, "Basic Tar Format"). Pure. */
import { damaged } from './finding.ts';

export const BLOCK_BYTES = 512;

export interface TarHeader {
  name: string;
  /** Of the data that follows, before it is padded to whole blocks. */
  size: number;
  type: string;
  /** Old GNU sparse: more blocks with the map of holes follow. */
  moreSparse: boolean;
}

const CHECKSUM = { at: 148, end: 156 };

const text = (block: Buffer, at: number, length: number): string => {
  const field = block.subarray(at, at + length);
  const end = field.indexOf(0);
  return field.toString('utf8', 0, end === -1 ? length : end);
};

/** Octal digits, or GNU's base 256 where the first bit is set. */
export const numberField = (block: Buffer, at: number, length: number): number => {
  const first = block.readUInt8(at);
  if ((first & 0x80) === 0) {
    const digits = text(block, at, length).trim();
    if (!/^[0-7]*$/.test(digits)) throw damaged('A number in the archive cannot be read.');
    return digits === '' ? 0 : Number.parseInt(digits, 8);
  }
  let value = BigInt(first & 0x7f);
  for (let index = at + 1; index < at + length; index += 1) value = value * 256n + BigInt(block.readUInt8(index));
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw damaged('A size in the archive is impossible.');
  return Number(value);
};

/** Some old programs added the bytes up as signed ones; GNU tar takes both. */
const hasChecksum = (block: Buffer): boolean => {
  const said = numberField(block, CHECKSUM.at, CHECKSUM.end - CHECKSUM.at);
  let unsigned = 0;
  let signed = 0;
  for (let index = 0; index < BLOCK_BYTES; index += 1) {
    const isSum = index >= CHECKSUM.at && index < CHECKSUM.end;
    unsigned += isSum ? 0x20 : block.readUInt8(index);
    signed += isSum ? 0x20 : block.readInt8(index);
  }
  return said === unsigned || said === signed;
};

export const isZero = (bytes: Buffer): boolean => {
  for (const byte of bytes) if (byte !== 0) return false;
  return true;
};

/** GNU's own magic is `ustar` and two spaces, and has other fields where ustar has the prefix. */
const nameOf = (block: Buffer): string => {
  const prefix = text(block, 257, 6) === 'ustar' && block.readUInt8(262) === 0 ? text(block, 345, 155) : '';
  return prefix === '' ? text(block, 0, 100) : `${prefix}/${text(block, 0, 100)}`;
};

export const readHeader = (block: Buffer): TarHeader => {
  if (!hasChecksum(block)) throw damaged('A checksum in the archive is wrong.');
  const type = String.fromCharCode(block.readUInt8(156) || 0x30);
  return {
    name: nameOf(block),
    // The data of a hard link is that of its target.
    size: type === '1' ? 0 : numberField(block, 124, 12),
    type,
    moreSparse: type === 'S' && block.readUInt8(482) !== 0,
  };
};

/** `length key=value\n`, the length counting itself. */
export const readPax = (data: Buffer): Map<string, string> => {
  const records = new Map<string, string>();
  for (let at = 0; at < data.length; ) {
    const space = data.indexOf(0x20, at);
    const digits = space === -1 ? '' : data.toString('latin1', at, space);
    const end = at + (/^[1-9]\d{0,9}$/.test(digits) ? Number(digits) : 0);
    const equals = data.indexOf(0x3d, space);
    if (end <= space || end > data.length || equals === -1 || equals >= end || data[end - 1] !== 0x0a)
      throw damaged('An extended header in the archive cannot be read.');
    records.set(data.toString('utf8', space + 1, equals), data.toString('utf8', equals + 1, end - 1));
    at = end;
  }
  return records;
};
