/** Deeds that may take longer than a call: whoever asks the same again joins the one that is under way, and hears how it ended. */
import { type Clock, waitAtMost } from '#shared/clock';
import { FelhomError } from '#shared/errors';

/** Every call answers within 10 s. */
const WAIT_MS = 9_000;
/** Nobody may have been told how it ended: then it is kept for whoever asks again. */
const KEEP_MS = 15 * 60_000;

interface Running<T> {
  promise: Promise<T>;
  endedAt: number | null;
  succeeded: boolean;
}

/**
 * @returns a function that starts a deed under its key, or joins it; rejects with `late()` while it has not ended in time. `holds`
 * says whether what was done is still so: another deed may have changed it since, and then it is done anew.
 */
export const createLate = <T>(clock: Clock) => {
  const deeds = new Map<string, Running<T>>();

  const begin = (key: string, act: () => Promise<T>): Running<T> => {
    const running: Running<T> = { promise: act(), endedAt: null, succeeded: false };
    const ended = () => {
      running.endedAt = clock.monotonic();
    };
    running.promise.then(() => {
      running.succeeded = true;
      ended();
    }, ended);
    deeds.set(key, running);
    return running;
  };

  const known = (key: string, holds: () => boolean): Running<T> | undefined => {
    for (const [other, { endedAt }] of deeds) if (endedAt !== null && clock.monotonic() - endedAt > KEEP_MS) deeds.delete(other);
    const running = deeds.get(key);
    return running?.succeeded && !holds() ? undefined : running;
  };

  return async (key: string, act: () => Promise<T>, late: () => FelhomError, holds: () => boolean): Promise<T> => {
    const running = known(key, holds) ?? begin(key, act);
    await waitAtMost(
      clock,
      WAIT_MS,
      running.promise.catch(() => undefined),
    );
    if (running.endedAt === null) throw late();
    if (deeds.get(key) === running) deeds.delete(key);
    return running.promise;
  };
};

export const stillAtWork = (what: string): FelhomError =>
  new FelhomError('drive-not-answering', `${what} It goes on: ask again in a minute to hear how it ended.`);
