/** Backups of guests: jobs are begun, followed to the truth, stopped, and taken up again after a restart. When is agent/duty's. */
import { randomUUID } from 'node:crypto';
import type { VzdumpRequest } from '#agent/ports/proxmox';
import { sleep } from '#shared/clock';
import { FelhomError } from '#shared/errors';
import type { BackupStatus, HeldAccepted, HeldReport, StatusQuery } from '#shared/wire/backups';
import { type Job, type JobSource, newJob, type StopReason } from './jobs.ts';
import type { Mode } from './log.ts';
import { noteOf } from './outcome.ts';
import { type BackupPorts, createParts } from './parts.ts';
import type { JobRecord } from './record.ts';
import { statusView } from './view.ts';

export interface NewBackup {
  vmid: number;
  requestId: string | null;
  source: JobSource;
  mode: Mode;
  configDigest: string;
  /** The applications that are to be consistent. */
  intends: string[];
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
  /** What a guest says of its applications at the consistency point of its job. On disk when it resolves. */
  reportHeld(vmid: number, jobId: string, report: HeldReport): Promise<HeldAccepted>;
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
  const { clock, journal, settings } = ports;
  const parts = createParts(ports);
  const { jobs, closing, news, records, book, carried, background, carrier, foreign } = parts;

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
    parts.inTurn(async () => {
      const { vmid, requestId, source, mode, configDigest, intends } = order;
      requireIdle(vmid);
      const { storage, compress } = settings();
      const jobId = randomUUID();
      const job = newJob({ jobId, vmid, source, requestId, storage, configDigest, intends, createdAt: clock.now() });
      await book.add(job);
      carry(job, { vmid, storage, mode, compress, notes: noteOf(job, ports.hostId) });
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
      const stopping = parts.stop(own, why);
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
    reportHeld: parts.held.report,
    cancel,
    watchForeign: foreign.watch,
    repairStaleLock: parts.repairStaleLock,
    onChange: parts.changed.add,
    onEnd: parts.ended.add,
    resume,
    close,
  };
};
