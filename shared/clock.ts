/** Time, as a port: tests run days in milliseconds. Each program brings its own real clock. */

export interface Clock {
  /** Wall time, milliseconds since 1970. May jump. */
  now(): number;
  /** Milliseconds since some start; never jumps. For durations and deadlines. */
  monotonic(): number;
  /** Calls once after `ms`; the returned function cancels. */
  after(ms: number, call: () => void): () => void;
}

/** Resolves after `ms`, or at once when `signal` is aborted. Never rejects. */
export const sleep = (clock: Clock, ms: number, signal?: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const done = () => {
      cancel();
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const cancel = clock.after(ms, done);
    signal?.addEventListener('abort', done, { once: true });
  });

/** Acts again and again, each time so long after the last has ended, until the signal is aborted. `act` never rejects. */
export const repeat = async (clock: Clock, ms: number, act: () => Promise<void>, signal: AbortSignal): Promise<void> => {
  while (!signal.aborted) {
    await act();
    await sleep(clock, ms, signal);
  }
};

/** Resolves when `work` has ended, or after `ms`; rejects where `work` does so first. */
export const waitAtMost = async (clock: Clock, ms: number, work: Promise<unknown>): Promise<void> => {
  const ended = new AbortController();
  await Promise.race([work.finally(() => ended.abort()), sleep(clock, ms, ended.signal)]);
};
