/** A stream of chunks, asked for as many bytes as a parser wants. Holds one chunk, or what was asked for. */
import { damaged } from './finding.ts';

export interface Bytes {
  /** Exactly so many; null where the data ends before the first of them. An end in their midst is damage. */
  take(count: number): Promise<Buffer | null>;
  /** Passes over so many, all of which must be there. */
  skip(count: number): Promise<void>;
  /** Whatever comes next, as it comes; null at the end. */
  chunk(): Promise<Buffer | null>;
  /** Handed out or passed over so far. */
  position(): number;
}

export const brokenOff = () => damaged('The archive breaks off in the middle.');

export const bytesOf = (source: AsyncIterable<Buffer>): Bytes => {
  const chunks = source[Symbol.asyncIterator]();
  let rest: Buffer = Buffer.alloc(0);
  let position = 0;

  /** False at the end of the data. */
  const refill = async (): Promise<boolean> => {
    while (rest.length === 0) {
      const next = await chunks.next();
      if (next.done) return false;
      rest = next.value;
    }
    return true;
  };
  const cut = (count: number): Buffer => {
    const piece = rest.subarray(0, count);
    rest = rest.subarray(piece.length);
    position += piece.length;
    return piece;
  };

  return {
    take: async (count) => {
      if (!(await refill())) return null;
      if (rest.length >= count) return cut(count);
      const whole = Buffer.alloc(count);
      for (let filled = 0; filled < count; ) {
        if (!(await refill())) throw brokenOff();
        filled += cut(count - filled).copy(whole, filled);
      }
      return whole;
    },
    skip: async (count) => {
      for (let left = count; left > 0; ) {
        if (!(await refill())) throw brokenOff();
        left -= cut(left).length;
      }
    },
    chunk: async () => ((await refill()) ? cut(rest.length) : null),
    position: () => position,
  };
};
