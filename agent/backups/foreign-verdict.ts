/** What became of one guest in a vzdump that is not ours, by Proxmox's word on that guest. */
import type { ForeignFacts, Section } from './foreign-log.ts';
import type { Failure, Job } from './jobs.ts';
import { outcomeOf, volidOf } from './outcome.ts';
import { failureSentence, TASK_LOST, warningForGuest } from './sentences.ts';
import type { TaskEnd } from './task.ts';

export interface ForeignEnd {
  job: Job;
  facts: ForeignFacts;
  ended: TaskEnd;
  /** Whether the task is of this guest alone. */
  single: boolean;
  now: number;
}

/** Of a task of several guests the exit status tells only that all went well; otherwise each has its own last line. */
const isDone = (section: Section | undefined, single: boolean, ok: boolean): boolean => {
  if (section?.verdict === 'failed') return false;
  return single ? ok : section !== undefined && (ok || section.verdict === 'finished');
};

/** Of one that ended unseen: when its last line says. */
const endOf = ({ job, ended, now }: ForeignEnd, section: Section | undefined): number =>
  ended.wasRunning ? now : Math.min(now, job.createdAt + (section?.seconds ?? 0) * 1000);

const bad = (failure: Failure, error: string): Partial<Job> => ({ state: 'failed', failure, error });

export const foreignEnding = (end: ForeignEnd): Partial<Job> => {
  const { job, facts, ended, single } = end;
  const section = facts.sections.get(job.vmid);
  const finishedAt = endOf(end, section);
  if (ended.exitstatus === undefined) return { finishedAt, ...bad('task-lost', TASK_LOST) };
  const outcome = outcomeOf(ended.exitstatus, facts.log.lastLine);
  const log = section?.log ?? facts.log;
  if (!isDone(section, single, outcome.ok))
    return { finishedAt, ...bad('task-failed', failureSentence(log, outcome.ok ? '' : outcome.exitstatus)) };
  const archive = facts.storage === '' || log.archive === '' ? '' : volidOf(facts.storage, log.archive);
  // Nobody knows what its applications were doing.
  return { finishedAt, state: 'done', label: 'crash', mode: log.mode, archive, warnings: log.warnings.map(warningForGuest) };
};
