/** Reads a drive from its start until the first byte that is not zero, or to its end. */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import type { Zeros } from './protocol.ts';

const MIB = 1024 ** 2;
const PAGE_BYTES = 65_536;

/** As far as it is needed here; TypeScript knows it from browsers only. */
interface PagedMemory {
  WebAssembly: { Memory: new (pages: { initial: number; maximum: number }) => { buffer: ArrayBuffer } };
}

/** Direct reading needs memory that begins at a page (open(2), O_DIRECT). WebAssembly's does; Node's buffers begin anywhere. */
const alignedBuffer = (): Buffer => {
  const pages = MIB / PAGE_BYTES;
  const { Memory } = (globalThis as unknown as PagedMemory).WebAssembly;
  return Buffer.from(new Memory({ initial: pages, maximum: pages }).buffer);
};

const NOTHING = Buffer.alloc(MIB);

const firstData = (piece: Buffer): number =>
  piece.equals(NOTHING.subarray(0, piece.length)) ? -1 : piece.findIndex((byte) => byte !== 0);

const readPiece = async (file: FileHandle, buffer: Buffer, at: number, bytes: number): Promise<Buffer> => {
  const { bytesRead } = await file.read(buffer, 0, bytes, at);
  // Short of its end a device always gives something; less than was asked for is read on from there.
  if (bytesRead === 0) throw new Error(`it ends after ${at} bytes`);
  return buffer.subarray(0, bytesRead);
};

/** @param from where to begin @param onProgress is told how far it is zero */
export const readZeros = async (
  device: string,
  sizeBytes: number,
  from: number,
  onProgress: (bytes: number) => void,
): Promise<Zeros> => {
  const file = await open(device, constants.O_RDONLY | constants.O_DIRECT);
  try {
    if (!(await file.stat()).isBlockDevice()) throw new Error(`${device} is not a block device`);
    const buffer = alignedBuffer();
    for (let at = from; at < sizeBytes; ) {
      const piece = await readPiece(file, buffer, at, Math.min(MIB, sizeBytes - at));
      const found = firstData(piece);
      if (found >= 0) return { blank: false, firstDataAt: at + found };
      at += piece.length;
      onProgress(at);
    }
    return { blank: true, firstDataAt: null };
  } finally {
    await file.close();
  }
};
