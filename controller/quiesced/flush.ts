/** Brings what was written to its disk, by sync(1): a program of its own, so that a disk that hangs does not hang us. */
import type { Place } from '#shared/quiesce/protocol';
import type { RunCommand } from './command.ts';

const SYNC = '/usr/bin/sync';

export const createFlush =
  (run: RunCommand) =>
  async (places: readonly Place[], timeoutMs: number, signal?: AbortSignal): Promise<void> => {
    // The mount itself and not what lies there: as root it would open whatever the application's account has put in its place.
    const argv = [SYNC, '-f', '--', ...places.map(({ mount_point }) => mount_point)] as const;
    const { ok, timedOut, tail } = await run(argv, { timeoutMs, ...(signal ? { signal } : {}) });
    if (!ok) throw new Error(timedOut ? `it took longer than ${Math.round(timeoutMs / 1000)} s` : tail);
  };
