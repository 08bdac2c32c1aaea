/** vzdump runs that felhom did not start (the web interface, Proxmox's own jobs, the command line): seen, followed, and counted. */
import { randomUUID } from 'node:crypto';
import type { Journal } from '#agent/ports/journal';
import type { Proxmox } from '#agent/ports/proxmox';
import type { TaskIndex } from '#agent/ports/task-index';
import { parseUpid, type Upid } from '#agent/ports/upid';
import type { InTurn } from '#agent/turn';
import type { Clock } from '#shared/clock';
import type { Book } from './book.ts';
import { type ForeignFacts, NOTHING_FOREIGN, readForeignLine } from './foreign-log.ts';
import { foreignEnding } from './foreign-verdict.ts';
import { type Job, type Jobs, newJob } from './jobs.ts';
import type { createRecords } from './record.ts';
import type { TaskEnd, Tasks } from './task.ts';

export interface ForeignPorts {
  proxmox: Pick<Proxmox, 'node' | 'tokenName' | 'runningVzdump'>;
  taskIndex: Pick<TaskIndex, 'read'>;
  clock: Clock;
  journal: Journal;
  jobs: Pick<Jobs, 'ofTask'>;
  book: Book;
  records: Pick<ReturnType<typeof createRecords>, 'newest'>;
  follow: Tasks;
  /** Nothing begins while a run is taken over. */
  inTurn: InTurn;
  /** Keeps what goes on after the call. */
  background: (run: Promise<void>) => void;
}

/** Where the node's own list cannot be read Proxmox is asked, no more often than this. */
const ASK_MS = 60_000;

interface Seen extends Upid {
  upid: string;
  running: boolean;
}

export const createForeign = (ports: ForeignPorts) => {
  const { proxmox, taskIndex, clock, journal, jobs, book, records, follow, inTurn, background } = ports;
  const following = new Set<string>();
  /** Tasks that nothing more is to be learned from. */
  const settled = new Set<string>();
  let enrolled: readonly number[] = [];
  let askedAt = Number.NEGATIVE_INFINITY;

  const ask = async () => {
    if (clock.monotonic() - askedAt < ASK_MS) return [];
    askedAt = clock.monotonic();
    try {
      return (await proxmox.runningVzdump()).map(({ upid }) => ({ upid, running: true }));
    } catch (error) {
      journal('warning', 'It is not known whether Proxmox runs backups that felhom did not start.', { why: String(error) });
      return [];
    }
  };

  const vzdumpsHere = async (): Promise<Seen[]> =>
    ((await taskIndex.read()) ?? (await ask())).flatMap(({ upid, running }) => {
      const task = parseUpid(upid);
      return task?.type === 'vzdump' && task.node === proxmox.node ? [{ ...task, upid, running }] : [];
    });

  /** What one of our own intents may turn out to be is left to it. */
  const mayBeOurs = ({ user, id }: Seen): boolean =>
    user === proxmox.tokenName && book.running().some(({ upid, vmid }) => upid === '' && String(vmid) === id);

  /** An ended run counts if nothing newer is known of its guest. */
  const isNews = async ({ starttime, running }: Seen, vmid: number): Promise<boolean> => {
    if (running) return true;
    const newest = await records.newest(vmid);
    return newest === null || starttime * 1000 > newest.createdAt;
  };

  /** The guests that a task may be of: its own, or, as long as its log was not read, any. */
  const guestsOf = async (task: Seen): Promise<number[]> => {
    const may = enrolled.filter((vmid) => task.id === '' || task.id === String(vmid));
    const news = await Promise.all(may.map((vmid) => isNews(task, vmid)));
    return may.filter((_vmid, index) => news[index]);
  };

  const adopt = (task: Seen, vmid: number): Promise<Job | null> =>
    inTurn(async () => {
      if (!(await isNews(task, vmid))) return null;
      if ((await jobs.ofTask(task.upid)).some((job) => job.vmid === vmid)) return null;
      const createdAt = task.starttime * 1000;
      const job = newJob({
        ...{ jobId: randomUUID(), vmid, source: 'proxmox', requestId: null },
        ...{ storage: '', createdAt, configDigest: '', intends: [] },
      });
      journal('notice', 'A backup that felhom did not start was seen.', { job: job.jobId, vmid, upid: task.upid });
      return book.add({ ...job, state: 'running', upid: task.upid, startedAt: createdAt });
    });

  /** Follows one task; its guests become jobs as its log comes to them. */
  const carry = async (task: Seen, known: readonly Job[]): Promise<void> => {
    const adopted = new Map(known.map((job) => [job.vmid, job]));
    const tried = new Set<number>();
    let facts = NOTHING_FOREIGN;
    let adopting = Promise.resolve();

    const take = async (vmid: number): Promise<void> => {
      if (adopted.has(vmid) || !enrolled.includes(vmid)) return;
      const job = await adopt(task, vmid);
      if (job) adopted.set(vmid, job);
    };
    const notTaken = (error: unknown): void =>
      journal('warning', 'A backup that felhom did not start is not counted.', { upid: task.upid, why: String(error) });
    const takeSoon = (vmid: number): void => {
      if (tried.has(vmid)) return;
      tried.add(vmid);
      adopting = adopting.then(() => take(vmid)).catch(() => {});
    };
    const tell = (vmid: number | null): void => {
      const job = vmid === null ? undefined : adopted.get(vmid);
      const now = job && book.now(job);
      const mode = facts.sections.get(vmid ?? 0)?.log.mode ?? null;
      if (now && (now.mode !== mode || now.storage !== facts.storage)) book.change(now, { mode, storage: facts.storage });
    };

    if (task.id !== '') await take(Number(task.id));
    const ended = await follow({ upid: task.upid }, (line) => {
      facts = readForeignLine(facts, line);
      if (facts.current !== null && task.id === '') takeSoon(facts.current);
      tell(facts.current);
    });
    await adopting;
    if (ended === null) return;
    // One that cannot be taken over never keeps the others from their end.
    for (const vmid of facts.sections.keys()) if (task.id === '') await take(vmid).catch(notTaken);
    for (const job of adopted.values()) await end(task, job, facts, ended);
    settled.add(task.upid);
  };

  const end = async (task: Seen, job: Job, facts: ForeignFacts, ended: TaskEnd): Promise<void> => {
    const ending = foreignEnding({ job, facts, ended, single: task.id !== '', now: clock.now() });
    const { state, error, archive } = await book.end(job, { storage: facts.storage, ...ending });
    const fields = { job: job.jobId, vmid: job.vmid, upid: job.upid, exitstatus: ended.exitstatus ?? 'no such task' };
    if (state === 'failed') journal('warning', `A backup that felhom did not start failed: ${error}`, fields);
    else journal('info', 'A backup that felhom did not start is done.', { ...fields, archive });
  };

  const begin = (task: Seen, known: readonly Job[]): void => {
    following.add(task.upid);
    background(
      carry(task, known)
        .catch((error: unknown) =>
          journal('error', 'A backup that felhom did not start is not followed.', { upid: task.upid, why: String(error) }),
        )
        .finally(() => following.delete(task.upid)),
    );
  };

  return {
    watch: async (guests: readonly number[]): Promise<void> => {
      enrolled = guests;
      const seen = await vzdumpsHere();
      for (const upid of settled) if (!seen.some((task) => task.upid === upid)) settled.delete(upid);
      for (const task of seen) {
        if (settled.has(task.upid) || following.has(task.upid) || mayBeOurs(task)) continue;
        if (await book.knowsTask(task.upid)) settled.add(task.upid);
        else if ((await guestsOf(task)).length > 0) begin(task, []);
      }
    },
    /** Goes on with what an earlier run of the agent had taken over. */
    resume: (unfinished: readonly Job[]): void => {
      for (const upid of new Set(unfinished.map((job) => job.upid))) {
        const task = parseUpid(upid);
        const known = unfinished.filter((job) => job.upid === upid);
        if (task) begin({ ...task, upid, running: true }, known);
      }
    },
  };
};
