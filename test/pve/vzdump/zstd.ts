/** zstd without the program: a stream of independent frames, one a block, which `zstd -d` reads as one file (RFC 8878, 3). */

import { Transform } from 'node:stream';
import { Zstd } from '@hpcc-js/wasm-zstd';

const BLOCK_BYTES = 512 * 1024;

/** Compresses block by block, statelessly: several backups may run in one process. */
export const zstdFrames = async (): Promise<Transform> => {
  const zstd = await Zstd.load();
  let waiting: Buffer[] = [];
  let size = 0;
  const frame = (): Uint8Array => {
    const block = Buffer.concat(waiting);
    waiting = [];
    size = 0;
    return zstd.compress(block, 1);
  };
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      waiting.push(chunk);
      size += chunk.length;
      done(null, size >= BLOCK_BYTES ? frame() : undefined);
    },
    flush(done) {
      done(null, size > 0 ? frame() : undefined);
    },
  });
};

/** Bytes of the frame at `at`: header, then blocks up to the one marked last (RFC 8878, 3.1.1). */
const frameLength = (data: Buffer, at: number): number => {
  const descriptor = data.readUInt8(at + 4);
  const single = (descriptor & 0x20) !== 0;
  const contentSize = [single ? 1 : 0, 2, 4, 8][descriptor >> 6] ?? 0;
  let next = at + 5 + (single ? 0 : 1) + ([0, 1, 2, 4][descriptor & 3] ?? 0) + contentSize;
  for (let last = false; !last; ) {
    const header = data.readUIntLE(next, 3);
    last = (header & 1) === 1;
    next += 3 + (((header >> 1) & 3) === 1 ? 1 : header >> 3);
  }
  return next + ((descriptor & 4) !== 0 ? 4 : 0) - at;
};

/** The whole content of what `zstdFrames` wrote. */
export const unzstd = async (data: Buffer): Promise<Buffer> => {
  const zstd = await Zstd.load();
  const blocks: Uint8Array[] = [];
  for (let at = 0; at < data.length; ) {
    const length = frameLength(data, at);
    blocks.push(zstd.decompress(data.subarray(at, at + length)));
    at += length;
  }
  return Buffer.concat(blocks);
};
