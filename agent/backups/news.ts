/** The newest job of each guest that changed since the start, and who waits for a change. */
import { randomBytes } from 'node:crypto';
import type { Clock } from '#shared/clock';
import type { Job } from './jobs.ts';

/** Between two long polls of the same caller. */
const ATTENTION_MS = 10_000;

export const createNews = (clock: Clock) => {
  const epoch = randomBytes(6).toString('hex');
  const newest = new Map<number, Job>();
  const counts = new Map<number, number>();
  const waiting = new Map<number, Set<() => void>>();
  const askedAt = new Map<number, number>();

  return {
    newest: (vmid: number): Job | null => newest.get(vmid) ?? null,
    revision: (vmid: number): string => `${epoch}.${counts.get(vmid) ?? 0}`,
    tell: (job: Job): void => {
      newest.set(job.vmid, job);
      counts.set(job.vmid, (counts.get(job.vmid) ?? 0) + 1);
      for (const wake of waiting.get(job.vmid) ?? []) wake();
    },
    /** Somebody looks at this guest's backup. */
    noteAsked: (vmid: number): void => {
      askedAt.set(vmid, clock.monotonic());
    },
    isAwaited: (vmid: number): boolean =>
      (waiting.get(vmid)?.size ?? 0) > 0 || clock.monotonic() - (askedAt.get(vmid) ?? Number.NEGATIVE_INFINITY) < ATTENTION_MS,
    /** Resolves at the guest's next change, when `signal` is aborted, or when `timeout` resolves. */
    next: async (vmid: number, signal: AbortSignal, timeout: (stop: AbortSignal) => Promise<void>): Promise<void> => {
      const stop = new AbortController();
      const wake = () => stop.abort();
      const waiters = waiting.get(vmid) ?? new Set();
      waiting.set(vmid, waiters.add(wake));
      signal.addEventListener('abort', wake, { once: true });
      if (!signal.aborted) await timeout(stop.signal);
      signal.removeEventListener('abort', wake);
      waiters.delete(wake);
    },
    close: (): void => {
      for (const waiters of waiting.values()) for (const wake of waiters) wake();
    },
  };
};
