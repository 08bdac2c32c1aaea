/** What is looked after again and again: one round at a time, and no step keeps the others from being done. */
import type { Journal } from '#agent/ports/journal';
import { type Clock, sleep } from '#shared/clock';

export interface RoundPorts {
  clock: Clock;
  journal: Journal;
  /** In this order. */
  steps: Readonly<Record<string, () => Promise<void> | void>>;
}

const EVERY_MS = 10_000;
/** A round that has not ended after this is given up, so that one lost answer does not end all backups. */
const GIVE_UP_MS = 10 * 60_000;

export const createRounds = ({ clock, journal, steps }: RoundPorts) => {
  const closing = new AbortController();
  const told = new Map<string, string>();

  /** A failure that goes on is told once. */
  const step = async (what: string, act: () => Promise<void> | void): Promise<void> => {
    try {
      await act();
      told.delete(what);
    } catch (error) {
      const why = String(error);
      if (told.get(what) === why || closing.signal.aborted) return;
      told.set(what, why);
      journal('error', 'A part of the scheduling does not work.', { what, why });
    }
  };

  const round = async (): Promise<void> => {
    for (const [what, act] of Object.entries(steps)) if (!closing.signal.aborted) await step(what, act);
  };

  let flight: { done: Promise<void>; begun: number } | null = null;
  const tick = (): Promise<void> => {
    if (flight !== null && clock.monotonic() - flight.begun < GIVE_UP_MS) return flight.done;
    const own = { done: Promise.resolve(), begun: clock.monotonic() };
    flight = own;
    own.done = round().finally(() => {
      if (flight === own) flight = null;
    });
    return own.done;
  };

  const loop = async (): Promise<void> => {
    while (!closing.signal.aborted) {
      void tick();
      await sleep(clock, EVERY_MS, closing.signal);
    }
  };

  return {
    /** Never rejects. */
    tick,
    begin: (): void => void loop(),
    close: async (): Promise<void> => {
      closing.abort();
      await Promise.race([flight?.done, sleep(clock, 1000)]);
    },
  };
};
