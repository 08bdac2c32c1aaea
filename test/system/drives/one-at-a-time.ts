/**
 * Loop devices, mounts and containers are the whole machine's: of all test files that need them, here and in any other checkout, one runs
 * at a time. The lock is a child's, which ends with this process however that ends (flock(1)).
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';

/** Others may be long at it. */
const PATIENCE_MS = 900_000;

let holder: ChildProcess | undefined;

beforeAll(async () => {
  // Of each user's own: nobody can keep another's tests from running.
  const file = join(tmpdir(), `felhom-drives-${process.getuid?.()}.lock`);
  const child = spawn('/usr/bin/flock', [file, 'sh', '-c', 'echo held && exec cat'], { stdio: ['pipe', 'pipe', 'inherit'] });
  holder = child;
  await once(child.stdout, 'data');
}, PATIENCE_MS);

afterAll(async () => {
  if (holder === undefined || holder.exitCode !== null) return;
  const ended = once(holder, 'exit');
  holder.stdin?.end();
  await ended;
});
