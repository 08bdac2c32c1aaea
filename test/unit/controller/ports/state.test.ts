import { mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { keepInstance, readInstance } from '#controller/ports/instance';
import { lockState, runningLoop } from '#controller/ports/lock';
import { readResult, writeResult } from '#controller/ports/record';

let dir = '';
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'felhom-state-'));
});
afterEach(() => rm(dir, { recursive: true }));

test('the instance id is made once, for its owner only', async () => {
  const run = join(dir, 'run');
  const made = await keepInstance(run);
  expect(made).toMatch(/^[0-9a-f-]{36}$/);
  await expect(keepInstance(run)).resolves.toBe(made);
  await expect(readInstance(run)).resolves.toBe(made);
  expect((await stat(join(run, 'instance'))).mode & 0o777).toBe(0o600);
});

test('where the id cannot be kept there is one for this process; a reader has none', async () => {
  await writeFile(join(dir, 'file'), '');
  await expect(keepInstance(join(dir, 'file'))).resolves.toMatch(/^[0-9a-f-]{36}$/);
  await expect(readInstance(join(dir, 'file'))).resolves.toBeNull();
});

test('one holds the lock, the next is told who; released it is free', async () => {
  const first = await lockState(dir);
  expect(first.kind).toBe('held');
  await expect(lockState(dir)).resolves.toEqual({ kind: 'taken', pid: process.pid });
  await expect(runningLoop(dir)).resolves.toBe(process.pid);
  if (first.kind === 'held') await first.release();
  await expect(runningLoop(dir)).resolves.toBeNull();
  expect((await lockState(dir)).kind).toBe('held');
});

test.each([
  ['of a process that is gone', async () => '4194303 1 x'],
  [
    'of another process with that number',
    async () => `${process.pid} 1 ${(await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim()}`,
  ],
  ['that is empty', async () => ''],
])('a lock %s is taken over', async (_whose, text) => {
  await writeFile(join(dir, 'lock'), await text());
  expect((await lockState(dir)).kind).toBe('held');
  expect(await readdir(dir)).toEqual(['lock']);
});

test('on a full disk a loop that runs is still seen; without one the start goes on', async () => {
  const full = () => symlink('/dev/full', join(dir, 'lock.full'));
  await full();
  expect((await lockState(dir, 'lock.full')).kind).toBe('unwritable');
  await lockState(dir);
  await full();
  await expect(lockState(dir, 'lock.full')).resolves.toEqual({ kind: 'taken', pid: process.pid });
});

test('of ten starts on a stale lock one gets it', async () => {
  await writeFile(join(dir, 'lock'), '4194303 1 x');
  const results = await Promise.all(Array.from({ length: 10 }, () => lockState(dir)));
  expect(results.filter(({ kind }) => kind === 'held').length).toBeLessThanOrEqual(1);
  await expect(runningLoop(dir)).resolves.toBe(process.pid);
});

test('the last result is kept; what is not one is none', async () => {
  const result = {
    started_at: '2026-03-01T04:00:00.000Z',
    finished_at: '2026-03-01T04:10:00.000Z',
    outcome: 'done' as const,
    job_id: 'j',
    release: 'point',
    held_ms: 1000,
    apps: [
      {
        name: 'db',
        adapter: 'command',
        kind: 'command-app' as const,
        held: true,
        held_ms: 900.5,
        consistent: true,
        covered: false,
        ok: false,
        code: 'not-covered' as const,
        why: 'where its data lies is not known',
      },
    ],
    quiesce_error: '',
    label: 'filesystem' as const,
    error: '',
  };
  await expect(readResult(dir)).resolves.toBeNull();
  await writeResult(dir, result);
  await expect(readResult(dir)).resolves.toEqual(result);
  await writeFile(join(dir, 'last.json'), '{"outcome":"great"}');
  await expect(readResult(dir)).resolves.toBeNull();
});
