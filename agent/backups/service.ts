/** Backups of guests: whether one is due, starting one, following it, and taking up after a restart. */
import { randomBytes, randomUUID } from 'node:crypto';
import type { AgentConfig } from '#agent/config';
import type { Journal } from '#agent/ports/journal';
import { forGuest, type Proxmox, type VzdumpRequest } from '#agent/ports/proxmox';
import type { Store } from '#agent/ports/store';
import type { TaskLog } from '#agent/ports/task-log';
import { createTurn } from '#agent/turn';
import { type Clock, sleep } from '#shared/clock';
import { FelhomError } from '#shared/errors';
import type { BackupDue, BackupStarted, BackupStatus, StartBackup, StatusQuery } from '#shared/wire/backups';
import { createCarrier } from './carry.ts';
import { decideDue, span, waitMs } from './due.ts';
import { createJobs, type Job, newJob } from './jobs.ts';
import { noteOf } from './outcome.ts';
import { startedView, statusView } from './view.ts';

export interface BackupPorts {
  store: Store;
  proxmox: Proxmox;
  taskLog: TaskLog;
  clock: Clock;
  journal: Journal;
  settings: () => AgentConfig['backup'];
}

export type Backups = ReturnType<typeof createBackups>;

const REQUEST_ID_MS = 7 * 24 * 3600_000;
const MAX_WAIT_SECONDS = 8;

export const createBackups = ({ store, proxmox, taskLog, clock, journal, settings }: BackupPorts) => {
  const jobs = createJobs(store);
  const closing = new AbortController();
  const news = createNews();
  const carried = new Set<Promise<void>>();
  const publish = (job: Job) => news.tell(job);
  const carrier = createCarrier({ proxmox, taskLog, clock, journal, jobs, publish, closing: closing.signal });

  const carry = (job: Job, request: VzdumpRequest | null): void => {
    const run = carrier(job, request)
      .catch((error: unknown) => journal('error', 'A backup job is no longer followed.', { job: job.jobId, why: String(error) }))
      .finally(() => carried.delete(run));
    carried.add(run);
  };

  /** Two starts at once never see the node idle both. */
  const inTurn = createTurn();

  /** The job that answers this request already; null when a new one may begin. */
  const answering = async (vmid: number, requestId: string | undefined): Promise<Job | null> => {
    const now = clock.now();
    const same = requestId === undefined ? null : await jobs.byRequest(vmid, requestId, now - REQUEST_ID_MS);
    if (same) return same;
    const running = await jobs.unfinished();
    const own = running.find((job) => job.vmid === vmid);
    if (own) return own;
    if (running.length > 0)
      throw new FelhomError('backup-slot-busy', "Another guest's backup is running on this host. Try again when it is done.");
    const previous = await jobs.newest(vmid);
    const wait = waitMs({ now, minIntervalMs: settings().minIntervalMs, lastStartAt: previous?.createdAt ?? null });
    if (wait > 0)
      throw new FelhomError(
        'backup-too-soon',
        `The last backup was started only a while ago. The next may start in ${span(wait)}.`,
      );
    return null;
  };

  const requireHere = async (vmid: number): Promise<void> => {
    const { guests } = await proxmox.resources().catch((error: unknown) => {
      throw forGuest(error);
    });
    const guest = guests.find((known) => known.vmid === vmid);
    if (!guest) throw new FelhomError('guest-not-found', 'Proxmox does not know this guest.');
    if (guest.node !== proxmox.node) throw new FelhomError('guest-elsewhere', 'This guest runs on another host.');
  };

  /** The intent is on disk before Proxmox is asked; the caller is answered before that. */
  const begin = async (vmid: number, requestId: string | null): Promise<Job> => {
    const { storage, mode, compress } = settings();
    const job = newJob({ jobId: randomUUID(), vmid, requestId, storage, createdAt: clock.now() });
    await jobs.insert(job);
    publish(job);
    carry(job, { vmid, storage, mode, compress, notes: noteOf(job) });
    return job;
  };

  const start = async (vmid: number, { request_id }: StartBackup): Promise<BackupStarted> => {
    const known = await inTurn(() => answering(vmid, request_id));
    if (known) return startedView(known);
    await requireHere(vmid);
    return startedView(await inTurn(async () => (await answering(vmid, request_id)) ?? begin(vmid, request_id ?? null)));
  };

  const due = async (vmid: number): Promise<BackupDue> => {
    const { maxAgeMs, minIntervalMs } = settings();
    const [running, good, newest] = await Promise.all([jobs.unfinished(), jobs.newestGood(vmid), jobs.newest(vmid)]);
    const runs = running.some((job) => job.vmid === vmid) ? 'here' : running.length > 0 ? 'elsewhere' : null;
    // The earlier of the two: a point may be read long after it was written, and the clock may be set back in between.
    const lastGoodAt = good && Math.min(good.startedAt ?? good.createdAt, good.consistencyPointAt ?? Number.POSITIVE_INFINITY);
    const facts = {
      now: clock.now(),
      maxAgeMs,
      minIntervalMs,
      lastGoodAt,
      lastStartAt: newest?.createdAt ?? null,
      runs,
    } as const;
    return { vmid, ...decideDue(facts) };
  };

  const status = async (vmid: number, { wait, after }: StatusQuery, signal: AbortSignal): Promise<BackupStatus> => {
    const seconds = Math.min(Number(wait ?? 0), MAX_WAIT_SECONDS);
    if (seconds > 0 && after === news.revision(vmid) && !closing.signal.aborted) {
      await news.next(vmid, signal, (stop) => sleep(clock, seconds * 1000, stop));
    }
    const stored = news.newest(vmid) ?? (await jobs.newest(vmid));
    return statusView(vmid, news.newest(vmid) ?? stored, news.revision(vmid));
  };

  /** Takes up what an earlier run of the agent left: each job ends with the truth, and nothing is asked of Proxmox twice. */
  const resume = async (): Promise<void> => {
    for (const job of await jobs.unfinished()) {
      journal('notice', 'Following a backup that was begun before the agent started.', { job: job.jobId, vmid: job.vmid });
      publish(job);
      carry(job, null);
    }
  };

  const close = async (): Promise<void> => {
    closing.abort();
    news.close();
    await Promise.race([Promise.allSettled(carried), sleep(clock, 1000)]);
  };

  return { due, start, status, resume, close };
};

/** The newest job of each guest that changed since the start, and who waits for a change. */
const createNews = () => {
  const epoch = randomBytes(6).toString('hex');
  const newest = new Map<number, Job>();
  const counts = new Map<number, number>();
  const waiting = new Map<number, Set<() => void>>();

  return {
    newest: (vmid: number): Job | null => newest.get(vmid) ?? null,
    revision: (vmid: number): string => `${epoch}.${counts.get(vmid) ?? 0}`,
    tell: (job: Job): void => {
      newest.set(job.vmid, job);
      counts.set(job.vmid, (counts.get(job.vmid) ?? 0) + 1);
      for (const wake of waiting.get(job.vmid) ?? []) wake();
    },
    /** Resolves at the guest's next change, when `signal` is aborted, or when `timeout` resolves. */
    next: async (vmid: number, signal: AbortSignal, timeout: (stop: AbortSignal) => Promise<void>): Promise<void> => {
      const stop = new AbortController();
      const wake = () => stop.abort();
      const waiters = waiting.get(vmid) ?? new Set();
      waiting.set(vmid, waiters.add(wake));
      signal.addEventListener('abort', wake, { once: true });
      if (!signal.aborted) await timeout(stop.signal);
      signal.removeEventListener('abort', wake);
      waiters.delete(wake);
    },
    close: (): void => {
      for (const waiters of waiting.values()) for (const wake of waiters) wake();
    },
  };
};
