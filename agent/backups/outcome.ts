/** How a task and its archive are judged. */
import type { BackupVolume, TaskRow } from '#agent/ports/proxmox';
import type { Job } from './jobs.ts';

export type Outcome = { ok: true; warnings: number } | { ok: false; exitstatus: string };

const of = (exitstatus: string): Outcome => {
  const warnings = /^WARNINGS: (\d+)$/.exec(exitstatus)?.[1];
  if (warnings !== undefined) return { ok: true, warnings: Number(warnings) };
  return exitstatus === 'OK' ? { ok: true, warnings: 0 } : { ok: false, exitstatus };
};

/**
 * The exit status is the truth. Only `unexpected status` may be one read too early (PVE/RESTEnvironment.pm writes the TASK
 * line of a task started from the command line after the worker has ended), so there the log's last line is asked.
 */
export const outcomeOf = (exitstatus: string, lastLine: string): Outcome => {
  if (exitstatus !== 'unexpected status') return of(exitstatus);
  const [, word = '', rest = ''] = /^TASK (OK|WARNINGS|ERROR)(?:: (.*))?$/.exec(lastLine) ?? [];
  if (word === 'OK') return of('OK');
  if (word === 'WARNINGS') return of(`WARNINGS: ${rest}`);
  return { ok: false, exitstatus: rest || exitstatus };
};

const jobNote = ({ jobId }: Pick<Job, 'jobId'>): string => `felhom job ${jobId}`;

/** What the archive carries, so that it can be told whose it is: hosts that share a storage may have guests of one number. */
export const noteOf = (job: Pick<Job, 'jobId'>, hostId: string): string => `${jobNote(job)} host ${hostId}`;

export const archiveOf = (volumes: readonly BackupVolume[], job: Job, name: string): BackupVolume | undefined =>
  volumes.find(({ volid }) => name !== '' && volid === volidOf(job.storage, name)) ??
  volumes.find(({ notes }) => notes.includes(jobNote(job)));

/** As vzdump names it (PVE/VZDump.pm, `$task->{volid}`). */
export const volidOf = (storage: string, name: string): string => `${storage}:backup/${name}`;

/** The clock of the intent and that of the task are one; a task's start is cut to whole seconds. */
const SKEW_SECONDS = 5;

/** Seconds since 1970; of an intent so many milliseconds since then. */
export const earliestStart = (intendedAt: number): number => Math.floor(intendedAt / 1000) - SKEW_SECONDS;

/** Tasks that may be what became of an intent: this token's vzdump of exactly this guest, not older than the intent. */
export const candidatesOf = (tasks: readonly TaskRow[], job: Job, tokenName: string, since: number): TaskRow[] =>
  tasks
    .filter(({ type, id, user }) => type === 'vzdump' && id === String(job.vmid) && user === tokenName)
    .filter(({ starttime }) => starttime >= since)
    .sort((a, b) => a.starttime - b.starttime);
