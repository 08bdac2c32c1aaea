/** Backup jobs and their rows. */
import type { SqlValue, Statement, Store } from '#agent/ports/store';
import type { Label } from '#shared/label';
import type { HeldApp } from '#shared/wire/backups';
import type { Mode } from './log.ts';

/**
 * `schedule`: an offer that the guest took. `agent`: run without the guest. `guest`: asked for outside an offer. `operator`: the
 * command line. `proxmox`: somebody else's vzdump, seen.
 */
export type JobSource = 'schedule' | 'agent' | 'guest' | 'operator' | 'proxmox';

/** Who had a job stopped: a person, or whoever wanted to start the guest. */
export type StopReason = 'cancelled' | 'preempted';

export type Failure = StopReason | 'never-started' | 'task-lost' | 'archive-missing' | 'task-failed' | 'refused';

/** Times are milliseconds since 1970. */
export interface Job {
  jobId: string;
  vmid: number;
  source: JobSource;
  requestId: string | null;
  /** `intent`: Proxmox was asked, or is about to be. */
  state: 'intent' | 'running' | 'done' | 'failed';
  storage: string;
  createdAt: number;
  upid: string;
  startedAt: number | null;
  consistencyPointAt: number | null;
  finishedAt: number | null;
  mode: Mode | null;
  label: Label | null;
  archive: string;
  sizeBytes: number | null;
  frozenMs: number | null;
  warnings: string[];
  error: string;
  /** Why it failed; of an unfinished one: why it is being stopped. Empty otherwise. */
  failure: Failure | '';
  /** Of the guest's configuration at the start; empty where that is not known. */
  configDigest: string;
  /** The applications that were to be consistent, and what the guest reported of them; null: nothing. */
  intends: string[];
  heldApps: HeldApp[] | null;
  /** Whether the log proves that all data was fixed in one instant; null before the consistency point. */
  oneInstant: boolean | null;
  /** Not kept: only the running task knows them. */
  progress: number | null;
  /** Guessed from the growth of the archive's file. */
  progressEstimated: boolean;
  etaSeconds: number | null;
}

/** A column for each field that is kept. */
const COLUMNS = {
  job_id: 'jobId',
  vmid: 'vmid',
  request_id: 'requestId',
  state: 'state',
  storage: 'storage',
  created_at: 'createdAt',
  upid: 'upid',
  started_at: 'startedAt',
  consistency_point_at: 'consistencyPointAt',
  finished_at: 'finishedAt',
  mode: 'mode',
  label: 'label',
  archive: 'archive',
  size_bytes: 'sizeBytes',
  frozen_ms: 'frozenMs',
  error: 'error',
  source: 'source',
  failure: 'failure',
  config_digest: 'configDigest',
  warnings: 'warnings',
  intends: 'intends',
  held_apps: 'heldApps',
  one_instant: 'oneInstant',
} as const satisfies Record<string, keyof Job>;
type Column = keyof typeof COLUMNS;
type Row = Record<Column, string | number | null>;

const NAMES = Object.keys(COLUMNS) as Column[];
const SELECT = `SELECT ${NAMES.join(', ')} FROM backup_jobs`;
/** In the order they were written: the clock may have jumped. */
const NEWEST = 'ORDER BY rowid DESC LIMIT 1';
/** The index leaves out rows without a task, and is used only where the question does so too. */
const OF_TASK = "upid = ? AND upid <> ''";
const UNFINISHED = "state IN ('intent', 'running')";

/** SQLite has neither lists nor booleans. */
const READ: Partial<Record<Column, (value: string | number) => unknown>> = {
  warnings: (json) => JSON.parse(String(json)),
  intends: (json) => JSON.parse(String(json)),
  held_apps: (json) => JSON.parse(String(json)),
  one_instant: (bit) => bit !== 0,
};

const jobOf = (row: Row): Job => {
  const read = (name: Column): unknown => (row[name] === null ? null : (READ[name]?.(row[name]) ?? row[name]));
  const fields = Object.fromEntries(NAMES.map((name) => [COLUMNS[name], read(name)])) as unknown as Job;
  return { ...fields, progress: null, progressEstimated: false, etaSeconds: null };
};

const written = (value: Job[keyof Job]): SqlValue => {
  if (typeof value === 'boolean') return Number(value);
  return Array.isArray(value) ? JSON.stringify(value) : value;
};
const valuesOf = (job: Job): SqlValue[] => NAMES.map((name) => written(job[COLUMNS[name]]));

type NewJob = Pick<Job, 'jobId' | 'vmid' | 'source' | 'requestId' | 'storage' | 'createdAt' | 'configDigest' | 'intends'>;

export const newJob = (facts: NewJob): Job => ({
  ...facts,
  state: 'intent',
  upid: '',
  startedAt: null,
  consistencyPointAt: null,
  finishedAt: null,
  mode: null,
  label: null,
  archive: '',
  sizeBytes: null,
  frozenMs: null,
  warnings: [],
  error: '',
  failure: '',
  heldApps: null,
  oneInstant: null,
  progress: null,
  progressEstimated: false,
  etaSeconds: null,
});

export type Jobs = ReturnType<typeof createJobs>;

export const createJobs = (store: Store) => {
  let lastWrite: Promise<unknown> = Promise.resolve();
  /** One after the other, so that an older state never overwrites a newer one. */
  const write = (...statements: Statement[]): Promise<void> => {
    const written = lastWrite.then(async () => void (await store.write(...statements)));
    lastWrite = written.catch(() => {});
    return written;
  };
  const select = async (rest: string, ...values: (string | number)[]): Promise<Job[]> =>
    (await store.all<Row>(`${SELECT} ${rest}`, values)).map(jobOf);

  return {
    /** Durable when it resolves. A request id that is used anew after its seven days lets go of its former job. */
    insert: (job: Job): Promise<void> =>
      write(
        {
          sql: 'UPDATE backup_jobs SET request_id = NULL WHERE vmid = ? AND request_id = ?',
          values: [job.vmid, job.requestId],
        },
        {
          sql: `INSERT INTO backup_jobs (${NAMES.join(', ')}) VALUES (${NAMES.map(() => '?').join(', ')})`,
          values: valuesOf(job),
        },
      ),
    /** With whatever is to be written along with it, or none of it. */
    save: (job: Job, ...along: Statement[]): Promise<void> =>
      write(
        {
          sql: `UPDATE backup_jobs SET ${NAMES.map((name) => `${name} = ?`).join(', ')} WHERE job_id = ?`,
          values: [...valuesOf(job), job.jobId],
        },
        ...along,
      ),
    unfinished: (): Promise<Job[]> => select(`WHERE ${UNFINISHED} ORDER BY rowid`),
    newest: async (vmid: number): Promise<Job | null> => (await select(`WHERE vmid = ? ${NEWEST}`, vmid))[0] ?? null,
    byId: async (vmid: number, jobId: string): Promise<Job | null> =>
      (await select('WHERE job_id = ? AND vmid = ?', jobId, vmid))[0] ?? null,
    byRequest: async (vmid: number, requestId: string, since: number): Promise<Job | null> =>
      (await select(`WHERE vmid = ? AND request_id = ? AND created_at >= ? ${NEWEST}`, vmid, requestId, since))[0] ?? null,
    /** The newest `last` jobs of a guest and its newest three good ones, oldest first. */
    history: (vmid: number, last: number): Promise<Job[]> =>
      select(
        `WHERE rowid IN (SELECT rowid FROM backup_jobs WHERE vmid = ? ORDER BY rowid DESC LIMIT ?)
          OR rowid IN (SELECT rowid FROM backup_jobs WHERE vmid = ? AND state = 'done' ORDER BY rowid DESC LIMIT 3)
        ORDER BY rowid`,
        ...[vmid, last, vmid],
      ),
    knowsTask: async (upid: string): Promise<boolean> => (await select(`WHERE ${OF_TASK} LIMIT 1`, upid)).length > 0,
    /** Several guests may share one task that is not ours. */
    ofTask: (upid: string): Promise<Job[]> => select(`WHERE ${OF_TASK} ORDER BY rowid`, upid),
  };
};
