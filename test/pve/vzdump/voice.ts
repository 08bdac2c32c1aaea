/** Speaks a worker's lines at the simulator's pace, and is where the faults that strike at a line strike. */

import { rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type TaskHandle, taskLogFile, WorkerDied } from '../tasks.ts';
import type { NodeFiles, World } from '../world.ts';
import { endOf } from './errors.ts';
import { meets, type VzdumpFaults } from './faults.ts';

export interface Voice {
  /** After the usual delay. */
  say(line: string): Promise<void>;
  /** At once, also when the task is being stopped. */
  blurt(line: string): void;
  /** The usual delay alone. */
  breathe(): Promise<void>;
  /** Ends early, by throwing, when the task is stopped. */
  pause(ms: number): Promise<void>;
}

const HANG_POLL_MS = 20;

export interface VoiceOptions {
  world: World;
  files: NodeFiles;
  task: TaskHandle;
  faults: VzdumpFaults;
  lineDelayMs: () => number;
}

export const createVoice = ({ world, files, task, faults, lineDelayMs }: VoiceOptions): Voice => {
  const pause = async (ms: number): Promise<void> => {
    if (!task.signal.aborted) await sleep(ms, undefined, { signal: task.signal }).catch(() => undefined);
    if (task.signal.aborted) throw endOf(task.signal);
  };

  const blurt = (line: string): void => {
    const words = faults.unknownWording?.(line) ?? line;
    if (line.startsWith('WARN: ')) task.warn(words.replace(/^WARN: /, ''));
    else task.log(words);
    faults.onLine?.(words, Date.now());
  };

  const vanish = (): void => {
    const index = world.tasks.findIndex((t) => t.upid === task.upid);
    if (index >= 0) world.tasks.splice(index, 1);
    rmSync(taskLogFile(files, task.task), { force: true });
  };

  const strike = async (line: string): Promise<void> => {
    while (meets(line, faults.hang)) await pause(HANG_POLL_MS);
    if (meets(line, faults.lose)) vanish();
    if (meets(line, faults.dieAt) || meets(line, faults.lose)) throw new WorkerDied('killed');
  };

  const breathe = (): Promise<void> => pause(lineDelayMs());

  const say = async (line: string): Promise<void> => {
    await breathe();
    blurt(line);
    await strike(line);
  };

  return { say, blurt, breathe, pause };
};
