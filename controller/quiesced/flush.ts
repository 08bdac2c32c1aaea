/** Brings what was written to its disk, by sync(1): a program of its own, so that a disk that hangs does not hang us. */
import type { Place } from '#shared/quiesce/protocol';
import type { RunCommand } from './command.ts';

const SYNC = '/usr/bin/sync';

export const createFlush =
  (run: RunCommand) =>
  async (places: readonly Place[], timeoutMs: number, signal?: AbortSignal): Promise<void> => {
    const argv = [SYNC, '-f', '--', ...places.map(({ path }) => path)] as const;
    const { ok, timedOut, tail } = await run(argv, { timeoutMs, ...(signal ? { signal } : {}) });
    if (!ok) throw new Error(timedOut ? `it took longer than ${Math.round(timeoutMs / 1000)} s` : tail);
  };
