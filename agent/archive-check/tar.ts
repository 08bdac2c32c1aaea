/** A container's archive: a tar, read to its end. Nothing of it is kept but names and sizes. */
import { type Bytes, brokenOff } from './bytes.ts';
import { damaged } from './finding.ts';
import { BLOCK_BYTES, isZero, readHeader, readPax, type TarHeader } from './tar-header.ts';

/** What vzdump puts in first; without it nothing can be restored (pve-container PVE/LXC/Create.pm, recover_config). */
const CONFIG = './etc/vzdump/pct.conf';
/** Names, ACLs and extended attributes of one file. */
const MAX_EXTENSION_BYTES = 64 * 1024 ** 2;

const padded = (size: number): number => Math.ceil(size / BLOCK_BYTES) * BLOCK_BYTES;

/** What the headers before a member say of it. */
interface Extension {
  name?: string;
  size?: number;
}

const extensionData = async (bytes: Bytes, size: number): Promise<Buffer> => {
  if (size > MAX_EXTENSION_BYTES) throw damaged('A size in the archive is impossible.');
  const data = size === 0 ? Buffer.alloc(0) : await bytes.take(padded(size));
  if (data === null) throw brokenOff();
  return data.subarray(0, size);
};

const ofPax = (records: ReadonlyMap<string, string>): Extension => {
  const name = records.get('GNU.sparse.name') ?? records.get('path');
  const size = records.get('size');
  if (size !== undefined && !/^\d{1,15}$/.test(size)) throw damaged('A size in the archive is impossible.');
  return { ...(name === undefined ? {} : { name }), ...(size === undefined ? {} : { size: Number(size) }) };
};

/** Long names (GNU `L`, `K`) and pax headers; null for a member itself. */
const readExtension = async (bytes: Bytes, { type, size }: TarHeader): Promise<Extension | null> => {
  if (!['L', 'K', 'x', 'X', 'g'].includes(type)) return null;
  const data = await extensionData(bytes, size);
  if (type === 'L') return { name: data.toString('utf8').replace(/\0.*$/s, '') };
  if (type === 'K') return {};
  const records = readPax(data);
  return type === 'g' ? {} : ofPax(records);
};

/** Blocks of 21 holes each; the last byte but seven says whether one more follows. */
const skipSparseMap = async (bytes: Bytes): Promise<void> => {
  for (let more = true; more; ) {
    const block = await bytes.take(BLOCK_BYTES);
    if (block === null) throw brokenOff();
    more = block.readUInt8(504) !== 0;
  }
};

/** Two blocks of zeros end it, zeros fill the last record, and nothing else may follow. */
const expectEnd = async (bytes: Bytes): Promise<void> => {
  const second = await bytes.take(BLOCK_BYTES);
  if (second === null) throw brokenOff();
  if (!isZero(second)) throw damaged('The archive has a hole in the middle.');
  for (let chunk = await bytes.chunk(); chunk !== null; chunk = await bytes.chunk())
    if (!isZero(chunk)) throw damaged('Something follows the end of the archive.');
};

/** Answers how many members there are, as `tar -t` lists them. */
export const readTar = async (bytes: Bytes): Promise<number> => {
  let members = 0;
  let hasConfig = false;
  let extension: Extension = {};
  for (;;) {
    const block = await bytes.take(BLOCK_BYTES);
    if (block === null) throw members === 0 ? damaged('The archive is empty.') : brokenOff();
    if (isZero(block)) break;
    const header = readHeader(block);
    const found = await readExtension(bytes, header);
    if (found !== null) {
      extension = { ...extension, ...found };
      continue;
    }
    const { name, size } = { ...header, ...extension };
    extension = {};
    if (header.moreSparse) await skipSparseMap(bytes);
    await bytes.skip(padded(size));
    members += 1;
    hasConfig ||= name === CONFIG && size > 0;
  }
  await expectEnd(bytes);
  if (members === 0) throw damaged('The archive is empty.');
  if (!hasConfig) throw damaged("The guest's configuration is not in the archive.");
  return members;
};
