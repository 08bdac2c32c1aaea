/** The jobs under way, as they are now: in memory first, on disk as soon as it takes them, told to whoever listens. */
import type { Journal } from '#agent/ports/journal';
import type { Statement } from '#agent/ports/store';
import { type Clock, sleep, waitAtMost } from '#shared/clock';
import type { Job, Jobs } from './jobs.ts';

export interface BookPorts {
  jobs: Jobs;
  clock: Clock;
  journal: Journal;
  /** Called at every change, with the new state. */
  tell: (job: Job) => void;
  /** Called after the last one. */
  ended: (job: Job) => void;
  closing: AbortSignal;
}

export type Book = ReturnType<typeof createBook>;

const SAVE_RETRY_MS = 5000;
const SAVE_PATIENCE_MS = 2000;

export const createBook = ({ jobs, clock, journal, tell, ended, closing }: BookPorts) => {
  const open = new Map<string, Job>();
  /** Tasks that a job was seen to have, written or not. */
  const tasks = new Set<string>();
  const unsaved = new Map<string, Job>();
  /** Their last state is being written: nothing changes them any more. */
  const closed = new Set<string>();

  /** A full disk never ends a backup: what could not be written is tried again, unless a newer state was. */
  const keep = async (job: Job): Promise<void> => {
    unsaved.set(job.jobId, job);
    for (let tries = 1; unsaved.get(job.jobId) === job; tries += 1) {
      try {
        await jobs.save(job);
        if (unsaved.get(job.jobId) === job) unsaved.delete(job.jobId);
      } catch (error) {
        const fields = { job: job.jobId, vmid: job.vmid, upid: job.upid, why: String(error) };
        if (tries === 1) journal('error', 'A backup job could not be recorded.', fields);
        if (closing.aborted) return;
        await sleep(clock, SAVE_RETRY_MS, closing);
      }
    }
  };
  /** Goes on without the row where it cannot be written at once. */
  const keepSoon = (job: Job): Promise<void> => waitAtMost(clock, SAVE_PATIENCE_MS, keep(job));

  const put = (job: Job): Job => {
    if (job.upid !== '') tasks.add(job.upid);
    open.set(job.jobId, job);
    tell(job);
    return job;
  };

  return {
    /** A new one: on disk when this resolves. */
    add: async (job: Job): Promise<Job> => {
      await jobs.insert(job);
      return put(job);
    },
    /** One that an earlier run of the agent left. */
    take: put,
    /** Unfinished, oldest first. */
    running: (): readonly Job[] => [...open.values()],
    now: (job: Job): Job => open.get(job.jobId) ?? job,
    /** In memory; a job that has ended stays as it is. */
    change: (job: Job, change: Partial<Job>): Job => {
      const known = open.get(job.jobId);
      return known && !closed.has(job.jobId) ? put({ ...known, ...change }) : (known ?? job);
    },
    /** Writes its present state, and waits no longer than the disk takes when it is well. */
    keep: async (job: Job): Promise<void> => {
      const known = open.get(job.jobId);
      if (known && !closed.has(job.jobId)) await keepSoon(known);
    },
    /**
     * Changes it, and resolves when that is on disk with whatever is written along; what cannot be written is taken back.
     * False: its end is known, so nothing changes it any more.
     */
    record: async (job: Job, change: Partial<Job>, ...along: Statement[]): Promise<boolean> => {
      const known = open.get(job.jobId);
      if (!known || closed.has(job.jobId)) return false;
      const changed = put({ ...known, ...change });
      // An older state that still waits for room on the disk must not follow this one.
      unsaved.delete(job.jobId);
      try {
        await jobs.save(changed, ...along);
      } catch (error) {
        const now = open.get(job.jobId);
        const before = Object.fromEntries(Object.keys(change).map((key) => [key, known[key as keyof Job]]));
        if (now && !closed.has(job.jobId)) void keepSoon(put({ ...now, ...before }));
        throw error;
      }
      return true;
    },
    /** The row first: who is told of the end may start the next backup at once. */
    end: async (job: Job, ending: Partial<Job>): Promise<Job> => {
      const last: Job = { ...(open.get(job.jobId) ?? job), ...ending, finishedAt: ending.finishedAt ?? clock.now() };
      const done = { ...last, progress: null, progressEstimated: false, etaSeconds: null };
      closed.add(job.jobId);
      await keepSoon(done);
      closed.delete(job.jobId);
      open.delete(job.jobId);
      tell(done);
      ended(done);
      return done;
    },
    knowsTask: async (upid: string): Promise<boolean> => tasks.has(upid) || (await jobs.knowsTask(upid)),
  };
};
