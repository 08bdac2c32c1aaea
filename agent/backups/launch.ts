/** Asks Proxmox for one vzdump, once, and finds its task again when the answer is in doubt. */
import type { Journal } from '#agent/ports/journal';
import { type Proxmox, ProxmoxError, type TaskRow, type VzdumpRequest } from '#agent/ports/proxmox';
import { type Clock, sleep, waitAtMost } from '#shared/clock';
import type { Book } from './book.ts';
import type { Failure, Job } from './jobs.ts';
import { candidatesOf, earliestStart } from './outcome.ts';
import { NEVER_STARTED, refusalSentence } from './sentences.ts';

export interface LaunchPorts {
  proxmox: Pick<Proxmox, 'tokenName' | 'startVzdump' | 'vzdumpTasks'>;
  /** One pass over a container's file systems, so that Proxmox's own, with the guest frozen, has little left to write. */
  syncGuest: (vmid: number) => Promise<void>;
  clock: Clock;
  journal: Journal;
  book: Pick<Book, 'knowsTask'>;
  /** Aborted when the agent stops. */
  closing: AbortSignal;
}

/** The task, or why there is none. */
export type Launched = { upid: string; startedAt: number } | { failure: Failure; sentence: string };

/** pveproxy gives up on its daemon after 30 s while the work goes on: a task may appear that late. */
const SEARCH = { everyMs: 2000, forMs: 60_000 };
const AWAY_MS = 30_000;
/** The prechecks did the long one. */
const SYNC_MS = 2000;

export const createLaunch = ({ proxmox, syncGuest, clock, journal, book, closing }: LaunchPorts) => {
  const pause = (ms: number) => sleep(clock, ms, closing);
  const fieldsOf = ({ jobId, vmid }: Job, error: unknown) => ({ job: jobId, vmid, why: String(error) });

  /** Undefined: there is none. `begun` is monotonic: the wall clock may have been set back since the intent. */
  const findTask = async (job: Job, begun: number): Promise<TaskRow | undefined | null> => {
    const end = begun + SEARCH.forMs;
    while (!closing.aborted) {
      const last = clock.monotonic() >= end;
      const since = earliestStart(Math.min(job.createdAt, clock.now() - (clock.monotonic() - begun)));
      try {
        const tasks = await proxmox.vzdumpTasks(job.vmid, since);
        for (const task of candidatesOf(tasks, job, proxmox.tokenName, since))
          if (!(await book.knowsTask(task.upid))) return task;
        if (last) return undefined;
      } catch (error) {
        if (last) journal('warning', 'Proxmox cannot be asked what became of a backup.', fieldsOf(job, error));
      }
      await pause(last ? AWAY_MS : SEARCH.everyMs);
    }
    return null;
  };

  /** Looks for the task of an intent that was asked for `begun` ago at the latest. Null: the agent stops. */
  const retrieve = async (job: Job, begun = clock.monotonic()): Promise<Launched | null> => {
    const task = await findTask(job, begun);
    if (task === null) return null;
    if (!task) return { failure: 'never-started', sentence: NEVER_STARTED };
    return { upid: task.upid, startedAt: Math.max(job.createdAt, task.starttime * 1000) };
  };

  const syncSoon = (job: Job): Promise<void> => {
    const sync = syncGuest(job.vmid).catch((error: unknown) =>
      journal('warning', "A guest's file systems could not be synced.", fieldsOf(job, error)),
    );
    return waitAtMost(clock, SYNC_MS, sync);
  };

  /** Proxmox is not asked any more when the job is to be stopped by then. */
  const launch = async (job: Job, request: VzdumpRequest, wanted: () => boolean): Promise<Launched | null> => {
    if (request.mode !== 'stop') await syncSoon(job);
    if (closing.aborted) return null;
    if (!wanted()) return { failure: 'never-started', sentence: NEVER_STARTED };
    const begun = clock.monotonic();
    try {
      return { upid: await proxmox.startVzdump(request), startedAt: clock.now() };
    } catch (error) {
      journal('warning', 'Proxmox did not confirm a backup.', fieldsOf(job, error));
      if (error instanceof ProxmoxError && error.effect === 'never')
        return { failure: 'refused', sentence: refusalSentence(error) };
      return retrieve(job, begun);
    }
  };

  return { launch, retrieve };
};
