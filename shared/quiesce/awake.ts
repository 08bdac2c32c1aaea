/** Deadlines of a guest that may stand still: a container snapshot freezes every process, these programs included. */
import type { Clock } from '../clock.ts';

/** A timer that fires later than this says "we were frozen". */
export const LATE_MS = 2000;
/** Then answers that wait in a socket are read before the deadline counts: this long. */
export const GRACE_MS = 5000;

/** Calls after `ms` of being awake: when the timer comes late, it waits once more, so that waiting answers come first. */
export const afterAwake = (clock: Clock, ms: number, call: () => void): (() => void) => {
  const due = clock.monotonic() + ms;
  let cancel = clock.after(ms, () => {
    if (clock.monotonic() - due <= LATE_MS) return call();
    cancel = clock.after(GRACE_MS, call);
  });
  return () => cancel();
};
