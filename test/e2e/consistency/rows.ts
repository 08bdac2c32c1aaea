/** What a writer did, and whether what came back from an archive can be true. Pure. */

/** Milliseconds since 1970. */
export interface Written {
  row: number;
  begunAt: number;
  /** The database confirmed it by then; null: it never did, so nobody knows. */
  ackedAt: number | null;
}

/** The instant at which the data was fixed lies between these two. */
export interface Window {
  fromMs: number;
  toMs: number;
}

export interface Comparison {
  /** Confirmed before the cut, and not there. */
  lost: number[];
  /** There, though not even begun by then, or never written. */
  invented: number[];
  /** How many had to be there. */
  owed: number;
}

/** Clocks are read after a confirmation and before a beginning, in whole milliseconds: what is in doubt is allowed, not asked for. */
export const compare = (written: readonly Written[], found: readonly number[], { fromMs, toMs }: Window): Comparison => {
  const there = new Set(found);
  const owed = written.filter(({ ackedAt }) => ackedAt !== null && ackedAt < fromMs);
  const allowed = new Set(written.filter(({ begunAt }) => begunAt <= toMs).map(({ row }) => row));
  return {
    lost: owed.filter(({ row }) => !there.has(row)).map(({ row }) => row),
    invented: found.filter((row) => !allowed.has(row)),
    owed: owed.length,
  };
};

/** The longest time without any confirmation, of those that touch the window. */
export const stoodStillMs = (written: readonly Written[], { fromMs, toMs }: Window): number => {
  const acked = written.flatMap(({ ackedAt }) => (ackedAt === null ? [] : [ackedAt]));
  const gaps = acked.slice(1).map((at, index) => [acked[index] ?? at, at] as const);
  return Math.max(0, ...gaps.filter(([from, to]) => to >= fromMs && from <= toMs).map(([from, to]) => to - from));
};
