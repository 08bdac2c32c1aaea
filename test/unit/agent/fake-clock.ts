/** A clock that only moves when it is told to. */
import type { Clock } from '#shared/clock';

/** Lets everything run that waits for nothing but promises, and reads of small files. */
export const settle = async () => {
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
};

export const fakeClock = (start = 1_000_000) => {
  let now = start;
  /** How far the wall clock was set; the monotonic one knows nothing of it. */
  let setMs = 0;
  let timers: { at: number; call: () => void }[] = [];
  const clock: Clock = {
    now: () => now + setMs,
    monotonic: () => now,
    after: (ms, call) => {
      const timer = { at: now + ms, call };
      timers.push(timer);
      return () => {
        timers = timers.filter((one) => one !== timer);
      };
    },
  };
  const advance = async (ms: number) => {
    const end = now + ms;
    for (;;) {
      await settle();
      const [next] = timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at);
      if (next === undefined) break;
      timers = timers.filter((one) => one !== next);
      now = Math.max(now, next.at);
      next.call();
    }
    now = end;
    await settle();
  };
  /** As when somebody, or NTP, sets the wall clock. */
  const setWall = (byMs: number) => {
    setMs += byMs;
  };
  return { clock, advance, setWall, pending: () => timers.length };
};
