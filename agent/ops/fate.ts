/** What became of the drive of an operation: a signature may have been used up without a byte written. */
import type { FormatJob } from '../disks/format/format.ts';
import { hasWritten } from '../disks/format/jobs.ts';
import type { Op, Ops } from './op.ts';

/** `at-stake`: a format has been let loose on it and has not ended. */
export type Fate = 'as-it-was' | 'at-stake' | 'erased';

export interface FatePorts {
  ops: Pick<Ops, 'list'>;
  /** Null: long over. */
  job: (jobId: string) => Pick<FormatJob, 'state' | 'phase'> | null;
}

const afterJob = (job: ReturnType<FatePorts['job']>): Fate => {
  if (job?.state === 'running') return 'at-stake';
  return job?.state === 'failed' && !hasWritten(job) ? 'as-it-was' : 'erased';
};

/** Of all that was granted on the same drive. */
export const createFate =
  ({ ops, job }: FatePorts) =>
  ({ drive }: Pick<Op, 'drive'>): Fate => {
    const granted = ops.list().filter((op) => op.drive === drive && op.state === 'granted');
    const fates = granted.map(({ jobId }) => afterJob(job(jobId)));
    return fates.find((fate) => fate === 'erased') ?? fates.find((fate) => fate === 'at-stake') ?? 'as-it-was';
  };
