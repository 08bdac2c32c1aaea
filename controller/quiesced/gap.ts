/** Whether a hold stood until this process itself stood still, and ended then or just after: so it stood at a cut within that time. Pure. */

import { GRACE_MS, STOOD_STILL_MS } from '#shared/quiesce/awake';

/** The hold was seen no longer ago than this when the gap began. */
const SEEN_MS = 1500;

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
    if (now - lastTick >= STOOD_STILL_MS) gap = { from: lastTick, to: now };
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
      // Seen after the gap it stood all through it.
      const stoodUntilThen = lastStood >= gap.from - SEEN_MS;
      return stoodUntilThen && now - gap.to < GRACE_MS ? Math.ceil(gap.to - gap.from) : null;
    },
  };
};
