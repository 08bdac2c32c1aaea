/** A virtual machine's archive as QEMU writes it: a VMA (pve-qemu vma_spec.txt). And its disks again, for tests. */

import { createHash, randomBytes } from 'node:crypto';
import { open, stat } from 'node:fs/promises';

const CLUSTER = 65_536;
const BLOCK = 4096;
const PER_EXTENT = 59;
const FIXED = 12_288;

export interface VmaDisk {
  /** `drive-scsi0` */
  name: string;
  /** The file that holds what the disk holds. */
  image: string;
}

export interface VmaContent {
  configs: Readonly<Record<string, string>>;
  disks: readonly VmaDisk[];
}

/** Puts the MD5 of a block, the field counted as zeros, into the field. */
const seal = (block: Buffer, at: number): Buffer => {
  block.fill(0, at, at + 16);
  createHash('md5').update(block).digest().copy(block, at);
  return block;
};

/** Length-prefixed pieces; a pointer is where one stands. The first byte is none. */
const createBlobs = () => {
  const pieces: Buffer[] = [Buffer.alloc(1)];
  let at = 1;
  const add = (data: Buffer): number => {
    const length = Buffer.alloc(2);
    length.writeUInt16LE(data.length);
    pieces.push(length, data);
    const pointer = at;
    at += 2 + data.length;
    return pointer;
  };
  return { add, all: () => Buffer.concat(pieces) };
};

const headerOf = ({ configs, disks }: VmaContent, sizes: readonly number[], uuid: Buffer): Buffer => {
  const fixed = Buffer.alloc(FIXED);
  const blobs = createBlobs();
  fixed.write('VMA\0', 0, 'latin1');
  fixed.writeUInt32BE(1, 4);
  uuid.copy(fixed, 8);
  fixed.writeBigInt64BE(BigInt(Math.floor(Date.now() / 1000)), 24);
  for (const [slot, [name, text]] of Object.entries(configs).entries()) {
    fixed.writeUInt32BE(blobs.add(Buffer.from(`${name}\0`)), 2044 + slot * 4);
    fixed.writeUInt32BE(blobs.add(Buffer.from(text)), 3068 + slot * 4);
  }
  for (const [index, { name }] of disks.entries()) {
    const at = 4096 + (index + 1) * 32;
    fixed.writeUInt32BE(blobs.add(Buffer.from(`${name}\0`)), at);
    fixed.writeBigUInt64BE(BigInt(sizes[index] ?? 0), at + 8);
  }
  const tail = blobs.all();
  fixed.writeUInt32BE(FIXED, 48);
  fixed.writeUInt32BE(tail.length, 52);
  fixed.writeUInt32BE(FIXED + tail.length, 56);
  return seal(Buffer.concat([fixed, tail]), 32);
};

interface Cluster {
  disk: number;
  index: number;
  mask: number;
  /** Only the blocks that hold anything. */
  data: Buffer;
}

const clusterOf = (disk: number, index: number, content: Buffer): Cluster => {
  const kept: Buffer[] = [];
  let mask = 0;
  for (let block = 0; block < CLUSTER / BLOCK; block += 1) {
    const piece = content.subarray(block * BLOCK, (block + 1) * BLOCK);
    if (piece.every((byte) => byte === 0)) continue;
    mask |= 1 << block;
    kept.push(piece);
  }
  return { disk, index, mask, data: Buffer.concat(kept) };
};

const extentOf = (clusters: readonly Cluster[], uuid: Buffer): Buffer => {
  const header = Buffer.alloc(512);
  header.write('VMAE', 0, 'latin1');
  header.writeUInt16BE(
    clusters.reduce((sum, { data }) => sum + data.length / BLOCK, 0),
    6,
  );
  uuid.copy(header, 8);
  for (const [slot, { disk, index, mask }] of clusters.entries()) {
    header.writeUInt16BE(mask, 40 + slot * 8);
    header.writeUInt8(disk, 40 + slot * 8 + 3);
    header.writeUInt32BE(index, 40 + slot * 8 + 4);
  }
  return Buffer.concat([seal(header, 24), ...clusters.map(({ data }) => data)]);
};

async function* clustersOf(disk: number, image: string, size: number): AsyncGenerator<Cluster> {
  const file = await open(image);
  try {
    for (let index = 0; index * CLUSTER < size; index += 1) {
      const content = Buffer.alloc(CLUSTER);
      await file.read(content, 0, CLUSTER, index * CLUSTER);
      yield clusterOf(disk, index, content);
    }
  } finally {
    await file.close();
  }
}

export async function* vmaOf(content: VmaContent): AsyncGenerator<Buffer> {
  const uuid = randomBytes(16);
  const sizes = await Promise.all(content.disks.map(async ({ image }) => (await stat(image)).size));
  yield headerOf(content, sizes, uuid);
  const extent: Cluster[] = [];
  for (const [index, { image }] of content.disks.entries()) {
    for await (const cluster of clustersOf(index + 1, image, sizes[index] ?? 0)) {
      extent.push(cluster);
      if (extent.length === PER_EXTENT) yield extentOf(extent.splice(0), uuid);
    }
  }
  if (extent.length > 0) yield extentOf(extent, uuid);
}

/** What each disk of a VMA holds, by name. Believes what it reads. */
export const vmaDisks = (vma: Buffer): Record<string, Buffer> => {
  const blobs = vma.readUInt32BE(48);
  const names = new Map<number, string>();
  const disks: Record<string, Buffer> = {};
  for (let id = 1; id < 256; id += 1) {
    const size = Number(vma.readBigUInt64BE(4096 + id * 32 + 8));
    if (size === 0) continue;
    const at = blobs + vma.readUInt32BE(4096 + id * 32);
    names.set(id, vma.toString('latin1', at + 2, at + 1 + vma.readUInt16LE(at)));
    disks[names.get(id) ?? ''] = Buffer.alloc(size);
  }
  for (let at = vma.readUInt32BE(56); at < vma.length; ) {
    let data = at + 512;
    for (let slot = at + 40; slot < at + 512; slot += 8) {
      const disk = disks[names.get(vma.readUInt8(slot + 3)) ?? ''];
      const mask = vma.readUInt16BE(slot);
      for (let block = 0; block < 16; block += 1) {
        if ((mask & (1 << block)) === 0) continue;
        if (disk) vma.copy(disk, vma.readUInt32BE(slot + 4) * CLUSTER + block * BLOCK, data, data + BLOCK);
        data += BLOCK;
      }
    }
    at = data;
  }
  return disks;
};
