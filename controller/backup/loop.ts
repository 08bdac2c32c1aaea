/** The backup loop: ask, make ready, hold, start, wait for the moment the data is fixed, let go, say so, follow to the end. A plain loop, never recursion. */
import { type Clock, sleep, waitAtMost } from '#shared/clock';
import { timestamp } from '#shared/ids';
import type { BackupStatus } from '#shared/wire/backups';
import type { AgentClient } from '../ports/agent-client.ts';
import { sentenceOf } from '../ports/agent-error.ts';
import type { Applications, Occasion } from './applications.ts';
import type { Happening } from './events.ts';
import type { ReleaseReason } from './hold.ts';
import type { Offer } from './offer.ts';
import { createRequests, type Started } from './requests.ts';
import type { AttemptResult } from './result.ts';
import { waitMs } from './schedule.ts';
import { type CutFacts, counted, reportOf } from './verdict.ts';
import { createWatch, type Release } from './watch.ts';

/** While it lasts no file is written: log lines wait in memory. */
interface Quiet {
  begin(): void;
  end(): void;
}

export interface LoopPorts {
  agent: Pick<AgentClient, 'call'>;
  /** Makes the applications ready, and holds those that it helps, if any is to be held. Never rejects. */
  getReady: (occasion: Occasion, signal: AbortSignal) => Promise<Applications>;
  clock: Clock;
  quiet: Quiet;
  emit: (event: Happening) => void;
  /** Keeps the result for `status`. */
  record: (result: AttemptResult) => Promise<void>;
  /** 0 to 1. */
  random: () => number;
}

export interface LoopSettings {
  pollMs: number;
}

/** For a backup during which nothing is held. */
const START_MS = 60_000;
const POINT_MS = 10 * 60_000;
/** After the cut the agent waits for the guest's word, not for ever. */
const REPORT_MS = 20_000;
/** Then it is told, though not all are back. */
const REPORT_WITHOUT_MS = 10_000;

/** One attempt up to the release. */
interface Course {
  started: Started;
  facts: CutFacts;
  /** In milliseconds; null where nothing was held. */
  heldMs: number | null;
  /** Resolves when felhom-quiesced has said how the release went. */
  released: Promise<void>;
}
type Ending = Pick<AttemptResult, 'outcome' | 'job_id' | 'label' | 'error'>;
/** With what the host says of a backup that is done. */
type Followed = Ending & { done?: BackupStatus };

const OUTCOME_WITHOUT_JOB: Partial<Record<ReleaseReason, Ending['outcome']>> = {
  refused: 'refused',
  lapsed: 'lapsed',
  stopping: 'stopped',
};
const LAPSED: Started = {
  kind: 'no-job',
  reason: 'lapsed',
  error: 'The applications took longer to get ready than the host keeps the backup slot.',
};

/** What is known of the cut when the applications are let go. */
const factsOf = ({ reason, status }: Release): CutFacts => ({
  reason,
  oneInstant: status?.one_instant === true,
  frozenMs: (status?.frozen_seconds ?? 0) * 1000,
});

export const createBackupLoop = (ports: LoopPorts, { pollMs }: LoopSettings) => {
  const { agent, getReady, clock, quiet, emit, record, random } = ports;
  const watch = createWatch({ agent, clock });
  const { ask, start, report } = createRequests({ agent, clock, emit });

  /** Looks once more, then lets everything go at once. The log may be written again when the request for that is on its way. */
  const letGo = async (apps: Applications, release: Release): Promise<Omit<Course, 'started'>> => {
    if (release.reason === 'point') await apps.check();
    const names = apps.held();
    const since = apps.heldSince;
    const heldMs = () => (since === null ? 0 : Math.round(clock.monotonic() - since));
    emit({
      kind: 'release-started',
      reason: release.reason,
      apps: names,
      held_ms: heldMs(),
      consistency_point_at: release.status?.consistency_point_at ?? null,
    });
    const released = apps.release().then((not_back) => emit({ kind: 'released', apps: names, held_ms: heldMs(), not_back }));
    quiet.end();
    const looked = release.reason === 'point' ? apps.confirm() : null;
    await waitAtMost(clock, REPORT_WITHOUT_MS, Promise.all([released, looked]));
    return { facts: factsOf(release), heldMs: since === null ? null : heldMs(), released };
  };

  /** The usual way: from the request to the release nothing is written. */
  const startHeld = async (apps: Applications, signal: AbortSignal): Promise<Course> => {
    quiet.begin();
    const started = await start(apps.intends, Math.min(apps.deadline, clock.monotonic() + START_MS), signal);
    if (started.kind === 'no-job') return { started, ...(await letGo(apps, { reason: started.reason, status: null })) };
    const { job_id } = started.job;
    emit({ kind: 'backup-started', job_id });
    const release = await watch.untilRelease(job_id, Math.min(apps.deadline, clock.monotonic() + POINT_MS), signal);
    const until = clock.monotonic() + REPORT_MS;
    const course = await letGo(apps, release);
    if (release.reason === 'point' && apps.intends.length > 0) {
      await report(job_id, { apps: apps.outcomes(course.facts).map((app) => reportOf(app, course.heldMs)) }, until, signal);
    }
    return { started, ...course };
  };

  /** Let go first. If only the time to hold is over, the backup runs all the same, with nothing held. */
  const startReleased = async (
    reason: ReleaseReason,
    apps: Applications,
    { lapsesAt }: Offer,
    signal: AbortSignal,
  ): Promise<Course> => {
    const course = await letGo(apps, { reason, status: null });
    if (signal.aborted) return { started: { kind: 'no-job', reason: 'stopping', error: '' }, ...course };
    if (clock.monotonic() >= lapsesAt) return { started: LAPSED, ...course };
    const started = await start(apps.intends, clock.monotonic() + START_MS, signal);
    if (started.kind === 'job') emit({ kind: 'backup-started', job_id: started.job.job_id });
    return { started, ...course };
  };

  const follow = async (started: Started, signal: AbortSignal): Promise<Followed> => {
    if (started.kind === 'no-job') {
      return { outcome: OUTCOME_WITHOUT_JOB[started.reason] ?? 'unknown', job_id: '', label: null, error: started.error };
    }
    const { job_id } = started.job;
    const status = await watch.untilEnd(job_id, signal);
    if (status?.phase === 'done') return { outcome: 'done', job_id, label: status.label, error: '', done: status };
    if (status !== null) return { outcome: 'failed', job_id, label: null, error: status.error };
    if (signal.aborted) return { outcome: 'stopped', job_id, label: null, error: '' };
    return { outcome: 'unknown', job_id, label: null, error: 'The host no longer knows this backup.' };
  };

  /** Why what is held is let go before the backup starts; null where all are ready in time. */
  const tooLate = ({ deadline }: Applications, { lapsesAt }: Offer, signal: AbortSignal): ReleaseReason | null => {
    if (signal.aborted) return 'stopping';
    if (clock.monotonic() >= lapsesAt) return 'lapsed';
    return clock.monotonic() >= deadline ? 'deadline' : null;
  };

  const attempt = async (offer: Offer, signal: AbortSignal): Promise<AttemptResult> => {
    const startedAt = clock.now();
    const apps = await getReady(offer, signal);
    const late = tooLate(apps, offer, signal);
    const course = late === null ? await startHeld(apps, signal) : await startReleased(late, apps, offer, signal);
    const { started, facts, heldMs, released } = course;
    // The connection is another attempt's as soon as nothing of this one is held: the copy may take hours.
    const [{ done, ...ending }] = await Promise.all([follow(started, signal), released.then(apps.close)]);
    const outcomes = apps.outcomes(facts);
    return {
      started_at: timestamp(startedAt),
      finished_at: timestamp(clock.now()),
      ...ending,
      release: heldMs === null ? null : facts.reason,
      held_ms: heldMs,
      apps: done ? counted(outcomes, done) : outcomes,
      quiesce_error: apps.error(),
    };
  };

  /** One attempt, if the agent offers one, kept for `status`. */
  const once = async (signal: AbortSignal): Promise<void> => {
    const offer = await ask(signal);
    if (offer === null || signal.aborted) return;
    const result = await attempt(offer, signal);
    emit({ kind: 'backup-ended', result });
    await record(result).catch((error: unknown) => emit({ kind: 'record-failed', error: sentenceOf(error) }));
  };

  /** Returns when the signal is aborted and whatever was held is let go. */
  const run = async (signal: AbortSignal): Promise<void> => {
    while (!signal.aborted) {
      await once(signal);
      await sleep(clock, waitMs(pollMs, random()), signal);
    }
  };

  return { run };
};
