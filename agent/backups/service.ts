/** Backups of guests: jobs are begun, followed to the truth, stopped, and taken up again after a restart. When is agent/duty's. */
import { randomUUID } from 'node:crypto';
import type { AgentConfig } from '#agent/config';
import type { Problems } from '#agent/health/problems';
import type { RunCommand } from '#agent/ports/command';
import type { GuestCgroup } from '#agent/ports/guest-cgroup';
import type { Journal } from '#agent/ports/journal';
import type { Leftovers } from '#agent/ports/leftovers';
import type { Proxmox, VzdumpRequest } from '#agent/ports/proxmox';
import type { Store } from '#agent/ports/store';
import type { TaskIndex } from '#agent/ports/task-index';
import type { TaskLog } from '#agent/ports/task-log';
import { parseUpid } from '#agent/ports/upid';
import { createTurn } from '#agent/turn';
import { type Clock, sleep } from '#shared/clock';
import { FelhomError } from '#shared/errors';
import type { BackupStatus, StatusQuery } from '#shared/wire/backups';
import { createAudit } from './audit.ts';
import { createBook } from './book.ts';
import { createCarrier } from './carry.ts';
import { createCleanUp } from './clean-up.ts';
import { createEstimate } from './estimate.ts';
import { createForeign } from './foreign.ts';
import { createFreeze } from './freeze.ts';
import { createJobs, type Job, type JobSource, newJob, type StopReason } from './jobs.ts';
import { createJudge } from './judge.ts';
import { createLaunch } from './launch.ts';
import type { Mode } from './log.ts';
import { createNews } from './news.ts';
import { noteOf } from './outcome.ts';
import { createPreempt } from './preempt.ts';
import { createRecords, type JobRecord } from './record.ts';
import { createStaleLock } from './stale-lock.ts';
import { createTasks } from './task.ts';
import { statusView } from './view.ts';

export interface BackupPorts {
  store: Store;
  proxmox: Proxmox;
  taskLog: TaskLog;
  taskIndex: TaskIndex;
  cgroup: Pick<GuestCgroup, 'frozen' | 'thaw'>;
  /** One pass over a running container's file systems; nothing for any other guest. */
  syncGuest: (vmid: number) => Promise<void>;
  run: RunCommand<'flock'>;
  leftovers: Pick<Leftovers, 'remove'>;
  /** Bytes of a file; null when there is none. */
  fileSize: (path: string) => Promise<number | null>;
  /** vzdump's, one for the node. */
  lockFile: string;
  problems: Pick<Problems, 'raise' | 'clear'>;
  clock: Clock;
  journal: Journal;
  settings: () => Pick<AgentConfig['backup'], 'storage' | 'compress' | 'startPreempts'>;
}

export interface NewBackup {
  vmid: number;
  requestId: string | null;
  source: JobSource;
  mode: Mode;
  configDigest: string;
}

export interface Backups {
  /** The intent is on disk before Proxmox is asked. Refused while any job of this node is under way, ours or not. */
  begin(order: NewBackup): Promise<Job>;
  /** The job that answered this request id within seven days. */
  byRequest(vmid: number, requestId: string): Promise<Job | null>;
  /** Unfinished jobs, oldest first; from memory. */
  running(): readonly Job[];
  record(vmid: number): Promise<JobRecord>;
  status(vmid: number, query: StatusQuery, signal: AbortSignal): Promise<BackupStatus>;
  /** Stops the guest's job, if it is ours. Survives a restart of the agent; a backup that was done by then is done. */
  cancel(vmid: number, why: StopReason): Promise<Job>;
  /** Looks for vzdump runs that are not ours and takes those of enrolled guests as jobs. */
  watchForeign(enrolled: readonly number[]): Promise<void>;
  /** Removes a left-over `lock: backup`; answers whether it did. */
  repairStaleLock(vmid: number): Promise<boolean>;
  onChange(listener: (job: Job) => void): void;
  /** Called once the end is written, or cannot be. */
  onEnd(listener: (job: Job) => void): void;
  /** Takes up what an earlier run of the agent left: each job ends with the truth, and nothing is asked of Proxmox twice. */
  resume(): Promise<void>;
  close(): Promise<void>;
}

const REQUEST_ID_MS = 7 * 24 * 3600_000;
const MAX_WAIT_SECONDS = 8;

export const createBackups = (ports: BackupPorts): Backups => {
  const { store, proxmox, taskLog, taskIndex, clock, journal, problems, settings } = ports;
  const jobs = createJobs(store);
  const closing = new AbortController();
  const news = createNews(clock);
  const records = createRecords(jobs);
  const audit = createAudit(store, clock);
  const changed = createListeners(journal);
  const ended = createListeners(journal);
  /** Two starts at once never see the node idle both. */
  const inTurn = createTurn();

  const tell = (job: Job): void => {
    news.tell(job);
    records.note(job);
    changed.tell(job);
  };
  const book = createBook({ jobs, clock, journal, tell, ended: ended.tell, closing: closing.signal });

  const carried = new Set<Promise<void>>();
  const background = (run: Promise<void>): void => {
    carried.add(run);
    void run.finally(() => carried.delete(run));
  };

  const isBusy = async (vmid: number): Promise<boolean> =>
    ((await taskIndex.read()) ?? []).some(({ upid, running }) => {
      const task = running ? parseUpid(upid) : null;
      const mayTouch = task?.id === String(vmid) || (task?.type === 'vzdump' && task.id === '');
      return mayTouch && !book.running().some((job) => job.upid === upid);
    });
  const lastSize = async (vmid: number) => (await records.of(vmid, clock.now())).lastGood?.sizeBytes ?? null;
  const stop = (job: Job, why: StopReason): Job => {
    const known = book.now(job);
    const stopping = known.failure === '' ? book.change(known, { failure: why }) : known;
    carrier.stop(stopping);
    return stopping;
  };

  const shared = { proxmox, clock, journal, closing: closing.signal };
  const follow = createTasks({ ...shared, taskLog });
  const carrier = createCarrier({
    ...{ ...shared, problems, book, follow },
    launcher: createLaunch({ ...shared, book, syncGuest: ports.syncGuest }),
    judge: createJudge(shared),
    freeze: createFreeze({ clock, journal, problems, audit, isBusy, cgroup: ports.cgroup }),
    cleanUp: createCleanUp({ proxmox, journal, leftovers: ports.leftovers }),
    companions: [
      createPreempt({ taskIndex, clock, isAllowed: () => settings().startPreempts, stop }),
      createEstimate({ proxmox, clock, fileSize: ports.fileSize, isAwaited: news.isAwaited, lastSize }),
    ],
  });
  const foreign = createForeign({ ...shared, taskIndex, jobs, book, records, follow, inTurn, background });
  const repairStaleLock = createStaleLock({
    ...{ store, proxmox, taskIndex, clock, journal, audit },
    run: ports.run,
    lockFile: ports.lockFile,
    isBusy: () => book.running().length > 0,
  });

  const carry = (job: Job, request: VzdumpRequest | null): void =>
    background(
      carrier.carry(job, request).catch((error: unknown) => {
        journal('error', 'A backup job is no longer followed.', { job: job.jobId, why: String(error) });
      }),
    );

  const requireIdle = (vmid: number): void => {
    const running = book.running();
    if (running.length === 0) return;
    const own = running.some((job) => job.vmid === vmid);
    const whose = own ? 'A backup of this guest' : "Another guest's backup";
    throw new FelhomError('backup-slot-busy', `${whose} is running on this host. Try again when it is done.`);
  };

  const begin = (order: NewBackup): Promise<Job> =>
    inTurn(async () => {
      const { vmid, requestId, source, mode, configDigest } = order;
      requireIdle(vmid);
      const { storage, compress } = settings();
      const jobId = randomUUID();
      const job = newJob({ jobId, vmid, source, requestId, storage, configDigest, createdAt: clock.now() });
      await book.add(job);
      carry(job, { vmid, storage, mode, compress, notes: noteOf(job) });
      return job;
    });

  const status = async (vmid: number, { wait, after }: StatusQuery, signal: AbortSignal): Promise<BackupStatus> => {
    const seconds = Math.min(Number(wait ?? 0), MAX_WAIT_SECONDS);
    news.noteAsked(vmid);
    if (seconds > 0 && after === news.revision(vmid) && !closing.signal.aborted) {
      await news.next(vmid, signal, (stopped) => sleep(clock, seconds * 1000, stopped));
    }
    const stored = news.newest(vmid) ?? (await jobs.newest(vmid));
    return statusView(vmid, news.newest(vmid) ?? stored, news.revision(vmid));
  };

  const cancel = async (vmid: number, why: StopReason): Promise<Job> => {
    const running = book.running().filter((job) => job.vmid === vmid);
    const own = running.find(({ source }) => source !== 'proxmox');
    if (own) {
      const stopping = stop(own, why);
      await book.keep(stopping);
      return book.now(stopping);
    }
    throw new FelhomError(
      'not-found',
      running.length > 0
        ? 'The backup of this guest that is running was not started by felhom. Stop it in Proxmox, in its list of tasks.'
        : 'No backup of this guest is running.',
    );
  };

  const resume = async (): Promise<void> => {
    const unfinished = (await jobs.unfinished()).map(book.take);
    for (const { jobId, vmid } of unfinished)
      journal('notice', 'Following a backup that was begun before the agent started.', { job: jobId, vmid });
    for (const job of unfinished) if (job.source !== 'proxmox') carry(job, null);
    foreign.resume(unfinished.filter(({ source }) => source === 'proxmox'));
  };

  const close = async (): Promise<void> => {
    closing.abort();
    news.close();
    await Promise.race([Promise.allSettled(carried), sleep(clock, 1000)]);
  };

  return {
    begin,
    byRequest: (vmid, requestId) => jobs.byRequest(vmid, requestId, clock.now() - REQUEST_ID_MS),
    running: book.running,
    record: (vmid) => records.of(vmid, clock.now()),
    status,
    cancel,
    watchForeign: foreign.watch,
    repairStaleLock,
    onChange: changed.add,
    onEnd: ended.add,
    resume,
    close,
  };
};

/** One that fails does not keep the others, or the job, from going on. */
const createListeners = (journal: Journal) => {
  const listeners = new Set<(job: Job) => void>();
  return {
    add: (listener: (job: Job) => void): void => void listeners.add(listener),
    tell: (job: Job): void => {
      for (const listener of listeners) {
        try {
          listener(job);
        } catch (error) {
          journal('error', 'A change of a backup job could not be handed on.', { job: job.jobId, why: String(error) });
        }
      }
    },
  };
};
