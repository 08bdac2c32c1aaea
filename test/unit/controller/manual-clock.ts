/** A clock that moves when it is told to, and can stand still as a frozen guest's does. */
import type { Clock } from '#shared/clock';

interface Timer {
  at: number;
  call: () => void;
}

export interface ManualClock extends Clock {
  /** Moves on, timer by timer, letting what they start run between them. */
  advance(ms: number): Promise<void>;
  /** Time passes, nothing runs; then all timers that are due fire at once, late. */
  freeze(ms: number): Promise<void>;
  timers(): number;
}

/** Lets everything run that needs no time. */
const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
};

export const manualClock = (start = Date.parse('2026-03-01T04:00:00Z')): ManualClock => {
  let passed = 0;
  let timers: Timer[] = [];

  const fireDue = async () => {
    const due = timers.filter(({ at }) => at <= passed).sort((a, b) => a.at - b.at);
    timers = timers.filter(({ at }) => at > passed);
    for (const { call } of due) call();
    await settle();
  };
  return {
    now: () => start + passed,
    monotonic: () => passed,
    after: (ms, call) => {
      const timer = { at: passed + Math.max(0, ms), call };
      timers.push(timer);
      return () => {
        timers = timers.filter((one) => one !== timer);
      };
    },
    advance: async (ms) => {
      const end = passed + ms;
      await settle();
      for (;;) {
        const next = Math.min(...timers.map(({ at }) => at));
        if (next > end) break;
        passed = Math.max(passed, next);
        await fireDue();
      }
      passed = end;
      await settle();
    },
    freeze: async (ms) => {
      passed += ms;
      await fireDue();
    },
    timers: () => timers.length,
  };
};
