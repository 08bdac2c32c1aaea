/** Runs a program of the host to its end, for what it says. */
import { spawnSync } from 'node:child_process';

export interface Said {
  stdout: string;
  stderr: string;
}

/** More than the longest list of a directory that is looked into. */
const MAX_BYTES = 16 * 1024 ** 2;

/** Throws with what it said where it ends with anything but 0; `code` is the system's, or EBUSY where it spoke of that. */
export const run = (path: string, ...args: string[]): Said => {
  const { status, stdout, stderr, error } = spawnSync(path, args, {
    encoding: 'utf8',
    env: { LC_ALL: 'C' },
    maxBuffer: MAX_BYTES,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  if (error !== undefined) throw error;
  if (status === 0) return { stdout, stderr };
  throw Object.assign(new Error(`${path}: ${stderr.trim()}`), /\bbusy\b/i.test(stderr) ? { code: 'EBUSY' } : {});
};
