/** Formats for whoever asks after one. */
import { FelhomError } from '#shared/errors';
import type { FormatJob as WireJob } from '#shared/wire/jobs';
import type { FormatJob } from './format.ts';
import { jobView } from './job-view.ts';
import type { Jobs } from './jobs.ts';

export const createFormats = (jobs: Pick<Jobs, 'find'>) => {
  const known = (id: string, isMeant: (job: FormatJob) => boolean): WireJob => {
    const job = jobs.find(id);
    if (job === null || !isMeant(job)) throw new FelhomError('not-found', 'There is no such job.');
    return jobView(job);
  };
  return {
    /** Another guest's is not there. Throws `not-found`. */
    job: (vmid: number, id: string): WireJob => known(id, (job) => job.vmid === vmid),
    any: (id: string): WireJob => known(id, () => true),
  };
};
export type Formats = ReturnType<typeof createFormats>;
