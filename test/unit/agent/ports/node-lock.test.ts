import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { createNodeLock } from '#agent/ports/node-lock';
import { createProc } from '#agent/ports/proc';
import { makeTree } from './tree.ts';

const proc = createProc();

/** A process that holds the file's lock until the function is called. */
const hold = async (file: string, ...how: string[]): Promise<() => Promise<void>> => {
  const child = spawn('/usr/bin/flock', [...how, '--no-fork', file, 'sh', '-c', 'echo; exec sleep 60'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const end = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  };
  onTestFinished(end);
  await once(child.stdout, 'data');
  return end;
};

test('a real lock, from before it is taken until after it is released', async () => {
  const lockFile = join(await makeTree({ 'vzdump.lock': '', 'other.lock': '' }), 'vzdump.lock');
  const { held } = createNodeLock({ lockFile, proc });
  expect(await held()).toBe(false);
  const release = await hold(lockFile, '--exclusive');
  expect(await held()).toBe(true);
  // Looking does not take it.
  expect(await Promise.all([held(), held()])).toEqual([true, true]);
  await release();
  expect(await held()).toBe(false);
});

test("another file's lock is not ours", async () => {
  const tree = await makeTree({ 'vzdump.lock': '', 'other.lock': '' });
  await hold(join(tree, 'other.lock'), '--exclusive');
  expect(await createNodeLock({ lockFile: join(tree, 'vzdump.lock'), proc }).held()).toBe(false);
});

test('no lock file: no backup has run since the boot', async () =>
  expect(await createNodeLock({ lockFile: '/nonexistent/vzdump.lock', proc }).held()).toBe(false));

test('the lock of the same inode number on another file system, and one that is only waited for, are not held', async () => {
  const lockFile = join(await makeTree({ 'vzdump.lock': '' }), 'vzdump.lock');
  const told = async (lines: (name: string) => string): Promise<boolean> => {
    const fdinfo = async () => 'pos:\t0\nflags:\t02100000\nmnt_id:\t29\nino:\t1234\n';
    const mountinfo = async () => '29 1 254:17 / / rw - ext4 /dev/vda rw\n30 1 0:26 / /run rw - tmpfs tmpfs rw\n';
    return createNodeLock({ lockFile, proc: { fdinfo, mountinfo, locks: async () => lines('fe:11:1234') } }).held();
  };
  expect(await told((name) => `1: FLOCK  ADVISORY  WRITE 7518 ${name} 0 EOF\n`)).toBe(true);
  expect(await told(() => '1: FLOCK  ADVISORY  WRITE 7518 00:1a:1234 0 EOF\n')).toBe(false);
  expect(await told((name) => `1: -> FLOCK  ADVISORY  WRITE 7518 ${name} 0 EOF\n`)).toBe(false);
  expect(await told((name) => `1: POSIX  ADVISORY  WRITE 7518 ${name} 0 EOF\n`)).toBe(false);
});

test('a lock that cannot be looked at is not said to be free', async () => {
  const lockFile = join(await makeTree({ 'vzdump.lock': '' }), 'vzdump.lock');
  const blind = { ...proc, mountinfo: async () => '' };
  await expect(createNodeLock({ lockFile, proc: blind }).held()).rejects.toThrow('not in mountinfo');
});
