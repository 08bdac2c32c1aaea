/** The backup loop: ask, hold, start, wait for the moment the data is fixed, let go, follow to the end. A plain loop, never recursion. */
import { randomUUID } from 'node:crypto';
import { type Clock, sleep } from '#shared/clock';
import { timestamp } from '#shared/ids';
import { type BackupStarted, getBackupDue, startBackup } from '#shared/wire/backups';
import type { AgentClient } from '../ports/agent-client.ts';
import { AgentError, isUnknownOutcome, sentenceOf } from '../ports/agent-error.ts';
import type { Apps } from './apps.ts';
import type { Happening } from './events.ts';
import type { ReleaseReason } from './hold.ts';
import type { AppOutcome, AttemptResult } from './result.ts';
import { failuresAfter, waitAfter } from './schedule.ts';
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

/** What became of `POST /backup`. */
type Started = { kind: 'job'; job: BackupStarted } | { kind: 'no-job'; reason: ReleaseReason; error: string };

/** One attempt up to the release. */
interface Course {
  started: Started;
  release: ReleaseReason;
  apps: AppOutcome[];
}
type Ending = Pick<AttemptResult, 'outcome' | 'job_id' | 'label' | 'error'>;

const OUTCOME_WITHOUT_JOB: Partial<Record<ReleaseReason, Ending['outcome']>> = { refused: 'refused', stopping: 'stopped' };
const RETRY_START_MS = 1000;

const codeOf = (error: unknown): string => (error instanceof AgentError ? error.code : 'internal');

export const createBackupLoop = (ports: LoopPorts, { pollMs, holdMaxMs }: LoopSettings) => {
  const { agent, apps, clock, quiet, emit, record, random } = ports;
  const watch = createWatch({ agent, clock });
  let lost = false;

  const noteAgent = (error: unknown): void => {
    if (error === null && lost) emit({ kind: 'agent-back' });
    if (error !== null && !lost) emit({ kind: 'agent-lost', code: codeOf(error), error: sentenceOf(error) });
    lost = error !== null;
  };

  const isDue = async (signal: AbortSignal): Promise<boolean> => {
    try {
      const { due, reason } = await agent.call(getBackupDue, { signal });
      noteAgent(null);
      if (due) emit({ kind: 'due', reason });
      return due;
    } catch (error) {
      if (!signal.aborted) noteAgent(error);
      return false;
    }
  };

  /** Asks for one backup. Where it cannot be known whether the agent heard, the same request is sent again, never a second one. */
  const start = async (deadline: number, signal: AbortSignal): Promise<Started> => {
    const body = { request_id: randomUUID() };
    emit({ kind: 'requesting', request_id: body.request_id });
    let error: unknown = null;
    do {
      try {
        const job = await agent.call(startBackup, { body, signal });
        return { kind: 'job', job };
      } catch (thrown) {
        error = thrown;
        if (!isUnknownOutcome(error)) {
          emit({ kind: 'backup-refused', code: codeOf(error), error: sentenceOf(error) });
          return { kind: 'no-job', reason: 'refused', error: sentenceOf(error) };
        }
        await sleep(clock, RETRY_START_MS, signal);
      }
    } while (!signal.aborted && clock.monotonic() < deadline);
    return { kind: 'no-job', reason: signal.aborted ? 'stopping' : 'agent-gone', error: sentenceOf(error) };
  };

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

  /** The pres took all the time there is, or the controller stops: let go first. The backup runs all the same, with nothing held. */
  const startReleased = async (since: number, signal: AbortSignal): Promise<Course> => {
    const reason = signal.aborted ? 'stopping' : 'deadline';
    const released = await letGo({ reason, status: null }, since);
    if (signal.aborted) return { started: { kind: 'no-job', reason: 'stopping', error: '' }, release: reason, apps: released };
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

  const attempt = async (signal: AbortSignal): Promise<AttemptResult> => {
    const startedAt = clock.now();
    const since = clock.monotonic();
    const deadline = since + holdMaxMs;
    await apps.hold(deadline, signal);
    const anyHeld = apps.held().length > 0;
    const inTime = !signal.aborted && (!anyHeld || clock.monotonic() < deadline);
    const course = inTime ? await startHeld(since, deadline, signal) : await startReleased(since, signal);
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
  const once = async (signal: AbortSignal): Promise<AttemptResult['outcome'] | 'not-due'> => {
    if (!(await isDue(signal)) || signal.aborted) return 'not-due';
    const result = await attempt(signal);
    emit({ kind: 'backup-ended', result });
    await record(result).catch((error: unknown) => emit({ kind: 'record-failed', error: sentenceOf(error) }));
    return result.outcome;
  };

  /** Returns when the signal is aborted and whatever was held is let go. */
  const run = async (signal: AbortSignal): Promise<void> => {
    await apps.recover();
    for (let failures = 0; !signal.aborted; ) {
      const outcome = await once(signal);
      failures = failuresAfter(failures, outcome);
      await sleep(clock, waitAfter(outcome, failures, pollMs, random()), signal);
    }
  };

  return { run };
};
