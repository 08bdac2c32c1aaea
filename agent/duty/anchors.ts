/** How long ago something was, by a clock that does not jump, for times that are kept as wall times. */
import { believed } from '#agent/believed';
import type { Clock } from '#shared/clock';

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
