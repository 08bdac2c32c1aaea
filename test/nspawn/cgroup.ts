/** A control group of one's own, so that all that was started in it can be found and ended. Version 1, 2, or both at once. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';

/** Of this process: `name=systemd` of version 1, and version 2, where they are mounted (cgroups(7)). */
const ownDirectories = (): string[] => {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => ({ point: line.split(' ')[4] ?? '', tail: line.split(' - ')[1] ?? '' }));
  const unified = mounts.find(({ tail }) => tail.startsWith('cgroup2 '))?.point;
  const named = mounts.find(({ tail }) => tail.startsWith('cgroup ') && tail.includes('name=systemd'))?.point;
  return readFileSync('/proc/self/cgroup', 'utf8')
    .split('\n')
    .flatMap((line) => {
      const [, controllers, path = ''] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
      const point = controllers === '' ? unified : controllers === 'name=systemd' ? named : undefined;
      return point === undefined ? [] : [join(point, path)];
    });
};

const below = (directory: string): string[] =>
  existsSync(directory)
    ? readdirSync(directory, { withFileTypes: true })
        .filter((entry) => entry.isDirectory())
        .flatMap((entry) => below(join(directory, entry.name)))
        .concat(directory)
    : [];

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** @returns null where this system lets nobody make one */
export const makeCgroup = (name: string) => {
  const directories: string[] = [];
  try {
    for (const own of ownDirectories()) {
      const made = join(own, name);
      mkdirSync(made);
      directories.push(made);
    }
  } catch {
    for (const made of directories) rmdirSync(made);
    return null;
  }
  if (directories.length === 0) return null;

  const pids = (): number[] =>
    directories
      .flatMap(below)
      .flatMap((directory) => readFileSync(join(directory, 'cgroup.procs'), 'utf8').split('\n'))
      .map(Number)
      .filter((pid) => pid > 0);
  /** Everything in it, at once. */
  const kill = async (): Promise<void> => {
    for (let round = 0; round < 200 && pids().length > 0; round += 1) {
      for (const pid of pids()) {
        try {
          process.kill(pid, 'SIGKILL');
        } catch {
          // Gone already.
        }
      }
      await pause(20);
    }
  };
  const remove = async (): Promise<void> => {
    await kill();
    for (const directory of directories.flatMap(below)) rmdirSync(directory);
  };
  return { directories, pids, kill, remove };
};
