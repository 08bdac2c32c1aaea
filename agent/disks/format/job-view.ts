/** Formats on the wire. Pure. */
import { filesystemDurableId } from '#shared/durable-id';
import { timestamp } from '#shared/ids';
import { int } from '#shared/int';
import type { Formatted } from '#shared/wire/disks';
import type { FormatJob as WireJob } from '#shared/wire/jobs';
import type { FormatJob } from './format.ts';

const durableId = ({ uuid }: FormatJob): string => (uuid === '' ? '' : filesystemDurableId(uuid));

export const jobView = (job: FormatJob): WireJob => ({
  job_id: job.jobId,
  type: 'format',
  vmid: job.vmid,
  device: job.device,
  model: job.model,
  serial: job.serial,
  size_bytes: int(job.sizeBytes),
  fstype: job.fstype,
  state: job.state,
  phase: job.phase,
  permitted_by: job.permittedBy,
  op_id: job.opId,
  started_at: timestamp(job.startedAt),
  finished_at: job.finishedAt === null ? null : timestamp(job.finishedAt),
  durable_id: durableId(job),
  error: job.error,
});

/** Of one that is under way, or has come to its end. */
export const formattedView = (job: FormatJob): Formatted => ({
  vmid: job.vmid,
  device: job.device,
  formatted: job.state === 'done',
  data_bearing: false,
  reason:
    job.state === 'done'
      ? `The drive was formatted with ${job.fstype} and is empty.`
      : 'The drive is being formatted. It goes on by itself: ask again to hear how it ended.',
  job_id: job.jobId,
  durable_id: durableId(job),
});
