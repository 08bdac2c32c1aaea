/** A job as the wire shows it. */
import { timestamp } from '#shared/ids';
import { int } from '#shared/int';
import type { BackupStarted, BackupStatus } from '#shared/wire/backups';
import type { Job } from './jobs.ts';

const PHASE = { intent: 'running', running: 'running', done: 'done', failed: 'failed' } as const;

const time = (ms: number | null): string | null => (ms === null ? null : timestamp(ms));

export const startedView = ({ vmid, jobId, state }: Job): BackupStarted => ({ vmid, job_id: jobId, phase: PHASE[state] });

export const statusView = (vmid: number, job: Job | null, revision: string): BackupStatus => ({
  vmid,
  phase: job ? PHASE[job.state] : 'idle',
  job_id: job?.jobId ?? '',
  error: job?.error ?? '',
  revision,
  consistency_point_at: time(job?.consistencyPointAt ?? null),
  mode: job?.mode ?? null,
  progress: job?.progress ?? null,
  progress_estimated: job?.progressEstimated ?? false,
  eta_seconds: int(job?.etaSeconds),
  frozen_seconds: int(job?.frozenMs == null ? null : job.frozenMs / 1000),
  upid: job?.upid ?? '',
  archive: job?.archive ?? '',
  size_bytes: int(job?.sizeBytes),
  started_at: time(job?.startedAt ?? null),
  finished_at: time(job?.finishedAt ?? null),
  warnings: job?.warnings ?? [],
  label: job?.label ?? null,
  one_instant: job?.oneInstant ?? null,
  intends: job?.intends ?? [],
  apps: job?.heldApps ?? null,
});
