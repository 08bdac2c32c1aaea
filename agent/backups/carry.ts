/** Carries one backup job of ours to its end: asks Proxmox once, follows the task, stops it when asked to, judges it. */
import type { Problems } from '#agent/health/problems';
import type { Journal } from '#agent/ports/journal';
import type { Proxmox, VzdumpRequest } from '#agent/ports/proxmox';
import { type Clock, sleep } from '#shared/clock';
import { appProblem } from './app-problem.ts';
import type { Book } from './book.ts';
import type { createCleanUp } from './clean-up.ts';
import type { createFreeze } from './freeze.ts';
import type { Held } from './held.ts';
import type { Job } from './jobs.ts';
import { type createJudge, failed } from './judge.ts';
import { fullLabelOf, isOneInstant, mayBeApp } from './label.ts';
import type { createLaunch } from './launch.ts';
import { type LogFacts, NOTHING_READ, readLine } from './log.ts';
import type { Companion } from './run.ts';
import type { TaskEnd, Tasks } from './task.ts';

export interface CarryPorts {
  proxmox: Pick<Proxmox, 'stopTask'>;
  clock: Clock;
  journal: Journal;
  problems: Pick<Problems, 'raise' | 'clear'>;
  book: Book;
  launcher: ReturnType<typeof createLaunch>;
  follow: Tasks;
  judge: ReturnType<typeof createJudge>;
  freeze: ReturnType<typeof createFreeze>;
  cleanUp: ReturnType<typeof createCleanUp>;
  held: Pick<Held, 'said'>;
  companions: readonly Companion[];
  closing: AbortSignal;
}

/** Proxmox gives a task five seconds to end before it kills it. */
const STOP_AGAIN_MS = 10_000;
const STOP_RETRY_MS = 2000;

export const createCarrier = (ports: CarryPorts) => {
  const { proxmox, clock, journal, problems, book, launcher, follow, judge, freeze, cleanUp, held, companions, closing } = ports;
  /** Aborted when a job is to be stopped. */
  const stops = new Map<string, AbortController>();
  const fieldsOf = ({ jobId, vmid, upid }: Job) => ({ job: jobId, vmid, upid });

  /** Asks Proxmox to end the task, from the moment that this is wanted until it has ended. */
  const stopWhenAsked = async (job: Job, asked: AbortSignal, over: AbortSignal, hurry: AbortController): Promise<void> => {
    await Promise.race([aborted(asked), aborted(over)]);
    while (!over.aborted) {
      try {
        await proxmox.stopTask(job.upid);
        hurry.abort();
        await sleep(clock, STOP_AGAIN_MS, over);
      } catch (error) {
        journal('warning', 'Proxmox could not be asked to stop a backup.', { ...fieldsOf(job), why: String(error) });
        await sleep(clock, STOP_RETRY_MS, over);
      }
    }
  };

  /** Follows the task from its first line to its exit status. */
  const followJob = async (job: Job, asked: AbortSignal): Promise<void> => {
    let facts = NOTHING_READ;
    let pointSeenAt: number | null = null;
    const over = new AbortController();
    const hurry = new AbortController();
    const run = {
      job: () => book.now(job),
      facts: () => facts,
      change: (change: Partial<Job>) => void book.change(job, change),
      over: over.signal,
    };
    const beside = [...companions, freeze.watch].map((companion) => companion(run));
    beside.push(stopWhenAsked(job, asked, over.signal, hurry));
    const ended = await follow(
      fieldsOf(job),
      (line) => {
        facts = readLine(facts, line);
        if (facts.pointLine !== null) pointSeenAt ??= clock.monotonic();
        const known = book.now(job);
        const change = changeBy(facts, known, clock.now());
        if (change) book.change(job, change);
        if (change && change.consistencyPointAt !== known.consistencyPointAt) void book.keep(job);
      },
      hurry,
    );
    over.abort();
    await Promise.all(beside);
    if (ended) await finish(book.now(job), facts, pointSeenAt, ended);
  };

  const finish = async (job: Job, facts: LogFacts, pointSeenAt: number | null, ended: TaskEnd): Promise<void> => {
    // One that never came to its guest froze nothing: whoever did knows why.
    const untouched = ended.whole && facts.lines > 0 && facts.guest === null;
    if (!untouched) await freeze.release(job);
    const ending = await judge(job, facts, ended);
    if (ending.state === 'done' && pointSeenAt !== null && mayBeApp(facts)) await held.said(job, pointSeenAt);
    if (closing.aborted) return;
    const label = ending.state === 'done' ? fullLabelOf(facts, book.now(job)) : null;
    const last = await end(job, { ...ending, label }, facts, ended.exitstatus ?? 'no such task');
    freeze.judge(last, facts);
    judgeWording(last, facts, ended);
    judgeApps(last);
    // A task that Proxmox has lost may still write.
    if (last.state === 'failed' && ended.exitstatus !== undefined) await cleanUp(last, facts.archive);
  };

  /** Proxmox changed its words, perhaps with an update: nothing can be claimed of its archives until felhom knows them. */
  const judgeWording = ({ vmid, jobId, state }: Job, { pointLine, lines }: LogFacts, { whole }: TaskEnd): void => {
    if (state !== 'done' || !whole) return;
    if (pointLine !== null) problems.clear('log-format-unknown', vmid);
    else
      problems.raise({
        code: 'log-format-unknown',
        vmid,
        sentence: "Proxmox's log of this guest's backup has words that felhom does not know, so its consistency is not proved.",
        evidence: `no known line of the consistency point in ${lines} lines, job ${jobId}`,
        nextStep: 'Update felhom, or report the log of this backup to its makers.',
      });
  };

  const judgeApps = (job: Job): void => {
    const problem = job.state === 'done' ? appProblem(job) : null;
    if (problem === 'clear') problems.clear('app-not-consistent', job.vmid);
    else if (problem !== null) problems.raise(problem);
  };

  const end = async (job: Job, ending: Partial<Job>, facts: LogFacts, exitstatus: string): Promise<Job> => {
    const raw = { exitstatus, errors: facts.errors.join('; ').slice(0, 1000) || undefined };
    const { state, error, archive, label } = { ...job, ...ending };
    if (state !== 'failed') journal('info', 'A backup is done.', { ...fieldsOf(job), archive, label: label ?? undefined });
    else if (ending.failure === 'cancelled' || ending.failure === 'preempted')
      journal('notice', error, { ...fieldsOf(job), ...raw });
    else journal('error', `A backup failed: ${error}`, { ...fieldsOf(job), ...raw });
    return book.end(job, ending);
  };

  const carry = async (first: Job, request: VzdumpRequest | null, asked: AbortSignal): Promise<void> => {
    if (first.upid !== '') return followJob(first, asked);
    const launched = await (request ? launcher.launch(first, request, () => !asked.aborted) : launcher.retrieve(first));
    if (launched === null) return;
    if ('sentence' in launched) {
      const job = book.now(first);
      await end(job, failed(job, launched.failure, launched.sentence), NOTHING_READ, 'no task');
      return;
    }
    const running = book.change(first, { state: 'running', ...launched });
    void book.keep(running);
    if (!closing.aborted) await followJob(running, asked);
  };

  return {
    /** Without a request the job was found at the agent's start: whatever was asked for was asked before. */
    carry: async (job: Job, request: VzdumpRequest | null): Promise<void> => {
      const stop = new AbortController();
      stops.set(job.jobId, stop);
      if (job.failure !== '') stop.abort();
      await carry(job, request, stop.signal).finally(() => stops.delete(job.jobId));
    },
    /** The task is ended as soon as it is known. */
    stop: (job: Job): void => stops.get(job.jobId)?.abort(),
  };
};

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });

/** What the log tells of a running job; null when it is nothing new. */
const changeBy = (facts: LogFacts, job: Job, now: number): Partial<Job> | null => {
  const change = {
    mode: facts.mode ?? job.mode,
    frozenMs: facts.frozenSeconds === null ? job.frozenMs : Math.max(job.frozenMs ?? 0, facts.frozenSeconds * 1000),
    progress: facts.progress ?? job.progress,
    etaSeconds: facts.progress === null ? job.etaSeconds : facts.etaSeconds,
    consistencyPointAt: job.consistencyPointAt ?? (facts.pointLine === null ? null : now),
    oneInstant: isOneInstant(facts) ?? job.oneInstant,
  };
  const keys = Object.keys(change) as (keyof typeof change)[];
  return keys.some((key) => change[key] !== job[key]) ? change : null;
};
