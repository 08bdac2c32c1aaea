/** The wait for the node's lock, with the lines that tell of it. */

import { WorkerDied } from '../tasks.ts';
import { endOf } from './errors.ts';
import { type HeldLock, tryLock, waitForLock } from './lock.ts';
import { POLL_MS, type Run } from './run.ts';

/** The wait ends with the clock's minutes, which may run faster than ours. */
const waitMinutes = async ({ files, job, clock, task }: Run): Promise<HeldLock | undefined> => {
  const deadline = clock() + job.lockwaitMinutes * 60_000;
  const late = new AbortController();
  const timer = setInterval(() => clock() >= deadline && late.abort(), POLL_MS);
  try {
    return await waitForLock(files.lockFile, AbortSignal.any([late.signal, task.signal]));
  } finally {
    clearInterval(timer);
  }
};

export const takeNodeLock = async (run: Run): Promise<HeldLock> => {
  const { files, job, task, voice } = run;
  const free = await tryLock(files.lockFile);
  if (free) return free;
  const refuse = (why: string): never => {
    voice.blurt(`ERROR: can't acquire lock '${files.lockFile}' ${why}`);
    throw new WorkerDied('no lock');
  };
  if (job.lockwaitMinutes === 0) return refuse('(wait = 0)');
  voice.blurt('INFO: trying to get global lock - waiting...');
  const held = await waitMinutes(run);
  if (task.signal.aborted) {
    await held?.release();
    throw endOf(task.signal);
  }
  if (!held) return refuse('- got timeout');
  voice.blurt('INFO: got global lock');
  return held;
};
