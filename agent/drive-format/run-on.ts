/** Runs a program of the host on devices that are open here: by what is open, never by a name. */
import { spawnSync } from 'node:child_process';
import { Failed } from './failed.ts';

export interface Said {
  exit: number;
  stdout: string;
  stderr: string;
}

/** What the first and the second of `fds` are called in the program: opened anew by it (proc_pid_fd(5)), the lock comes with them. */
export const FIRST = '/proc/self/fd/3';
export const SECOND = '/proc/self/fd/4';

const MAX_BYTES = 16 * 1024 ** 2;

/**
 * Runs it to its end, however long that takes: a drive that hangs stops only this process. Throws Failed where it cannot be started.
 * @param fds open devices, which the program has as 3, 4 …
 */
export const runOn = (fds: readonly number[], path: string, args: readonly string[], input = ''): Said => {
  const { status, signal, stdout, stderr, error } = spawnSync(path, args, {
    cwd: '/',
    encoding: 'utf8',
    env: { LC_ALL: 'C' },
    input,
    maxBuffer: MAX_BYTES,
    stdio: ['pipe', 'pipe', 'pipe', ...fds],
  });
  // A program that reads nothing may have ended before its input was written.
  if (error !== undefined && status === null && signal === null) throw new Failed('internal', `${path}: ${error.message}`);
  return { exit: status ?? -1, stdout, stderr: signal === null ? stderr.trim() : `${stderr.trim()} (${signal})` };
};

/** The same, for programs that have to end with 0. */
export const runWell = (fds: readonly number[], path: string, args: readonly string[], input = ''): Said => {
  const said = runOn(fds, path, args, input);
  if (said.exit === 0) return said;
  const why = `${path} ended with ${said.exit}: ${said.stderr.slice(0, 2000)}`;
  throw new Failed(/\bbusy\b/i.test(said.stderr) ? 'busy' : 'io', why);
};
