/** Readings that began after they were asked for: what decides over a drive must not be older than the question. */
import type { Clock } from '#shared/clock';
import { LateError } from './collector.ts';

interface Flight<T> {
  /** When it began: its place among all questions, and by the clock. */
  place: number;
  at: number;
  result: Promise<T>;
}

/**
 * One reading at a time, so that one that hangs costs one thread and no more. Who asks while one is under way waits for its end and shares
 * the next with all who wait. Nobody waits longer than the deadline; then, and at once while an earlier one is overdue, it rejects with LateError.
 */
export const createFreshReading = <Args extends unknown[], T>(
  clock: Clock,
  deadlineMs: number,
  read: (...args: Args) => Promise<T>,
): ((...args: Args) => Promise<T>) => {
  let questions = 0;
  let flight: Flight<T> | null = null;
  const late = () => new LateError(`no answer within ${deadlineMs / 1000} seconds`);

  const begin = (args: Args): Promise<T> => {
    questions += 1;
    const result = Promise.resolve()
      .then(() => read(...args))
      .finally(() => {
        flight = null;
      });
    flight = { place: questions, at: clock.monotonic(), result };
    return result;
  };

  const next = async (args: Args, place: number, waits: () => boolean): Promise<T> => {
    while (flight !== null && flight.place < place) await flight.result.catch(() => undefined);
    if (!waits()) throw late();
    return flight === null ? begin(args) : flight.result;
  };

  return (...args) => {
    questions += 1;
    const place = questions;
    if (flight !== null && clock.monotonic() - flight.at >= deadlineMs) return Promise.reject(late());
    return new Promise((resolve, reject) => {
      let waiting = true;
      const cancel = clock.after(deadlineMs, () => {
        waiting = false;
        reject(late());
      });
      next(args, place, () => waiting)
        .then(resolve, reject)
        .finally(cancel);
    });
  };
};
