/**
 * How formats end: from what the program writes down, whether the agent that started it is still the same or not. What it did not bring
 * to its end is never gone on with.
 */
import { type Clock, repeat, sleep, waitAtMost } from '#shared/clock';
import { auditEntry } from '../../audit.ts';
import type { NewProblem, Problems } from '../../health/problems.ts';
import type { DriveFormat, FormatState } from '../../ports/drive-format.ts';
import type { Journal } from '../../ports/journal.ts';
import type { Statement, Store } from '../../ports/store.ts';
import type { Drive } from '../inventory/drive.ts';
import { isHardwareKey, keysOfFilesystem, namesOf, takenKey } from '../inventory/identity.ts';
import type { Current } from '../known/current.ts';
import type { Records } from '../known/records.ts';
import type { KeptJob } from './job-rows.ts';
import { hasWritten, type JobEnd, type Jobs } from './jobs.ts';
import { NOTHING } from './refusals.ts';

export interface FollowPorts {
  clock: Clock;
  journal: Journal;
  store: Pick<Store, 'write'>;
  driveFormat: Pick<DriveFormat, 'state' | 'forget'>;
  jobs: Jobs;
  records: Pick<Records, 'drives' | 'reborn' | 'remember'>;
  current: Pick<Current, 'fresh' | 'changed' | 'last'>;
  problems: Pick<Problems, 'raise' | 'clear' | 'list'>;
  /** Whether it has begun is being found out by whoever starts it. */
  isStarting: (jobId: string) => boolean;
}

const TICK_MS = 1_000;
/** udev looks at a drive when the program lets go of it: until then the host still takes it for what it was. */
const SETTLE_TRIES = 5;
const SETTLE_MS = 500;
const CLOSE_MS = 2_000;

type Seen = { state: FormatState; alive: boolean } | null;
type Verdict = { phase: string } | JobEnd;

const WHY_FAILED: Record<string, string> = {
  changed: 'The drive was exchanged, or did not stay what it was.',
  busy: 'Something else on the server took the drive.',
  locked: 'Something else on the server took the drive.',
  io: 'The drive could not be written: it may be failing, or its cable is loose.',
  mkfs: 'The file system could not be made.',
  leftovers: 'Something of what was on it before came through.',
};

const failed = (phase: string, why: string): JobEnd => {
  const after = hasWritten({ phase })
    ? 'What was on the drive is erased, and nothing on it can be used. Format it again; if it fails again, ask your operator.'
    : `${NOTHING} Try again.`;
  return { state: 'failed', phase, uuid: '', error: `${why} ${after}` };
};

const INTERRUPTED =
  'Formatting was interrupted: the server or the program stopped before its end. Nothing goes on by itself, and nothing on the drive can be used. Format it again.';

/** Seen writing, and not seen at its end. */
const isUnderWay = (job: Pick<KeptJob, 'phase'>): boolean => hasWritten(job) && job.phase !== 'ended';

/** Pure. */
export const judge = (job: Pick<KeptJob, 'phase'>, seen: Seen): Verdict => {
  // Its file may have been taken away by somebody while it was being written about.
  if (seen === null && isUnderWay(job)) return { state: 'interrupted', phase: job.phase, uuid: '', error: INTERRUPTED };
  if (seen === null) return failed('holding', 'Formatting did not begin.');
  const { state, alive } = seen;
  const { phase, outcome } = state;
  if (outcome?.ok === true) return { state: 'done', phase: 'ended', uuid: outcome.uuid, error: '' };
  if (outcome !== null) {
    // Its last phase is that it has ended; where nobody saw the one before, it had begun all the same.
    const reached = phase !== 'ended' ? phase : hasWritten(job) ? job.phase : 'wiping';
    return failed(reached, WHY_FAILED[outcome.code] ?? 'The program that formats drives failed.');
  }
  if (alive) return { phase };
  if (!hasWritten({ phase })) return failed(phase, 'Formatting did not begin.');
  return { state: 'interrupted', phase, uuid: '', error: INTERRUPTED };
};

export const createFollow = (ports: FollowPorts) => {
  const { clock, journal, store, driveFormat, jobs, records, current, problems } = ports;

  const driveOf = async ({ device, before }: KeptJob): Promise<Drive | undefined> => {
    const { drives } = await current.fresh([device]);
    return drives.find((drive) => drive.name === device && drive.device.diskseq === before.diskseq);
  };

  /** udev has finished with it, so that whoever asked can go on at once. */
  const isDescribed = ({ device }: Drive): boolean => {
    const udev = current.last()?.evidence.udev;
    return !udev?.known || namesOf(device).every((name) => udev.value.has(name));
  };

  /** Of the content that it had before, nothing is told of it any more. */
  const isSettled = ({ before }: KeptJob, drive: Drive | undefined): boolean =>
    drive === undefined ||
    (isDescribed(drive) && !drive.identity.keys.some((key) => !isHardwareKey(key) && before.keys.includes(key)));

  const settle = async (job: KeptJob): Promise<void> => {
    for (let tries = 1; tries <= SETTLE_TRIES; tries += 1) {
      const drive = await driveOf(job).catch(() => undefined);
      if (isSettled(job, drive)) return;
      await sleep(clock, SETTLE_MS);
    }
  };

  const audited = ({ jobId, vmid, device, drive }: KeptJob, { state, uuid, error, phase }: JobEnd): Statement =>
    auditEntry(clock, 'agent', `format-${state}`, { job: jobId, vmid, device, drive, uuid, phase, error });

  /** What it was known as is kept, now that the drive itself no longer shows it. */
  const keepRole = (job: KeptJob, end: JobEnd, along: readonly Statement[]): Promise<unknown> => {
    const { role } = job.before;
    if (!records.drives().some(({ id }) => id === job.drive)) return store.write(...along);
    const lasting =
      role === 'user-data' || !hasWritten(end) ? null : { role, why: `Formatting it (${job.jobId}) did not come to its end.` };
    return records.remember(job.drive, lasting, along);
  };

  const commit = (job: KeptJob, end: JobEnd) => async (statement: Statement) => {
    const along = [statement, audited(job, end)];
    if (end.state !== 'done') return keepRole(job, end, along);
    // It is the owner's from its first byte on: nobody has to look whether there are backups on it.
    const keysNow = [...keysOfFilesystem(job.fstype, end.uuid), ...takenKey(end.uuid)];
    return records.reborn(job.drive, { owner: job.owner, keysBefore: job.before.keys, keysNow }, along);
  };

  const wrongOf = (vmid: number, ended: readonly KeptJob[]): NewProblem => {
    const names = ended.map(({ device, model }) => `${device}${model === '' ? '' : ` (${model})`}`).join(', ');
    return {
      code: 'format-interrupted',
      vmid,
      sentence: `Formatting was interrupted, so nothing on this drive can be used: ${names}.`,
      evidence: ended.map(({ jobId, phase }) => `${jobId} in phase ${phase}`).join(', '),
      nextStep: 'Format the drive again. Nothing goes on by itself.',
    };
  };

  const tellProblems = (): void => {
    const broken = jobs.interrupted();
    const vmids = new Set(broken.map(({ vmid }) => vmid));
    for (const vmid of vmids)
      problems.raise(
        wrongOf(
          vmid,
          broken.filter((job) => job.vmid === vmid),
        ),
      );
    for (const { code, vmid } of problems.list())
      if (code === 'format-interrupted' && !vmids.has(vmid ?? 0)) problems.clear(code, vmid);
  };

  const conclude = async (job: KeptJob, end: JobEnd): Promise<void> => {
    // The program is done with the drive: it may be read again.
    jobs.setPhase(job.jobId, 'ended');
    if (end.state === 'done') await settle(job);
    await jobs.end(job.jobId, end, commit(job, end));
    journal(end.state === 'done' ? 'notice' : 'warning', `A format has ended: ${end.state}.`, {
      ...{ job: job.jobId, device: job.device, vmid: job.vmid, phase: end.phase, why: end.error },
    });
    current.changed();
    current.fresh([job.device]).catch(() => undefined);
    await driveFormat.forget(job.jobId);
  };

  const attend = async (job: KeptJob): Promise<void> => {
    const seen = await driveFormat.state(job.jobId);
    if (seen?.state.outcome?.ok === false)
      journal('warning', 'A format failed.', { job: job.jobId, code: seen.state.outcome.code, why: seen.state.outcome.why });
    const verdict = judge(job, seen);
    if ('state' in verdict) await conclude(job, verdict);
    else jobs.setPhase(job.jobId, verdict.phase);
  };

  const tick = async (): Promise<void> => {
    const running = jobs.running().filter(({ jobId }) => !ports.isStarting(jobId));
    for (const job of running)
      await attend(job).catch((cause: unknown) =>
        journal('error', 'How a format goes could not be found out, or not be written down. It is tried again.', {
          ...{ job: job.jobId, cause: String(cause) },
        }),
      );
    if (running.length > 0) tellProblems();
  };

  const closing = new AbortController();
  let ticking: Promise<void> = Promise.resolve();

  return {
    begin: (): void => {
      tellProblems();
      ticking = repeat(clock, TICK_MS, tick, closing.signal);
    },
    close: async (): Promise<void> => {
      closing.abort();
      await waitAtMost(clock, CLOSE_MS, ticking);
    },
  };
};
