/** Formats for whoever asks after one. */
import { FelhomError } from '#shared/errors';
import type { FormatJob as WireJob } from '#shared/wire/jobs';
import { isSameInstance } from '../../guests/instance.ts';
import type { Claims } from '../known/ownership.ts';
import type { KeptJob } from './job-rows.ts';
import { jobView } from './job-view.ts';
import type { Jobs } from './jobs.ts';

export interface FormatsPorts {
  jobs: Pick<Jobs, 'find'>;
  claims: () => Pick<Claims, 'instances'>;
}

export const createFormats = ({ jobs, claims }: FormatsPorts) => {
  const known = (id: string, isMeant: (job: KeptJob) => boolean): WireJob => {
    const job = jobs.find(id);
    if (job === null || !isMeant(job)) throw new FelhomError('not-found', 'There is no such job.');
    return jobView(job);
  };
  return {
    /** Another guest's is not there, nor one of a former guest of that number. Throws `not-found`. */
    job: (vmid: number, id: string): WireJob =>
      known(id, ({ vmid: whose, owner }) => {
        const now = claims().instances.get(vmid);
        return whose === vmid && (now === undefined || isSameInstance(owner.instance, now));
      }),
    any: (id: string): WireJob => known(id, () => true),
  };
};
export type Formats = ReturnType<typeof createFormats>;
