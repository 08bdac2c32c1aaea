/** When to try again what failed: each time after twice as long. */
import type { Clock } from '#shared/clock';

const FIRST_MS = 10_000;
const MOST_MS = 600_000;

export const createRetry = (clock: Clock) => {
  const failures = new Map<string, { count: number; nextAt: number }>();
  return {
    mayTry: (key: string): boolean => (failures.get(key)?.nextAt ?? Number.NEGATIVE_INFINITY) <= clock.monotonic(),
    failed: (key: string): void => {
      const count = failures.get(key)?.count ?? 0;
      failures.set(key, { count: count + 1, nextAt: clock.monotonic() + Math.min(FIRST_MS * 2 ** count, MOST_MS) });
    },
    forget: (key: string): void => {
      failures.delete(key);
    },
    keys: (): string[] => [...failures.keys()],
  };
};
