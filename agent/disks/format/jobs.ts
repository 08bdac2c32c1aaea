/** Formats, as every reader finds them: in memory, and durable before they are acted upon. */
import { type Clock, waitAtMost } from '#shared/clock';
import { timestamp } from '#shared/ids';
import { PHASES } from '../../drive-format/protocol.ts';
import type { Statement, Store } from '../../ports/store.ts';
import type { KernelDevice } from '../../ports/sysfs.ts';
import type { FormatMark } from '../inventory/marks.ts';
import type { FormatJob } from './format.ts';
import { endJob, type FormatRow, insertJob, jobOf, type KeptJob } from './job-rows.ts';

export interface JobPorts {
  store: Pick<Store, 'all' | 'write'>;
  clock: Clock;
}

export interface JobEnd {
  state: 'done' | 'failed' | 'interrupted';
  phase: string;
  uuid: string;
  error: string;
}

export interface Jobs {
  find(jobId: string): KeptJob | null;
  /** Newest first. */
  all(): readonly KeptJob[];
  running(): readonly KeptJob[];
  /** The newest of each drive that is being formatted now, or that a format spoilt and none has made good since. */
  marks(): readonly FormatMark[];
  /** Whether the program is at work on this plugging in of a drive. */
  isErasing(device: Pick<KernelDevice, 'name' | 'diskseq'>, bootId: string): boolean;
  /** Of those marks, jobs that were interrupted. */
  interrupted(): readonly KeptJob[];
  /** Durable, with `along`, when it resolves. */
  begin(job: KeptJob, along: readonly Statement[]): Promise<void>;
  /** In memory only: the program writes it down by itself. Nobody is told. */
  setPhase(jobId: string, phase: string): void;
  /** `commit` writes what it is given, with whatever else belongs to the end; where it rejects, nothing has ended. */
  end(jobId: string, end: JobEnd, commit: (statement: Statement) => Promise<unknown>): Promise<void>;
  wait(jobId: string, ms: number): Promise<KeptJob>;
  onChange(listener: (job: FormatJob) => void): void;
}

const KEEP_MS = 400 * 86_400_000;
/** Of those of one guest that are over: it may format its own drive again and again. */
const MOST_OVER = 500;

/** From then on something may have been written. */
export const hasWritten = ({ phase }: Pick<FormatJob, 'phase'>): boolean =>
  (PHASES as readonly string[]).indexOf(phase) >= PHASES.indexOf('wiping');

/** Never the later one of a drive alone: an earlier one that it made good would count again. */
const forgetOld = (now: number): Statement => ({
  sql: `DELETE FROM formats WHERE state != 'running' AND started_at < ? AND NOT EXISTS
    (SELECT 1 FROM formats AS earlier WHERE earlier.drive = formats.drive AND earlier.rowid < formats.rowid AND earlier.started_at >= ?)`,
  values: [now - KEEP_MS, now - KEEP_MS],
});

/** Those that may be forgotten, oldest first. */
const spareOf = (all: readonly KeptJob[], isSpare: (job: KeptJob) => boolean): KeptJob[] => {
  const kept = new Set<number>();
  return all.filter((job) => {
    const isGone = isSpare(job) && !kept.has(job.drive);
    if (!isGone) kept.add(job.drive);
    return isGone;
  });
};

const sentenceOf = ({ state, fstype, startedAt }: KeptJob): string => {
  if (state === 'running') return `It is being formatted with ${fstype}.`;
  const what = state === 'interrupted' ? 'was interrupted' : 'failed';
  return `Formatting it ${what} (${timestamp(startedAt)}), so nothing on it can be used. Format it again.`;
};

const markOf = (job: KeptJob): FormatMark => ({
  state: job.state === 'running' ? 'running' : 'broken',
  drive: job.drive,
  bootId: job.bootId,
  device: job.device,
  diskseq: job.before.diskseq,
  identity: job.before.identity,
  role: job.before.role,
  sentence: sentenceOf(job),
});

/** A drive has another record after each format that came to its end. */
const counts = (job: KeptJob): boolean =>
  job.state === 'running' || job.state === 'done' || job.state === 'interrupted' || hasWritten(job);

export const loadJobs = async ({ store, clock }: JobPorts): Promise<Jobs> => {
  await store.write(forgetOld(clock.now()));
  // As they began: a clock that was set back, or that a power cut has left without its time, tells another order.
  const rows = await store.all<FormatRow>('SELECT * FROM formats ORDER BY rowid');
  const jobs = new Map(rows.map((row) => [row.job_id, jobOf(row)]));
  const listeners = new Set<(job: FormatJob) => void>();
  let marked: readonly KeptJob[] = [];

  const mark = (): void => {
    const newest = new Map([...jobs.values()].filter(counts).map((job) => [job.drive, job]));
    marked = [...newest.values()].filter(({ state }) => state !== 'done');
  };
  mark();

  const running = () => marked.filter(({ state }) => state === 'running');

  const known = (jobId: string): KeptJob => {
    const job = jobs.get(jobId);
    if (job === undefined) throw new Error(`there is no format ${jobId}`);
    return job;
  };

  const change = (job: KeptJob): void => {
    jobs.set(job.jobId, job);
    mark();
    for (const listener of listeners) listener(job);
  };

  const ended = (jobId: string): Promise<void> =>
    new Promise((resolve) => {
      const look = (job: FormatJob): void => {
        if (job.jobId !== jobId || job.state === 'running') return;
        listeners.delete(look);
        resolve();
      };
      listeners.add(look);
      look(known(jobId));
    });

  return {
    find: (jobId) => jobs.get(jobId) ?? null,
    all: () => [...jobs.values()].reverse(),
    running,
    marks: () => marked.map(markOf),
    isErasing: ({ name, diskseq }, bootId) =>
      running().some(
        (job) => job.phase !== 'ended' && job.bootId === bootId && job.device === name && job.before.diskseq === diskseq,
      ),
    interrupted: () => marked.filter(({ state }) => state === 'interrupted'),
    begin: async (job, along) => {
      const all = [...jobs.values()];
      const old = all.filter((one) => one.vmid === job.vmid && one.state !== 'running' && !marked.includes(one));
      const spare = new Set(old.slice(0, -MOST_OVER));
      const over = spareOf(all, (one) => spare.has(one));
      const forget = over.map(({ jobId }) => ({ sql: 'DELETE FROM formats WHERE job_id = ?', values: [jobId] }));
      await store.write(insertJob(job), ...forget, ...along);
      for (const { jobId } of over) jobs.delete(jobId);
      change(job);
    },
    setPhase: (jobId, phase) => {
      jobs.set(jobId, { ...known(jobId), phase });
      mark();
    },
    end: async (jobId, end, commit) => {
      const job: KeptJob = { ...known(jobId), ...end, finishedAt: clock.now() };
      await commit(endJob(job));
      change(job);
    },
    wait: async (jobId, ms) => {
      if (ms > 0) await waitAtMost(clock, ms, ended(jobId));
      return known(jobId);
    },
    onChange: (listener) => {
      listeners.add(listener);
    },
  };
};
