/** Time since this start of the host: what was written down by an agent that ended is compared with it, whatever the wall clock does. */
import type { Clock } from '#shared/clock';
import { readBootId } from './boot-id.ts';

export interface BootTime {
  /** Of this start of the host. */
  bootId: string;
  /** Milliseconds since then, whole; does not run while the host sleeps. */
  ms(): number;
}

/** @param clock passes the time from now on; until now it is the kernel's (CLOCK_MONOTONIC, clock_gettime(2)) */
export const createBootTime = async (clock: Pick<Clock, 'monotonic'>): Promise<BootTime> => {
  const startedMs = Number(process.hrtime.bigint() / 1_000_000n) - clock.monotonic();
  return { bootId: await readBootId(), ms: () => Math.floor(startedMs + clock.monotonic()) };
};
