/** Every way in which a backup begins: a guest's request, the operator's, and the agent's own. */
import type { Job, JobSource } from '#agent/backups/jobs';
import { startedView } from '#agent/backups/view';
import { createTurn } from '#agent/turn';
import { sleep } from '#shared/clock';
import { FelhomError } from '#shared/errors';
import type { BackupStarted, StartBackup } from '#shared/wire/backups';
import type { Checks, Passed } from './checks.ts';
import { createLimits } from './limits.ts';
import type { Looks } from './looks.ts';
import type { DutyPorts } from './ports.ts';
import { refusalError } from './refusal.ts';
import type { Slot } from './slot.ts';
import { ELSEWHERE, OTHERS_TURN, type Turns } from './turns.ts';

const START_PATIENCE_MS = 8000;

/** What a guest adds to its request. */
type Wish = Pick<Job, 'requestId' | 'intends'>;
/** Nobody in the guest takes part. */
const NO_WISH: Wish = { requestId: null, intends: [] };

export interface StartParts extends Pick<DutyPorts, 'backups' | 'problems' | 'clock' | 'journal'> {
  looks: Pick<Looks, 'take'>;
  checks: Pick<Checks, 'run'>;
  slot: Pick<Slot, 'offer'>;
  turns: Pick<Turns, 'isAnyWaiting'>;
  enrolled: () => readonly number[];
  /** Nothing that was known of the guest's turn holds any more. */
  settle: (vmid: number) => void;
}

export type Starts = ReturnType<typeof createStarts>;

export const createStarts = (parts: StartParts) => {
  const { backups, problems, clock, journal, looks, checks, slot, turns, enrolled, settle } = parts;
  const limits = createLimits(clock);
  /** Two starts at once never see the slot free both. */
  const inTurn = createTurn();

  const runningOf = (vmid: number): Job | undefined => backups.running().find((job) => job.vmid === vmid);

  const notYourTurn = () => new FelhomError('backup-slot-busy', `${OTHERS_TURN} Try again in a few minutes.`);
  const requireFree = (vmid: number): void => {
    const offer = slot.offer();
    if (backups.running().length > 0) throw new FelhomError('backup-slot-busy', `${ELSEWHERE} Try again when it is done.`);
    if (offer !== null && offer.vmid !== vmid) throw notYourTurn();
  };

  /** Not longer ago than a minute. */
  const passed = async (vmid: number): Promise<Passed> => {
    const verdict = await checks.run(vmid);
    if (verdict.ok) return verdict;
    throw refusalError(verdict);
  };

  /** Whoever asks over the wire waits no longer than for any answer; the check goes on. */
  const passedSoon = async (vmid: number): Promise<Passed> => {
    const answered = new AbortController();
    const late = sleep(clock, START_PATIENCE_MS, answered.signal).then(() => {
      throw new FelhomError(
        'backup-not-possible',
        'It is still being checked whether a backup can start. Try again in a minute.',
      );
    });
    return Promise.race([passed(vmid), late]).finally(() => answered.abort());
  };

  const begin = async (verdict: Passed, source: JobSource, { requestId, intends }: Wish): Promise<Job> => {
    const { guest, mode, configDigest, warnings } = verdict;
    const { vmid } = guest;
    const job = await backups.begin({ vmid, requestId, source, mode, configDigest, intends });
    if (source === 'guest') limits.started(vmid);
    if (source === 'schedule') problems.clear('guest-absent', vmid);
    settle(vmid);
    for (const warning of warnings) journal('warning', warning, { vmid, job: job.jobId });
    return job;
  };

  /** The job that answers a request already, or as what a new one counts. */
  const answering = async (vmid: number, requestId: string | undefined): Promise<{ job: Job } | { source: JobSource }> => {
    const same = requestId === undefined ? null : await backups.byRequest(vmid, requestId);
    const job = same ?? runningOf(vmid);
    if (job) return { job };
    requireFree(vmid);
    const { decision, record, sinceStartMs, rules } = await looks.take(vmid);
    if (decision.due || slot.offer()?.vmid === vmid) return { source: 'schedule' };
    limits.require(vmid, { recorded: record.guestStarts.length, sinceStartMs, minIntervalMs: rules.minIntervalMs });
    // An extra one may take hours: whoever waits for a due one comes first.
    if (turns.isAnyWaiting()) throw notYourTurn();
    return { source: 'guest' };
  };

  const start = async (vmid: number, { request_id, intends = [] }: StartBackup): Promise<BackupStarted> => {
    const known = await inTurn(() => answering(vmid, request_id));
    if ('job' in known) return startedView(known.job);
    const verdict = await passedSoon(vmid);
    const wish = { requestId: request_id ?? null, intends: [...new Set(intends)] };
    return inTurn(async () => {
      const now = await answering(vmid, request_id);
      return startedView('job' in now ? now.job : await begin(verdict, now.source, wish));
    });
  };

  /** For the operator: what must hold must hold, but nothing is too early. */
  const run = async (vmid: number): Promise<BackupStarted> => {
    if (!enrolled().includes(vmid))
      throw new FelhomError('guest-not-enrolled', `Guest ${vmid} is not enrolled. "felhom-agent guest list" shows who is.`);
    const early = runningOf(vmid);
    if (early !== undefined) return startedView(early);
    requireFree(vmid);
    const verdict = await passed(vmid);
    return inTurn(async () => {
      const job = runningOf(vmid);
      if (job !== undefined) return startedView(job);
      requireFree(vmid);
      return startedView(await begin(verdict, 'operator', NO_WISH));
    });
  };

  /** Without the guest, if it is still due and nobody has the slot. */
  const fallBack = (verdict: Passed, why: string): Promise<void> =>
    inTurn(async () => {
      const { vmid, status } = verdict.guest;
      const { decision } = await looks.take(vmid);
      if (!decision.due || backups.running().length > 0 || slot.offer() !== null) return;
      journal('notice', 'The agent backs a guest up by itself.', { vmid, why });
      if (status === 'running') absent(vmid, why);
      else problems.clear('guest-absent', vmid);
      await begin(verdict, 'agent', NO_WISH);
    });

  const absent = (vmid: number, why: string): void =>
    problems.raise({
      code: 'guest-absent',
      vmid,
      sentence: 'The host backed this guest up without its applications taking part: nothing in the guest took the backup.',
      evidence: why,
      nextStep: 'See that the controller runs in the guest and can reach the host: systemctl status felhom-controller',
    });

  return { start, run, fallBack };
};
