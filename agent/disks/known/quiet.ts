/** Whether anything about drives has moved since the last whole look, by what costs next to nothing to read. */
import type { Clock } from '#shared/clock';
import type { Proc } from '../../ports/proc.ts';

export interface QuietPorts {
  clock: Pick<Clock, 'monotonic'>;
  proc: Pick<Proc, 'partitions' | 'mountinfo' | 'swaps'>;
}

export interface Quiet {
  /**
   * False: it is time for a whole look, which then counts as taken. What was plugged in, pulled out, mounted or unmounted is followed for
   * a minute; a drive exchanged for another of its name and size between two calls is noticed after `everyMs`. Never rejects.
   */
  isQuiet(everyMs: number): Promise<boolean>;
}

/** A drive that was just plugged in is looked into a little later, and what hangs is tried again. */
const SETTLED_MS = 60_000;

export const createQuiet = ({ clock, proc }: QuietPorts): Quiet => {
  let before = '';
  let movedAt = Number.NEGATIVE_INFINITY;
  let lookedAt = Number.NEGATIVE_INFINITY;

  /** Empty where it cannot be told. */
  const state = async (): Promise<string> => {
    try {
      return (await Promise.all([proc.partitions(), proc.mountinfo(), proc.swaps()])).join('\0');
    } catch {
      return '';
    }
  };

  return {
    isQuiet: async (everyMs) => {
      const now = clock.monotonic();
      const seen = await state();
      if (seen === '' || seen !== before) movedAt = now;
      before = seen;
      const isDue = now - movedAt < SETTLED_MS || now - lookedAt >= everyMs;
      if (isDue) lookedAt = now;
      return !isDue;
    },
  };
};
