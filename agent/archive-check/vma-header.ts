/**
 * The header of a VMA, Proxmox's format for virtual machines. Everything is big-endian but the lengths of its blobs.
 * pve-qemu vma_spec.txt; what is demanded of it: vma-reader.c, vma_reader_read_head.
 */
import { createHash } from 'node:crypto';
import { damaged } from './finding.ts';

/** What comes before the blobs: 256 names and 256 texts of configuration files, 256 devices. */
export const FIXED_BYTES = 12_288;
const MAX_HEADER_BYTES = 64 * 1024 ** 2;
const AT = { version: 4, uuid: 8, md5: 32, blobs: 48, headerSize: 56, names: 2044, texts: 3068, devices: 4096 } as const;
const SLOTS = 256;
const MD5_BYTES = 16;
const DEVICE_BYTES = 32;

export interface VmaDevice {
  name: string;
  sizeBytes: number;
}

export interface VmaHeader {
  uuid: Buffer;
  /** By the number that the extents use. */
  devices: ReadonlyMap<number, VmaDevice>;
  configs: ReadonlyMap<string, Buffer>;
}

/** Read from the fixed part, so that the rest can be fetched. */
export const headerSize = (fixed: Buffer): number => {
  if (fixed.toString('latin1', 0, 4) !== 'VMA\0') throw damaged('The file is not an archive of a virtual machine.');
  const size = fixed.readUInt32BE(AT.headerSize);
  if (size <= FIXED_BYTES || size > MAX_HEADER_BYTES) throw damaged('A size in the archive is impossible.');
  return size;
};

/** Of a block that carries its own checksum, the field itself counted as zeros. */
export const hasMd5 = (block: Buffer, at: number): boolean => {
  const sum = createHash('md5')
    .update(block.subarray(0, at))
    .update(Buffer.alloc(MD5_BYTES))
    .update(block.subarray(at + MD5_BYTES));
  return sum.digest().equals(block.subarray(at, at + MD5_BYTES));
};

/** Blobs by where they stand, which is what the header's pointers say: two bytes of length, then the data. */
const blobsOf = (header: Buffer): Map<number, Buffer> => {
  const start = header.readUInt32BE(AT.blobs);
  const end = start + header.readUInt32BE(AT.blobs + 4);
  if (start < FIXED_BYTES || end > header.length) throw damaged('A size in the archive is impossible.');
  const blobs = new Map<number, Buffer>();
  for (let at = start + 1; at + 2 <= end; ) {
    const next = at + 2 + header.readUInt16LE(at);
    if (next <= end) blobs.set(at - start, header.subarray(at + 2, next));
    at = next;
  }
  return blobs;
};

const nameIn = (blob: Buffer | undefined): string | null =>
  blob === undefined || blob.at(-1) !== 0 ? null : blob.toString('utf8', 0, blob.length - 1);

const devicesOf = (header: Buffer, blobs: ReadonlyMap<number, Buffer>): VmaHeader['devices'] => {
  const devices = new Map<number, VmaDevice>();
  for (let id = 1; id < SLOTS; id += 1) {
    const at = AT.devices + id * DEVICE_BYTES;
    const name = nameIn(blobs.get(header.readUInt32BE(at)));
    const size = header.readBigUInt64BE(at + 8);
    if (size > BigInt(Number.MAX_SAFE_INTEGER)) throw damaged('A size in the archive is impossible.');
    if (name !== null && size > 0n) devices.set(id, { name, sizeBytes: Number(size) });
  }
  return devices;
};

const configsOf = (header: Buffer, blobs: ReadonlyMap<number, Buffer>): VmaHeader['configs'] => {
  const configs = new Map<string, Buffer>();
  for (let slot = 0; slot < SLOTS; slot += 1) {
    const [namePointer, textPointer] = [header.readUInt32BE(AT.names + slot * 4), header.readUInt32BE(AT.texts + slot * 4)];
    if (namePointer === 0 || textPointer === 0) continue;
    const name = nameIn(blobs.get(namePointer));
    const text = blobs.get(textPointer);
    if (name === null || text === undefined) throw damaged('The header of the archive contradicts itself.');
    configs.set(name, text);
  }
  return configs;
};

export const readVmaHeader = (header: Buffer): VmaHeader => {
  if (!hasMd5(header, AT.md5)) throw damaged('A checksum in the archive is wrong.');
  const version = header.readUInt32BE(AT.version);
  if (version !== 1) throw damaged('The archive is of a version that nobody knows.', `version ${version}`);
  const blobs = blobsOf(header);
  return {
    uuid: Buffer.from(header.subarray(AT.uuid, AT.uuid + 16)),
    devices: devicesOf(header, blobs),
    configs: configsOf(header, blobs),
  };
};
