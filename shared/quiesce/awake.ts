/** Deadlines of a guest that may stand still: a container snapshot freezes every process, these programs included. */
import type { Clock } from '../clock.ts';

/** After it stood still, answers that wait in a socket are read before a deadline counts: this long. */
export const GRACE_MS = 5000;
/** How often it is looked whether we stood still. */
export const TICK_MS = 250;
/** A tick that comes so late says "we stood still". */
export const STOOD_STILL_MS = 1000;

/**
 * Calls after `ms`, or five seconds after we stood still, if that began before the end: an answer, or the news of a cut, that
 * came meanwhile is read first. So never more than those five seconds after the end or the thaw.
 */
export const afterAwake = (clock: Clock, ms: number, call: () => void): (() => void) => {
  const end = clock.monotonic() + ms;
  let until = end;
  let cancel: () => void = () => undefined;
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
