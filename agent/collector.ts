/** One source of readings: one collection in flight, a deadline for whoever waits, and the last value with its age. */
import type { Clock } from '#shared/clock';

export interface Reading<T> {
  /** The newest value ever collected; null before the first. */
  value: T | null;
  ageMs: number | null;
  /** The newest collection ended in time and well. */
  fresh: boolean;
  /** Why it is not fresh. */
  failure?: unknown;
}

export interface Collector<T> {
  /** Never rejects, and resolves at the latest when the deadline has passed. */
  read(): Promise<Reading<T>>;
}

interface Timing {
  /** Nobody waits longer for one collection. */
  deadlineMs: number;
  /** A result, good or bad, is answered again for so long. */
  keepMs: number;
}

/** A collection that has not ended after this is given up, so that a lost answer does not end collecting for ever. */
const GIVE_UP_MS = 60_000;

/** What a caller is told whose source did not answer in time. */
export class LateError extends Error {
  override readonly name = 'LateError';
}

interface Flight {
  startedAt: number;
  done: Promise<void>;
}

export const createCollector = <T>(clock: Clock, { deadlineMs, keepMs }: Timing, collect: () => Promise<T>): Collector<T> => {
  let last: { value: T; at: number } | undefined;
  let failure: { reason: unknown } | undefined;
  let attemptEndedAt = Number.NEGATIVE_INFINITY;
  let flight: Flight | undefined;

  const reading = (late?: LateError): Reading<T> => {
    const reason = late ?? failure?.reason;
    const known = { value: last?.value ?? null, ageMs: last ? clock.monotonic() - last.at : null };
    return reason === undefined ? { ...known, fresh: true } : { ...known, fresh: false, failure: reason };
  };

  /** A flight that was given up may still end: then it changes nothing. */
  const launch = (): Flight => {
    const startedAt = clock.monotonic();
    const land = (result: () => void) => {
      if (flight !== current) return;
      result();
      attemptEndedAt = clock.monotonic();
      flight = undefined;
    };
    const done = Promise.resolve()
      .then(collect)
      .then(
        (value) =>
          land(() => {
            last = { value, at: startedAt };
            failure = undefined;
          }),
        (reason: unknown) =>
          land(() => {
            failure = { reason: reason ?? new Error('unknown') };
          }),
      );
    const current = { startedAt, done };
    return current;
  };

  /** True when it landed before the deadline. */
  const inTime = (awaited: Flight): Promise<boolean> =>
    new Promise((resolve) => {
      const leftMs = awaited.startedAt + deadlineMs - clock.monotonic();
      if (leftMs <= 0) return resolve(false);
      const cancel = clock.after(leftMs, () => resolve(false));
      const landed = () => {
        cancel();
        resolve(true);
      };
      void awaited.done.then(landed, landed);
    });

  return {
    read: async () => {
      const now = clock.monotonic();
      if (flight === undefined && now - attemptEndedAt < keepMs) return reading();
      if (flight === undefined || now - flight.startedAt > GIVE_UP_MS) flight = launch();
      return (await inTime(flight)) ? reading() : reading(new LateError('no answer in time'));
    },
  };
};

/** Whole seconds, as ages reach the wire. */
export const ageSeconds = (ageMs: number | null): number | null =>
  ageMs === null ? null : Math.max(0, Math.round(ageMs / 1000));
