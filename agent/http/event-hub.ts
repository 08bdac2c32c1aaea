/** What guests are told as it happens: the changes that the concepts publish, each to the guests it concerns. */
import type { BackupStatus, StatusQuery } from '#shared/wire/backups';
import type { GuestEvent } from '#shared/wire/events';
import type { Job } from '../backups/jobs.ts';
import { statusView } from '../backups/view.ts';
import type { Formatting } from '../disks/format/format.ts';
import { jobView } from '../disks/format/job-view.ts';
import type { Problem, ProblemChange } from '../health/problems.ts';
import { problemView } from '../health/view.ts';
import type { Caller, Send } from './routes.ts';

export interface EventSources {
  backups: {
    status(vmid: number, query: StatusQuery, signal: AbortSignal): Promise<BackupStatus>;
    onChange(listener: (job: Job) => void): void;
  };
  problems: {
    list(vmid: number): Problem[];
    onChange(listener: (change: ProblemChange) => void): void;
  };
  formats: Pick<Formatting, 'onChange'>;
}

interface Listener {
  guest: Caller;
  tell: (event: GuestEvent) => void;
}

export type EventHub = ReturnType<typeof createEventHub>;

const seesBackups = ({ scopes }: Caller): boolean => scopes.includes('backup');
const seesDrives = ({ scopes }: Caller): boolean => scopes.includes('disks:read');

/** A revision is for the long poll: events tell the news themselves. */
const withoutRevision = ({ revision: _, ...job }: BackupStatus) => job;

/** Of one thing only the newest counts. */
const subjectOf = (event: GuestEvent): string => {
  if (event.event === 'problem') return `problem ${event.data.problem.code} ${event.data.problem.vmid}`;
  return event.event === 'format' ? `format ${event.data.job_id}` : event.event;
};

export const createEventHub = ({ backups, problems, formats }: EventSources) => {
  const listeners = new Set<Listener>();

  const tellGuest = (vmid: number, may: (guest: Caller) => boolean, event: GuestEvent): void => {
    for (const { guest, tell } of listeners) if (guest.vmid === vmid && may(guest)) tell(event);
  };

  backups.onChange((job) =>
    tellGuest(job.vmid, seesBackups, { event: 'job', data: withoutRevision(statusView(job.vmid, job, '')) }),
  );

  formats.onChange((job) => tellGuest(job.vmid, seesDrives, { event: 'format', data: jobView(job) }));

  const archivesChanged = (vmid: number): void => tellGuest(vmid, seesBackups, { event: 'archives', data: { vmid } });
  const disksChanged = (vmid: number): void => tellGuest(vmid, seesDrives, { event: 'disks', data: { vmid } });

  const opsChanged = (vmid: number): void => tellGuest(vmid, seesDrives, { event: 'ops', data: { vmid } });

  problems.onChange(({ kind, problem }) => {
    const event: GuestEvent = { event: 'problem', data: { change: kind, problem: problemView(problem) } };
    for (const { guest, tell } of listeners) if (problem.vmid === null || problem.vmid === guest.vmid) tell(event);
  });

  const hello = async (guest: Caller, signal: AbortSignal): Promise<GuestEvent> => {
    const { vmid } = guest;
    const job = seesBackups(guest) ? withoutRevision(await backups.status(vmid, {}, signal)) : null;
    return { event: 'hello', data: { vmid, job, problems: problems.list(vmid).map(problemView) } };
  };

  /** Resolves when `signal` is aborted. What changes while the first event is made is told right after it. */
  const follow = async (guest: Caller, send: Send<GuestEvent>, signal: AbortSignal): Promise<void> => {
    const meanwhile = new Map<string, GuestEvent>();
    const listener: Listener = { guest, tell: (event) => void meanwhile.set(subjectOf(event), event) };
    listeners.add(listener);
    try {
      send(await hello(guest, signal));
      for (const event of meanwhile.values()) send(event);
      listener.tell = send;
      await aborted(signal);
    } finally {
      listeners.delete(listener);
    }
  };

  return { follow, archivesChanged, disksChanged, opsChanged };
};

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) return resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
