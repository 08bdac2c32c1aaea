/** Plays a guest's script onto its task, and cleans up after it as far as the way it ended lets it. */

import { WorkerDied } from '../tasks.ts';
import { endOf, GuestFailed, Interrupted } from './errors.ts';
import { stamp } from './format.ts';
import { failed, finished, guestScript } from './script.ts';
import { createStage, type Stage, type StageOptions } from './stage.ts';
import type { Step } from './steps.ts';
import type { Voice } from './voice.ts';

type Line = Extract<Step, { line: unknown }>;

const linesOf = (step: Line, stage: Stage): string[] => {
  const text = typeof step.line === 'function' ? step.line(stage.measured()) : step.line;
  return Array.isArray(text) ? text : [text];
};

/** True when the guest was backed up, false when it failed; throws when the whole job ends with it. */
export const playGuest = async (options: Omit<StageOptions, 'progress'>): Promise<boolean> => {
  const { c, voice, faults, clock, signal } = options;
  const script = guestScript(c);
  const stage = await createStage({ ...options, progress: script.progress });
  const ownLog: string[] = [];

  const play = async (steps: readonly Step[], speak: Voice['say']): Promise<void> => {
    for (const step of steps) {
      if ('when' in step) await play(stage.applies(step.when) ? step.steps : [], speak);
      else if ('effect' in step) await stage.perform(step.effect);
      else await tell(step, speak);
    }
  };

  const tell = async (step: Line, speak: Voice['say']): Promise<void> => {
    for (const line of linesOf(step, stage)) {
      await speak(line);
      if (step.jobOnly !== true) ownLog.push(`${stamp(clock())} ${line}`);
      if (line.startsWith('INFO: ionice priority')) await warn();
    }
  };

  const warn = async (): Promise<void> => {
    for (let n = 1; n <= (faults.warn ?? 0); n++) await voice.say(`WARN: simulated warning ${n}`);
  };

  const blurt = async (line: string): Promise<void> => voice.blurt(line);

  /** A stopped task leaves a running guest locked, and with the lock its snapshot; only the guest itself goes on. */
  const interrupted = async (): Promise<void> => {
    if (!c.running) await stage.perform('unlock');
    if (stage.applies('suspended')) await stage.perform('resume');
    if (stage.applies('stopped')) await stage.perform('start');
    if (stage.applies('started paused')) await stage.perform('stop paused');
  };

  const run = async (): Promise<string | undefined> => {
    try {
      await play(script.body, voice.say);
    } catch (error) {
      if (!(error instanceof GuestFailed)) throw signal.aborted ? endOf(signal) : error;
      await play(script.failed(error.message), voice.say);
      await play(script.cleanup, voice.say);
      return error.message;
    }
    await play(script.cleanup, voice.say);
    return undefined;
  };

  let killed = false;
  try {
    const failure = await run();
    await stage.clear(false);
    await play(failure === undefined ? finished(c.vmid) : failed(c.vmid, failure), voice.say);
    await stage.keepLog(ownLog);
    return failure === undefined;
  } catch (error) {
    killed = error instanceof WorkerDied;
    if (error instanceof Interrupted) {
      await interrupted();
      await play(failed(c.vmid, error.message), blurt);
    }
    throw error;
  } finally {
    await stage.clear(killed);
  }
};
