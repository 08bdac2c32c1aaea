/** Whether a hold stood until this process itself stood still, and ended meanwhile: then it stood at a cut within that time. Pure. */

/** How often `tick` is called. */
export const TICK_MS = 250;
/** A tick that comes so late says "we stood still". */
const GAP_MS = 2000;
/** The hold was seen no longer ago than this when the gap began. */
const SEEN_MS = 1500;
/** A gap explains what is found within this time after it. */
const EXPLAINS_MS = 5000;

export interface GapWatch {
  tick(now: number): void;
  /** The hold stood at this moment. */
  stood(at: number): void;
  /** How long we stood still, if that may be when the hold ended; null: it ended at another time. */
  endedWithin(now: number): number | null;
}

export const createGapWatch = (begin: number): GapWatch => {
  let lastTick = begin;
  let lastStood = Number.NEGATIVE_INFINITY;
  let gap = { from: Number.NEGATIVE_INFINITY, to: Number.NEGATIVE_INFINITY };
  const tick = (now: number) => {
    if (now - lastTick >= GAP_MS) gap = { from: lastTick, to: now };
    lastTick = now;
  };
  return {
    tick,
    stood: (at) => {
      lastStood = at;
    },
    endedWithin: (now) => {
      // Asked before the first tick after a gap: that one counts too.
      tick(now);
      const seen = lastStood >= gap.from - SEEN_MS && lastStood <= gap.from + TICK_MS;
      return seen && now - gap.to < EXPLAINS_MS ? Math.ceil(gap.to - gap.from) : null;
    },
  };
};
