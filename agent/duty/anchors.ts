/** How long ago something was, by a clock that does not jump, for times that are kept as wall times. */
import type { Clock } from '#shared/clock';

/** A time this far in the future was written by a clock that jumped: it is not believed. */
export const SKEW_MS = 5 * 60_000;

/** Null for what lies in the future. */
export const believed = (at: number | null, now: number): number | null => (at !== null && at <= now + SKEW_MS ? at : null);

export const createAnchors = (clock: Pick<Clock, 'now' | 'monotonic'>) => {
  const known = new Map<string, { at: number; monotonic: number }>();

  return {
    /**
     * Milliseconds since `at`. The wall clock is asked once, when this time is seen first: for what happens while the agent runs
     * that is at once. Infinity for a time that is not believed.
     */
    since: (name: string, at: number): number => {
      const seen = known.get(name);
      if (seen?.at === at) return clock.monotonic() - seen.monotonic;
      const age = believed(at, clock.now()) === null ? Number.POSITIVE_INFINITY : Math.max(0, clock.now() - at);
      known.set(name, { at, monotonic: clock.monotonic() - age });
      return age;
    },
  };
};
