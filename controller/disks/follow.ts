/** Follows a format to its end. */
import { sleep } from '#shared/clock';
import { inert } from '#shared/inert';
import { type FormatJob, getJob } from '#shared/wire/jobs';
import { AgentError, isUnknownOutcome, sentenceOf } from '../ports/agent-error.ts';
import type { FlowPorts } from './flow.ts';

const EVERY_MS = 1000;
/** An agent that is restarted is back long before. */
const SILENT_MS = 10 * 60_000;

/** What the agent does meanwhile; of a phase that a later agent has, its own word. */
const PHASE_WORDS: Record<string, string> = {
  opening: 'getting ready',
  holding: 'getting ready',
  wiping: 'erasing what was on it',
  partitioning: 'dividing it anew',
  making: 'making the file system',
  checking: 'looking at what was made',
  ended: 'putting it on record',
};

const phaseWords = (phase: string): string => PHASE_WORDS[phase] ?? phase;

export const jobCommand = (jobId: string): string =>
  `felhom-controller disks job ${/^[A-Za-z0-9-]+$/.test(jobId) ? jobId : '<job>'}`;

/**
 * The job, once it has ended. Null: it goes on without us, or nobody can be asked how it went, which has been told then.
 */
export const followJob = async (
  { agent, clock, talk, signal }: FlowPorts,
  jobId: string,
  begun: FormatJob | null = null,
): Promise<FormatJob | null> => {
  let said = '';
  let heardAt = clock.monotonic();
  let isSilent = false;

  const say = ({ phase }: FormatJob): void => {
    const words = phaseWords(phase);
    if (words !== '' && words !== said) talk.tell(`Under way: ${words} …`);
    said = words;
  };
  const ask = async (): Promise<FormatJob | null> => {
    try {
      const job = await agent.call(getJob, { params: { id: jobId }, signal });
      heardAt = clock.monotonic();
      isSilent = false;
      return job;
    } catch (error) {
      if (signal.aborted) return null;
      if (error instanceof AgentError && !isUnknownOutcome(error) && !PASSING.has(error.code)) throw error;
      if (!isSilent) talk.tell(`${sentenceOf(error)} The format goes on whether or not it does. Asking again …`);
      isSilent = true;
      return null;
    }
  };

  try {
    for (let job = begun ?? (await ask()); ; job = await ask()) {
      if (job !== null && job.state !== 'running') return job;
      if (job !== null) say(job);
      if (!signal.aborted) await sleep(clock, EVERY_MS, signal);
      if (signal.aborted || clock.monotonic() - heardAt > SILENT_MS) break;
    }
    const why = signal.aborted ? 'You do not wait for it any longer.' : 'The agent on the host does not answer.';
    talk.tell(`${why} The format goes on by itself on the host; leave the drive plugged in. To see how it goes or how it ended:`);
  } catch (error) {
    talk.tell(`How the format goes cannot be told: ${sentenceOf(error)} Leave the drive plugged in, and ask later:`);
  }
  talk.answer(jobCommand(inert(jobId)));
  return null;
};

/** Refusals of a moment. */
const PASSING: ReadonlySet<string> = new Set([
  'rate-limited',
  'too-many-streams',
  'not-known',
  'duplicate-instance',
  'request-timeout',
]);
