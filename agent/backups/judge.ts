/** What became of one of our jobs, once its task has ended: done only with Proxmox's word and the archive in the storage. */
import type { Journal } from '#agent/ports/journal';
import type { BackupVolume, Proxmox } from '#agent/ports/proxmox';
import { type Clock, sleep } from '#shared/clock';
import type { Failure, Job } from './jobs.ts';
import type { LogFacts } from './log.ts';
import { archiveOf, outcomeOf, volidOf } from './outcome.ts';
import {
  ARCHIVE_MISSING,
  failureSentence,
  LISTING_UNKNOWN,
  LOG_UNKNOWN,
  LOG_UNREADABLE,
  STOPPED,
  TASK_LOST,
  warningForGuest,
} from './sentences.ts';
import type { TaskEnd } from './task.ts';

export interface JudgePorts {
  proxmox: Pick<Proxmox, 'backupVolumes'>;
  clock: Clock;
  journal: Journal;
  closing: AbortSignal;
}

const LISTING = { tries: 3, everyMs: 2000 };

/** Without an archive there is no data that was fixed. What was to be stopped and did not become a backup was stopped. */
export const failed = ({ failure: stop }: Job, failure: Failure, sentence: string): Partial<Job> => {
  const why =
    stop === 'cancelled' || stop === 'preempted' ? { failure: stop, error: STOPPED[stop] } : { failure, error: sentence };
  return { state: 'failed', ...why, consistencyPointAt: null, oneInstant: null };
};

export const createJudge = ({ proxmox, clock, journal, closing }: JudgePorts) => {
  /** Undefined: it is not there. */
  const findArchive = async (job: Job, name: string): Promise<BackupVolume | undefined | 'unknown'> => {
    let found: BackupVolume | undefined | 'unknown' = 'unknown';
    for (let tries = 1; tries <= LISTING.tries && !closing.aborted; tries += 1) {
      if (tries > 1) await sleep(clock, LISTING.everyMs, closing);
      try {
        found = archiveOf(await proxmox.backupVolumes(job.storage, job.vmid), job, name);
        if (found) return found;
      } catch (error) {
        const fields = { job: job.jobId, vmid: job.vmid, upid: job.upid, why: String(error) };
        journal('warning', 'The backup storage could not be listed.', fields);
      }
    }
    return found;
  };

  return async (job: Job, facts: LogFacts, { exitstatus, whole }: TaskEnd): Promise<Partial<Job>> => {
    if (exitstatus === undefined) return failed(job, 'task-lost', TASK_LOST);
    const outcome = outcomeOf(exitstatus, facts.lastLine);
    if (!outcome.ok) return failed(job, 'task-failed', failureSentence(facts, outcome.exitstatus));
    const found = await findArchive(job, facts.archive);
    if (found === undefined) return failed(job, 'archive-missing', ARCHIVE_MISSING);
    const warnings = facts.warnings.map(warningForGuest);
    if (warnings.length === 0 && outcome.warnings > 0) warnings.push(`Proxmox counted warnings: ${outcome.warnings}.`);
    if (found === 'unknown') warnings.push(LISTING_UNKNOWN);
    if (!whole) warnings.push(LOG_UNREADABLE);
    else if (facts.pointLine === null) warnings.push(LOG_UNKNOWN);
    const known = { state: 'done', failure: '', warnings } as const;
    if (found !== 'unknown') return { ...known, archive: found.volid, sizeBytes: found.sizeBytes };
    return { ...known, archive: facts.archive === '' ? '' : volidOf(job.storage, facts.archive) };
  };
};
