/** The node's one vzdump at a time: a real flock(2), so that /proc/locks shows it and foreign holders count. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';

export interface HeldLock {
  release(): Promise<void>;
}

/** flock(1) becomes `cat`, which ends with our end of the pipe: the lock cannot outlive this process. */
const holder = (file: string, how: readonly string[]): ChildProcess =>
  spawn('/usr/bin/flock', ['--exclusive', '--no-fork', ...how, file, 'sh', '-c', 'echo; exec cat'], {
    stdio: ['pipe', 'pipe', 'ignore'],
  });

const end = async (child: ChildProcess): Promise<void> => {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
};

/** Settles with the lock, or with `undefined` when the holder ended without it. */
const acquired = (child: ChildProcess): Promise<HeldLock | undefined> =>
  new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', () => resolve(undefined));
    child.stdout?.once('data', () => resolve({ release: () => end(child) }));
  });

export const tryLock = (file: string): Promise<HeldLock | undefined> => acquired(holder(file, ['--nonblock']));

/** Waits in the kernel's queue until `signal` gives up. */
export const waitForLock = async (file: string, signal: AbortSignal): Promise<HeldLock | undefined> => {
  const child = holder(file, []);
  const giveUp = (): void => void child.kill('SIGKILL');
  if (signal.aborted) giveUp();
  signal.addEventListener('abort', giveUp, { once: true });
  try {
    return await acquired(child);
  } finally {
    signal.removeEventListener('abort', giveUp);
  }
};
