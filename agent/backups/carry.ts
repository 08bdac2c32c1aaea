/** Carries one backup job to its end: asks Proxmox once, finds the task again when that is in doubt, follows it, judges it. */

import type { Journal } from '#agent/ports/journal';
import { type BackupVolume, type Proxmox, ProxmoxError, type TaskRow, type VzdumpRequest } from '#agent/ports/proxmox';
import type { LogFollower, TaskLog } from '#agent/ports/task-log';
import type { Clock } from '#shared/clock';
import { sleep } from '#shared/clock';
import type { Job, Jobs } from './jobs.ts';
import { labelOf } from './label.ts';
import { type LogFacts, NOTHING_READ, readLine } from './log.ts';
import { archiveOf, candidatesOf, earliestStart, outcomeOf, volidOf } from './outcome.ts';
import {
  ARCHIVE_MISSING,
  failureSentence,
  LISTING_UNKNOWN,
  LOG_UNKNOWN,
  LOG_UNREADABLE,
  NEVER_STARTED,
  refusalSentence,
  TASK_LOST,
  warningForGuest,
} from './sentences.ts';

export interface CarryPorts {
  proxmox: Proxmox;
  taskLog: TaskLog;
  clock: Clock;
  journal: Journal;
  jobs: Jobs;
  /** Makes a job's new state visible. */
  publish: (job: Job) => void;
  /** Aborted when the agent stops: the job is left as it stands, for the next start to resume. */
  closing: AbortSignal;
}

/** pveproxy gives up on its daemon after 30 s while the work goes on: a task may appear that late. */
const SEARCH = { everyMs: 2000, forMs: 60_000 };
const STATUS_MS = 3000;
/** The worker still has to end after it wrote its TASK line. */
const STATUS_AFTER_END_MS = 200;
const AWAY = { firstMs: 2000, mostMs: 30_000 };
const LOST = { times: 3, everyMs: 2000 };
const RETRY = { times: 3, everyMs: 2000 };
const SAVE_RETRY_MS = 5000;
const SAVE_PATIENCE_MS = 2000;

/** Null: the agent stops. */
type Stopped = null;
/** The task, or why there is none. */
type Launched = { upid: string; startedAt: number } | { sentence: string };

export const createCarrier = ({ proxmox, taskLog, clock, journal, jobs, publish, closing }: CarryPorts) => {
  const pause = (ms: number) => sleep(clock, ms, closing);
  const fieldsOf = ({ jobId, vmid, upid }: Job) => ({ job: jobId, vmid, upid });

  const unsaved = new Map<string, Job>();
  /** Writes the row. A full disk never ends a backup: what could not be written is tried again, unless a newer state was. */
  const keep = async (job: Job): Promise<void> => {
    unsaved.set(job.jobId, job);
    for (let tries = 1; unsaved.get(job.jobId) === job; tries += 1) {
      try {
        await jobs.save(job);
        if (unsaved.get(job.jobId) === job) unsaved.delete(job.jobId);
      } catch (error) {
        if (tries === 1) journal('error', 'A backup job could not be recorded.', { ...fieldsOf(job), why: String(error) });
        if (closing.aborted) return;
        await pause(SAVE_RETRY_MS);
      }
    }
  };
  /** Goes on without the row where it cannot be written at once. */
  const keepSoon = async (job: Job): Promise<void> => {
    const kept = new AbortController();
    await Promise.race([keep(job).finally(() => kept.abort()), sleep(clock, SAVE_PATIENCE_MS, kept.signal)]);
  };

  /** Undefined: there is none. `begun` is monotonic: the wall clock may have been set back since the intent. */
  const findTask = async (job: Job, begun: number): Promise<TaskRow | undefined | Stopped> => {
    const end = clock.monotonic() + SEARCH.forMs;
    while (!closing.aborted) {
      const last = clock.monotonic() >= end;
      const since = earliestStart(Math.min(job.createdAt, clock.now() - (clock.monotonic() - begun)));
      try {
        const tasks = await proxmox.vzdumpTasks(job.vmid, since);
        for (const task of candidatesOf(tasks, job, proxmox.tokenName, since))
          if (!(await jobs.knowsTask(task.upid))) return task;
        if (last) return undefined;
      } catch (error) {
        if (last) journal('warning', 'Proxmox cannot be asked what became of a backup.', { job: job.jobId, why: String(error) });
      }
      await pause(last ? AWAY.mostMs : SEARCH.everyMs);
    }
    return null;
  };

  /** Asks Proxmox, once. */
  const launch = async (job: Job, request: VzdumpRequest): Promise<Launched | Stopped> => {
    const begun = clock.monotonic();
    try {
      return { upid: await proxmox.startVzdump(request), startedAt: clock.now() };
    } catch (error) {
      journal('warning', 'Proxmox did not confirm a backup.', { ...fieldsOf(job), why: String(error) });
      if (error instanceof ProxmoxError && error.effect === 'never') return { sentence: refusalSentence(error) };
      return retrieve(job, begun);
    }
  };

  const retrieve = async (job: Job, begun: number): Promise<Launched | Stopped> => {
    const task = await findTask(job, begun);
    if (!task) return task === null ? null : { sentence: NEVER_STARTED };
    return { upid: task.upid, startedAt: Math.max(job.createdAt, task.starttime * 1000) };
  };

  /** Undefined: Proxmox does not know the task. `hurry` is aborted when the log has said its last word. */
  const awaitExit = async (job: Job, hurry: AbortSignal): Promise<string | undefined | Stopped> => {
    let lost = 0;
    let awayMs = AWAY.firstMs;
    let hurriedMs = STATUS_AFTER_END_MS;
    while (!closing.aborted) {
      let waitMs = STATUS_MS;
      try {
        const status = await proxmox.taskStatus(job.upid);
        if (status && !status.running) return status.exitstatus ?? 'unexpected status';
        lost = status ? 0 : lost + 1;
        if (lost >= LOST.times) return undefined;
        awayMs = AWAY.firstMs;
        if (!status) waitMs = LOST.everyMs;
      } catch (error) {
        if (awayMs === AWAY.firstMs)
          journal('warning', 'Proxmox cannot be asked about a backup.', { ...fieldsOf(job), why: String(error) });
        waitMs = awayMs;
        awayMs = Math.min(awayMs * 2, AWAY.mostMs);
      }
      if (!hurry.aborted) await sleep(clock, waitMs, hurry);
      else {
        await pause(Math.min(hurriedMs, waitMs));
        hurriedMs *= 2;
      }
    }
    return null;
  };

  const finishLog = async (follower: LogFollower): Promise<boolean> => {
    for (let tries = 1; tries <= RETRY.times && !closing.aborted; tries += 1) {
      try {
        await follower.finish();
        return true;
      } catch {
        await pause(RETRY.everyMs);
      }
    }
    follower.stop();
    return false;
  };

  /** Undefined: it is not there. */
  const findArchive = async (job: Job, name: string): Promise<BackupVolume | undefined | 'unknown'> => {
    let found: BackupVolume | undefined | 'unknown' = 'unknown';
    for (let tries = 1; tries <= RETRY.times && !closing.aborted; tries += 1) {
      if (tries > 1) await pause(RETRY.everyMs);
      try {
        found = archiveOf(await proxmox.backupVolumes(job.storage, job.vmid), job, name);
        if (found) return found;
      } catch (error) {
        journal('warning', 'The backup storage could not be listed.', { ...fieldsOf(job), why: String(error) });
      }
    }
    return found;
  };

  /** Follows the task from its first line to its exit status. */
  const follow = async (start: Job): Promise<void> => {
    let job = start;
    let facts = NOTHING_READ;
    const hurry = new AbortController();
    const hasten = () => hurry.abort();
    closing.addEventListener('abort', hasten);
    const follower = taskLog.follow(job.upid, (line) => {
      facts = readLine(facts, line);
      const change = changeBy(facts, job, clock.now());
      if (change) {
        const isPoint = change.consistencyPointAt !== job.consistencyPointAt;
        job = { ...job, ...change };
        publish(job);
        if (isPoint) void keep(job);
      }
      if (line.startsWith('TASK ')) hasten();
    });
    const exitstatus = await awaitExit(job, hurry.signal);
    closing.removeEventListener('abort', hasten);
    if (exitstatus === null) return follower.stop();
    if (exitstatus === 'unexpected status') await pause(1000);
    const whole = await finishLog(follower);
    if (closing.aborted) return;
    const ending = exitstatus === undefined ? failed(TASK_LOST) : await judge(job, facts, exitstatus, whole);
    if (closing.aborted) return;
    await end(job, ending, facts, exitstatus ?? 'no such task');
  };

  const judge = async (job: Job, facts: LogFacts, exitstatus: string, whole: boolean): Promise<Partial<Job>> => {
    const outcome = outcomeOf(exitstatus, facts.lastLine);
    if (!outcome.ok) return failed(failureSentence(facts, outcome.exitstatus));
    const found = await findArchive(job, facts.archive);
    if (found === undefined) return failed(ARCHIVE_MISSING);
    const warnings = facts.warnings.map(warningForGuest);
    if (warnings.length === 0 && outcome.warnings > 0) warnings.push(`Proxmox counted warnings: ${outcome.warnings}.`);
    if (found === 'unknown') warnings.push(LISTING_UNKNOWN);
    if (!whole) warnings.push(LOG_UNREADABLE);
    else if (facts.pointLine === null) warnings.push(LOG_UNKNOWN);
    const known = { state: 'done', label: labelOf(facts), warnings } as const;
    if (found !== 'unknown') return { ...known, archive: found.volid, sizeBytes: found.sizeBytes };
    return { ...known, archive: facts.archive === '' ? '' : volidOf(job.storage, facts.archive) };
  };

  /** Without an archive there is no data that was fixed. */
  const failed = (error: string): Partial<Job> => ({ state: 'failed', error, consistencyPointAt: null });

  /** The row first: who reads `done` may start the next backup at once. */
  const end = async (job: Job, ending: Partial<Job>, facts: LogFacts, exitstatus: string): Promise<void> => {
    const ended: Job = { ...job, ...ending, finishedAt: clock.now(), progress: null, etaSeconds: null };
    const raw = { exitstatus, errors: facts.errors.join('; ').slice(0, 1000) || undefined };
    if (ended.state === 'failed') journal('error', `A backup failed: ${ended.error}`, { ...fieldsOf(job), ...raw });
    else journal('info', 'A backup is done.', { ...fieldsOf(job), archive: ended.archive, label: ended.label ?? undefined });
    await keepSoon(ended);
    publish(ended);
  };

  /** Without a request the job was found at the agent's start: whatever was asked for was asked before. */
  return async (first: Job, request: VzdumpRequest | null): Promise<void> => {
    if (first.upid !== '') return follow(first);
    const launched = request ? await launch(first, request) : await retrieve(first, clock.monotonic());
    if (launched === null) return;
    if ('sentence' in launched) return end(first, failed(launched.sentence), NOTHING_READ, 'no task');
    const running: Job = { ...first, state: 'running', ...launched };
    publish(running);
    void keep(running);
    if (!closing.aborted) await follow(running);
  };
};

/** What the log tells of a running job; null when it is nothing new. */
const changeBy = (facts: LogFacts, job: Job, now: number): Partial<Job> | null => {
  const change = {
    mode: facts.mode ?? job.mode,
    frozenMs: facts.frozenSeconds === null ? job.frozenMs : facts.frozenSeconds * 1000,
    progress: facts.progress,
    etaSeconds: facts.etaSeconds,
    consistencyPointAt: job.consistencyPointAt ?? (facts.pointLine === null ? null : now),
  };
  const keys = Object.keys(change) as (keyof typeof change)[];
  return keys.some((key) => change[key] !== job[key]) ? change : null;
};
