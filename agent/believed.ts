/** Which wall times count: a clock that jumped may have written any. Pure. */

/** A time this far in the future was written by a clock that jumped: it is not believed. */
export const SKEW_MS = 5 * 60_000;

/** Null for what lies in the future. */
export const believed = (at: number | null, now: number): number | null => (at !== null && at <= now + SKEW_MS ? at : null);
