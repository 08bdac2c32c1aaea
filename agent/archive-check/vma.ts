/** A virtual machine's archive: a VMA, read to its end. pve-qemu vma_spec.txt, vma-reader.c (vma_reader_restore). */
import { type Bytes, brokenOff } from './bytes.ts';
import { damaged } from './finding.ts';
import { FIXED_BYTES, hasMd5, headerSize, readVmaHeader, type VmaDevice, type VmaHeader } from './vma-header.ts';

const CONFIG = 'qemu-server.conf';
/** The memory of a running machine: as long as it is, in order, of no size that the header knows. */
const MEMORY = 'vmstate';

const EXTENT_HEADER_BYTES = 512;
const EXTENT = { blockCount: 6, uuid: 8, md5: 24, infos: 40, infoCount: 59 } as const;
const BLOCK_BYTES = 4096;
const CLUSTER_BYTES = 16 * BLOCK_BYTES;

/** Which clusters of a device came, and whether each is its own and there at the end. */
const createTally = ({ name, sizeBytes }: VmaDevice) => {
  const isMemory = name === MEMORY;
  const clusters = Math.ceil(sizeBytes / CLUSTER_BYTES);
  const seen = new Uint8Array(isMemory ? 0 : Math.ceil(clusters / 8));
  let count = 0;
  const mark = (cluster: number): void => {
    const [byte, bit] = [cluster >> 3, 1 << (cluster & 7)];
    if (cluster >= clusters) throw damaged('The archive holds data beyond the end of a disk.', name);
    if (((seen[byte] ?? 0) & bit) !== 0) throw damaged('A part of a disk is in the archive twice.', name);
    seen[byte] = (seen[byte] ?? 0) | bit;
  };
  return {
    add: (cluster: number, mask: number): void => {
      if (isMemory && cluster !== count) throw damaged('The memory in the archive is out of order.');
      if (!isMemory) {
        mark(cluster);
        const blocks = mask === 0 ? 0 : 32 - Math.clz32(mask);
        // The last cluster may be written whole, however little of it the disk has (vma-reader.c).
        const endsBeyond = mask !== 0xffff && cluster * CLUSTER_BYTES + (blocks - 1) * BLOCK_BYTES >= sizeBytes;
        if (blocks > 0 && endsBeyond) throw damaged('The archive holds data beyond the end of a disk.', name);
      }
      count += 1;
    },
    expectWhole: (): void => {
      if (!isMemory && count < clusters)
        throw damaged('A part of a disk is missing.', `${name}: ${count} of ${clusters} clusters`);
    },
  };
};
type Tally = ReturnType<typeof createTally>;

const bitsOf = (mask: number): number => {
  let bits = 0;
  for (let rest = mask; rest !== 0; rest >>= 1) bits += rest & 1;
  return bits;
};

/** Which clusters it holds; answers how many bytes of data follow. */
const readExtent = (extent: Buffer, { uuid }: VmaHeader, tallies: ReadonlyMap<number, Tally>): number => {
  if (extent.toString('latin1', 0, 4) !== 'VMAE' || extent.readUInt16BE(4) !== 0)
    throw damaged('Something that is not part of the archive stands in it.');
  if (!hasMd5(extent, EXTENT.md5)) throw damaged('A checksum in the archive is wrong.');
  if (!extent.subarray(EXTENT.uuid, EXTENT.uuid + 16).equals(uuid))
    throw damaged('A part of another archive stands in this one.');
  let blocks = 0;
  for (let slot = 0; slot < EXTENT.infoCount; slot += 1) {
    const at = EXTENT.infos + slot * 8;
    const [mask, id, cluster] = [extent.readUInt16BE(at), extent.readUInt8(at + 3), extent.readUInt32BE(at + 4)];
    if (id === 0) continue;
    const tally = tallies.get(id);
    if (tally === undefined) throw damaged('The archive holds data of a disk that it does not name.');
    tally.add(cluster, mask);
    blocks += bitsOf(mask);
  }
  if (blocks !== extent.readUInt16BE(EXTENT.blockCount)) throw damaged('The archive contradicts itself about how much it holds.');
  return blocks * BLOCK_BYTES;
};

const readHead = async (bytes: Bytes): Promise<VmaHeader> => {
  const fixed = await bytes.take(FIXED_BYTES);
  if (fixed === null) throw damaged('The archive is empty.');
  const blobs = await bytes.take(headerSize(fixed) - FIXED_BYTES);
  if (blobs === null) throw brokenOff();
  return readVmaHeader(Buffer.concat([fixed, blobs]));
};

/** Answers how many disks it holds. */
export const readVma = async (bytes: Bytes): Promise<number> => {
  const header = await readHead(bytes);
  const config = header.configs.get(CONFIG);
  if (config === undefined || config.length === 0) throw damaged("The guest's configuration is not in the archive.");
  const tallies = new Map([...header.devices].map(([id, device]) => [id, createTally(device)]));
  for (let extent = await bytes.take(EXTENT_HEADER_BYTES); extent !== null; extent = await bytes.take(EXTENT_HEADER_BYTES))
    await bytes.skip(readExtent(extent, header, tallies));
  for (const tally of tallies.values()) tally.expectWhole();
  return header.devices.size;
};
