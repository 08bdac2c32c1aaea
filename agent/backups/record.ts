/** What a guest's past jobs say to whoever decides when the next one is due: read once, then kept current in memory. */
import { believed } from '#agent/believed';
import type { Job, Jobs } from './jobs.ts';

export interface JobRecord {
  /** The data of the newest good backup, whosever it is, is no younger than this. */
  lastGoodAt: number | null;
  lastGood: Job | null;
  /** The newest start, ours or not; without those of others that failed, for they may come again and again. */
  lastStartAt: number | null;
  /**
   * Start of the newest one that answers the schedule: a good one that the guest did not ask for by itself, or one that somebody
   * cancelled. So nothing that a guest asks for ever stands in for a scheduled backup.
   */
  answeredAt: number | null;
  /** Ours that failed since the last good one, oldest first; stopped ones are among them. */
  failures: { startedAt: number; endedAt: number; failure: string }[];
  /** Starts by the guest outside an offer in the last 24 hours, newest last. */
  guestStarts: number[];
  /** From the start to the consistency point, median of the last three good ones; null when there is none. */
  holdExpectedMs: number | null;
}

const DAY_MS = 24 * 3600_000;
/** Jobs of a guest that are kept in memory. */
const LAST = 100;
const GOOD = 3;

const isGood = ({ state }: Job): boolean => state === 'done';
const isOthersFailure = ({ state, source }: Job): boolean => state === 'failed' && source === 'proxmox';
const isAnswer = (job: Job): boolean =>
  (isGood(job) && job.source !== 'guest') || (job.state === 'failed' && job.failure === 'cancelled');

/** Pure: `jobs` oldest first, in the order they were written, for the clock may have jumped. */
export const recordOf = (jobs: readonly Job[], now: number): JobRecord => {
  const good = jobs.filter(isGood);
  const lastGood = good.at(-1) ?? null;
  const since = jobs.slice(lastGood ? jobs.indexOf(lastGood) + 1 : 0);
  return {
    lastGood,
    lastGoodAt: lastGood && dataSince(lastGood),
    lastStartAt: jobs.findLast((job) => !isOthersFailure(job))?.createdAt ?? null,
    answeredAt: jobs.findLast(isAnswer)?.createdAt ?? null,
    failures: since
      .filter(({ state, source }) => state === 'failed' && source !== 'proxmox')
      .map(({ createdAt, finishedAt, failure }) => ({ startedAt: createdAt, endedAt: finishedAt ?? createdAt, failure })),
    guestStarts: jobs
      .filter(({ source, createdAt }) => source === 'guest' && createdAt > now - DAY_MS && believed(createdAt, now) !== null)
      .map(({ createdAt }) => createdAt),
    holdExpectedMs: median(good.slice(-GOOD).flatMap(holdOf)),
  };
};

/** The earlier of the two: a point may be read long after it was written, and the clock may be set back in between. */
const dataSince = ({ startedAt, createdAt, consistencyPointAt }: Job): number =>
  Math.min(startedAt ?? createdAt, consistencyPointAt ?? Number.POSITIVE_INFINITY);

const holdOf = ({ createdAt, consistencyPointAt }: Job): number[] =>
  consistencyPointAt !== null && consistencyPointAt >= createdAt ? [consistencyPointAt - createdAt] : [];

const median = (values: number[]): number | null => values.sort((a, b) => a - b)[Math.floor((values.length - 1) / 2)] ?? null;

export const createRecords = (jobs: Pick<Jobs, 'history'>) => {
  const loading = new Map<number, Promise<Job[]>>();

  /** Each guest's jobs are read once; a read that failed is tried again. */
  const load = (vmid: number): Promise<Job[]> => {
    const known = loading.get(vmid) ?? jobs.history(vmid, LAST).then((list) => list.map(slim));
    loading.set(vmid, known);
    known.catch(() => loading.delete(vmid));
    return known;
  };

  return {
    of: async (vmid: number, now: number): Promise<JobRecord> => recordOf(await load(vmid), now),
    newest: async (vmid: number): Promise<Job | null> => (await load(vmid)).at(-1) ?? null,
    /** Takes over a job's new state. */
    note: (job: Job): void => {
      load(job.vmid).then(
        (list) => upsert(list, slim(job)),
        () => {},
      );
    },
  };
};

/** Of fifty guests with a hundred jobs each, names of applications would be much of the agent's memory. */
const slim = (job: Job): Job => ({ ...job, intends: [], heldApps: null });

/** In place, so that whoever waits for the list sees it. */
const upsert = (list: Job[], job: Job): void => {
  const at = list.findIndex(({ jobId }) => jobId === job.jobId);
  if (at >= 0) list[at] = job;
  else list.push(job);
  if (list.length <= LAST) return;
  const kept = new Set(list.filter(isGood).slice(-GOOD));
  list.splice(0, list.length, ...list.filter((one, index) => kept.has(one) || index >= list.length - LAST));
};
