/** Who wants to know of a job's changes. */
import type { Journal } from '#agent/ports/journal';
import type { Job } from './jobs.ts';

/** One that fails does not keep the others, or the job, from going on. */
export const createListeners = (journal: Journal) => {
  const listeners = new Set<(job: Job) => void>();
  return {
    add: (listener: (job: Job) => void): void => void listeners.add(listener),
    tell: (job: Job): void => {
      for (const listener of listeners) {
        try {
          listener(job);
        } catch (error) {
          journal('error', 'A change of a backup job could not be handed on.', { job: job.jobId, why: String(error) });
        }
      }
    },
  };
};
