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

/** How often a hold looks whether it stood still. */
export const TICK_MS = 250;
/** A tick that comes so late says "we stood still": also for less time than a single timer would tell, and before its end. */
export const STOOD_STILL_MS = 1000;

/**
 * The end of a hold, after `ms`: put off until five seconds after the guest stood still, if it did so before the end, however
 * shortly. For a cut that was made meanwhile is told only then. Never more than those five seconds after the end or the thaw.
 */
export const atHoldEnd = (clock: Clock, ms: number, call: () => void): (() => void) => {
  const end = clock.monotonic() + ms;
  let until = end;
  let cancel = () => undefined as void;
  const wait = () => {
    const asked = clock.monotonic();
    const step = Math.max(0, Math.min(TICK_MS, until - asked));
    cancel = clock.after(step, () => {
      const now = clock.monotonic();
      if (now - asked - step >= STOOD_STILL_MS && asked <= end) until = Math.max(until, now + GRACE_MS);
      if (now >= until) call();
      else wait();
    });
  };
  wait();
  return () => cancel();
};
