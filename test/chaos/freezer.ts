/** Everything of a guest stands still, as a container does while its snapshot is taken: by the freezer of cgroups, or by signals. */
import { existsSync, mkdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { signal } from './quiesced-world.ts';

export interface Freezer {
  freeze(): void;
  thaw(): void;
  remove(): void;
}

const V1 = '/sys/fs/cgroup/freezer';

/** Root may use the freezer; cgroups(7), version 1. */
export const hasFreezer = process.getuid?.() === 0 && existsSync(join(V1, 'cgroup.procs'));

let made = 0;

/** One that has just ended, for it has let go, need not be frozen. */
const putInto = (pid: number, group: string): void => {
  try {
    writeFileSync(join(group, 'cgroup.procs'), String(pid));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
};

export const cgroupFreezer = (pids: () => number[]): Freezer => {
  const group = join(V1, `felhom-test-${process.pid}-${made++}`);
  mkdirSync(group);
  const state = (wanted: 'FROZEN' | 'THAWED') => writeFileSync(join(group, 'freezer.state'), wanted);
  return {
    freeze: () => {
      for (const pid of pids()) putInto(pid, group);
      state('FROZEN');
    },
    thaw: () => state('THAWED'),
    remove: () => {
      state('THAWED');
      // A group with processes in it stays; they end with the test, and so it is tried again by nobody but the machine's end.
      for (const pid of pids()) putInto(pid, V1);
      try {
        rmdirSync(group);
      } catch {
        // Somebody it started is still there.
      }
    },
  };
};

export const signalFreezer = (pids: () => number[]): Freezer => {
  let stopped: number[] = [];
  const thaw = () => {
    for (const pid of stopped) signal(pid, 'SIGCONT');
    stopped = [];
  };
  return {
    freeze: () => {
      stopped = pids();
      for (const pid of stopped) signal(pid, 'SIGSTOP');
    },
    thaw,
    remove: thaw,
  };
};
