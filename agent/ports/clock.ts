/** The real clock. */
import type { Clock } from '#shared/clock';

/** Its timers never keep the process alive: the agent lives for its listeners. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after: (ms, call) => {
    const timer = setTimeout(call, ms);
    timer.unref();
    return () => clearTimeout(timer);
  },
};
