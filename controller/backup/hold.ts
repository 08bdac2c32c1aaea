/** Why applications are let go: decided from one reading of the job, apart from doing it. Pure. */

import type { BackupStatus } from '#shared/wire/backups';

export const RELEASE_REASONS = {
  point: 'the data in the archive is fixed',
  suspend: 'the host backs up in suspend mode, where holding does not help',
  stop: 'the host backs up in stop mode, where holding does not help',
  ended: 'the backup ended without saying when its data was fixed',
  'job-gone': 'the host no longer knows this backup',
  deadline: 'the longest time to hold was reached',
  'agent-gone': 'the agent was not reachable for the rest of the time to hold',
  refused: 'the host did not start the backup',
  lapsed: 'the host keeps the backup slot no longer',
  stopping: 'the controller is stopping',
} as const;
export type ReleaseReason = keyof typeof RELEASE_REASONS;

/** Null: hold on. */
export const whyRelease = (status: BackupStatus, jobId: string): ReleaseReason | null => {
  if (status.job_id !== jobId || status.phase === 'idle') return 'job-gone';
  if (status.consistency_point_at !== null) return 'point';
  if (status.phase !== 'running') return 'ended';
  if (status.mode === 'suspend' || status.mode === 'stop') return status.mode;
  return null;
};
