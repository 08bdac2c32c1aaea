/** Wall clocks as instants: those that come twice, and those that the clocks skip. Pure. */
import type { OffsetAt } from '#agent/ports/local-time';

const HOUR_MS = 3_600_000;
/** Wider than any offset (−12 to +14 hours), narrower than what lies between two changes of a zone's clocks. */
const AROUND_MS = 24 * HOUR_MS;

/** The instant of a wall clock, the earlier of two; of one that the clocks skip, the moment at which they do. `skipped` says which. */
export const instantOf = (offsetAt: OffsetAt, wall: number): { at: number; skipped: boolean } => {
  const before = offsetAt(wall - AROUND_MS);
  const after = offsetAt(wall + AROUND_MS);
  const found = [before, after].map((offset) => wall - offset).find((at) => at + offsetAt(at) === wall);
  if (found !== undefined) return { at: found, skipped: false };
  return { at: changeBetween(offsetAt, wall - after, wall - before), skipped: true };
};

/** The first whole second at which the later offset holds. */
const changeBetween = (offsetAt: OffsetAt, from: number, to: number): number => {
  const later = offsetAt(to);
  let [low, high] = [Math.floor(from / 1000) - 1, Math.ceil(to / 1000)];
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (offsetAt(middle * 1000) === later) high = middle;
    else low = middle;
  }
  return high * 1000;
};
