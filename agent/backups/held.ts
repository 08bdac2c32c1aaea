/**
 * What a guest reports of its applications at the consistency point: taken once, after the point and before the job's end, and
 * on disk before it is answered. The job's end waits a little for it, so that a short copy does not lose it.
 */
import { auditEntry } from '#agent/audit';
import { createTurn } from '#agent/turn';
import { type Clock, sleep } from '#shared/clock';
import { FelhomError } from '#shared/errors';
import type { HeldAccepted, HeldApp, HeldReport } from '#shared/wire/backups';
import type { Book } from './book.ts';
import type { Job, Jobs } from './jobs.ts';

export interface HeldPorts {
  jobs: Pick<Jobs, 'byId'>;
  book: Pick<Book, 'running' | 'now' | 'record'>;
  clock: Clock;
  /** Aborted when the agent stops. */
  closing: AbortSignal;
}

/** After the point was seen. A controller asks each adapter and lets go first, which takes seconds. */
const REPORT_MS = 15_000;

export type Held = ReturnType<typeof createHeld>;

export const createHeld = ({ jobs, book, clock, closing }: HeldPorts) => {
  /** Two reports at once never find the job without one both. */
  const inTurn = createTurn();
  /** By job: wakes its end. */
  const waiting = new Map<string, () => void>();

  const report = (vmid: number, jobId: string, { apps }: HeldReport): Promise<HeldAccepted> =>
    inTurn(async () => {
      const running = book.running().find((job) => job.jobId === jobId && job.vmid === vmid);
      if (!running || !(await taken(running, apps))) await requireSame(await jobs.byId(vmid, jobId), apps);
      return { vmid, job_id: jobId };
    });

  /** False: its end is known. */
  const taken = async (job: Job, apps: readonly HeldApp[]): Promise<boolean> => {
    if (job.consistencyPointAt === null) throw tooEarly();
    const heldApps = claimsOf(job.intends, apps);
    if (job.heldApps !== null) {
      if (!isSame(job.heldApps, heldApps)) throw new FelhomError('held-too-late', SAID_ALREADY);
      return true;
    }
    const entry = auditEntry(clock, `guest ${job.vmid}`, 'applications-reported', { job: job.jobId, apps: heldApps });
    const kept = await book.record(job, { heldApps }, entry);
    waiting.get(job.jobId)?.();
    return kept;
  };

  /** Of a job that has ended: what was said of it stands. */
  const requireSame = async (job: Job | null, apps: readonly HeldApp[]): Promise<void> => {
    if (job === null) throw new FelhomError('not-found', 'This guest has no such backup.');
    if (job.heldApps === null || !isSame(job.heldApps, claimsOf(job.intends, apps)))
      throw new FelhomError('held-too-late', HAS_ENDED);
  };

  /** Resolves when the guest has said it, when it is too late for that, or when the agent stops. `seenAt` is monotonic. */
  const said = async (job: Job, seenAt: number): Promise<void> => {
    if (job.intends.length === 0 || book.now(job).heldApps !== null) return;
    const arrived = new AbortController();
    const wake = () => arrived.abort();
    waiting.set(job.jobId, wake);
    closing.addEventListener('abort', wake, { once: true });
    if (!closing.aborted) await sleep(clock, Math.max(0, seenAt + REPORT_MS - clock.monotonic()), arrived.signal);
    closing.removeEventListener('abort', wake);
    waiting.delete(job.jobId);
  };

  return { report, said };
};

const tooEarly = () =>
  new FelhomError(
    'held-too-early',
    'The data of this backup is not fixed yet. What the applications did at that moment can be told only afterwards.',
  );
const SAID_ALREADY = 'Something else was reported of the applications of this backup before. The first report counts.';
const HAS_ENDED = 'This backup has ended, so nothing that is reported of its applications changes it any more.';

/**
 * Of the applications that were to be consistent, in their order; others count for nothing. Of one that is named twice the
 * worse counts.
 */
export const claimsOf = (intends: readonly string[], apps: readonly HeldApp[]): HeldApp[] =>
  intends.flatMap((app) => {
    const claims = apps.filter((claim) => claim.app === app);
    if (claims.length === 0) return [];
    const held = claims.every((claim) => claim.held);
    return [{ app, held, held_ms: Math.max(...claims.map((claim) => claim.held_ms)), covered: claims.every((c) => c.covered) }];
  });

const isSame = (known: readonly HeldApp[], said: readonly HeldApp[]): boolean => JSON.stringify(known) === JSON.stringify(said);
