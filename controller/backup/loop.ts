/** The backup loop: ask, hold, start, wait for the moment the data is fixed, let go, follow to the end. A plain loop, never recursion. */
import { type Clock, sleep } from '#shared/clock';
import { timestamp } from '#shared/ids';
import type { AgentClient } from '../ports/agent-client.ts';
import { sentenceOf } from '../ports/agent-error.ts';
import type { Apps } from './apps.ts';
import type { Happening } from './events.ts';
import type { ReleaseReason } from './hold.ts';
import type { Offer } from './offer.ts';
import { createRequests, type Started } from './requests.ts';
import type { AppOutcome, AttemptResult } from './result.ts';
import { waitMs } from './schedule.ts';
import { createWatch, type Release } from './watch.ts';

/** While it lasts no file is written: log lines wait in memory. */
interface Quiet {
  begin(): void;
  end(): void;
}

export interface LoopPorts {
  agent: Pick<AgentClient, 'call'>;
  apps: Apps;
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
  holdMaxMs: number;
}

/** One attempt up to the release. */
interface Course {
  started: Started;
  release: ReleaseReason;
  apps: AppOutcome[];
}
type Ending = Pick<AttemptResult, 'outcome' | 'job_id' | 'label' | 'error'>;

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

export const createBackupLoop = (ports: LoopPorts, { pollMs, holdMaxMs }: LoopSettings) => {
  const { agent, apps, clock, quiet, emit, record, random } = ports;
  const watch = createWatch({ agent, clock });
  const { ask, start } = createRequests({ agent, clock, emit });

  /** Everything that was held is let go, at once. The log may be written again when the posts are on their way. */
  const letGo = async ({ reason, status }: Release, since: number): Promise<AppOutcome[]> => {
    const names = apps.held();
    emit({
      kind: 'release-started',
      reason,
      apps: names,
      held_ms: Math.round(clock.monotonic() - since),
      consistency_point_at: status?.consistency_point_at ?? null,
    });
    const released = apps.release();
    quiet.end();
    const outcomes = await released;
    emit({ kind: 'released', apps: names, held_ms: Math.round(clock.monotonic() - since) });
    return outcomes;
  };

  /** The usual way: from the request to the release nothing is written. */
  const startHeld = async (since: number, deadline: number, signal: AbortSignal): Promise<Course> => {
    quiet.begin();
    const started = await start(deadline, signal);
    if (started.kind === 'no-job') {
      return { started, release: started.reason, apps: await letGo({ reason: started.reason, status: null }, since) };
    }
    emit({ kind: 'backup-started', job_id: started.job.job_id });
    const release = await watch.untilRelease(started.job.job_id, deadline, signal);
    return { started, release: release.reason, apps: await letGo(release, since) };
  };

  /** Let go first. If only the time to hold is over, the backup runs all the same, with nothing held. */
  const startReleased = async (
    reason: ReleaseReason,
    { lapsesAt }: Offer,
    since: number,
    signal: AbortSignal,
  ): Promise<Course> => {
    const released = await letGo({ reason, status: null }, since);
    if (signal.aborted) return { started: { kind: 'no-job', reason: 'stopping', error: '' }, release: reason, apps: released };
    if (clock.monotonic() >= lapsesAt) return { started: LAPSED, release: reason, apps: released };
    const started = await start(clock.monotonic() + holdMaxMs, signal);
    if (started.kind === 'job') emit({ kind: 'backup-started', job_id: started.job.job_id });
    return { started, release: reason, apps: released };
  };

  const follow = async (started: Started, signal: AbortSignal): Promise<Ending> => {
    if (started.kind === 'no-job') {
      return { outcome: OUTCOME_WITHOUT_JOB[started.reason] ?? 'unknown', job_id: '', label: null, error: started.error };
    }
    const { job_id } = started.job;
    const status = await watch.untilEnd(job_id, signal);
    if (status?.phase === 'done') return { outcome: 'done', job_id, label: status.label, error: '' };
    if (status !== null) return { outcome: 'failed', job_id, label: null, error: status.error };
    if (signal.aborted) return { outcome: 'stopped', job_id, label: null, error: '' };
    return { outcome: 'unknown', job_id, label: null, error: 'The host no longer knows this backup.' };
  };

  /** Why what is held is let go before the backup starts; null where all are ready in time. */
  const tooLate = (deadline: number, { lapsesAt }: Offer, signal: AbortSignal): ReleaseReason | null => {
    if (signal.aborted) return 'stopping';
    if (clock.monotonic() >= lapsesAt) return 'lapsed';
    return apps.held().length > 0 && clock.monotonic() >= deadline ? 'deadline' : null;
  };

  const attempt = async (offer: Offer, signal: AbortSignal): Promise<AttemptResult> => {
    const startedAt = clock.now();
    const since = clock.monotonic();
    const deadline = since + holdMaxMs;
    if (offer.hold) await apps.hold(Math.min(deadline, offer.lapsesAt), signal);
    const anyHeld = apps.held().length > 0;
    const late = tooLate(deadline, offer, signal);
    const course = late === null ? await startHeld(since, deadline, signal) : await startReleased(late, offer, since, signal);
    const releasedAt = clock.monotonic();
    const ending = await follow(course.started, signal);
    return {
      started_at: timestamp(startedAt),
      finished_at: timestamp(clock.now()),
      ...ending,
      release: anyHeld ? course.release : null,
      held_ms: anyHeld ? Math.round(releasedAt - since) : null,
      apps: course.apps,
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
    await apps.recover();
    while (!signal.aborted) {
      await once(signal);
      await sleep(clock, waitMs(pollMs, random()), signal);
    }
  };

  return { run };
};
