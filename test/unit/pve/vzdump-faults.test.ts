/** The node's lock, and everything that a test may make go wrong. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { taskLogFile } from '../../pve/tasks.ts';
import { createTestNode } from '../../pve/vzdump/testing.ts';

let node: Awaited<ReturnType<typeof createTestNode>>;
afterEach(() => node.close());

const BASE = { storage: 'bak', mode: 'snapshot', compress: 'zstd' };
const CT = { ...BASE, vmid: '201' };
const dump = (): string[] => (existsSync(join(node.backupPath, 'dump')) ? readdirSync(join(node.backupPath, 'dump')) : []);
const suffixes = () => dump().map((f) => f.replace(/^.*\d\./, ''));

const until = async (done: () => boolean): Promise<void> => {
  while (!done()) await sleep(5);
};

/** /proc/locks names the file by device and inode. */
const lockedInProc = (): boolean => {
  const inode = statSync(node.files.lockFile).ino;
  return readFileSync('/proc/locks', 'utf8')
    .split('\n')
    .some((l) => /FLOCK .* WRITE/.test(l) && l.includes(`:${inode} `));
};

const holdLock = async () => {
  const child = spawn('/usr/bin/flock', ['-F', node.files.lockFile, 'sh', '-c', 'echo; exec cat'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  return async () => {
    child.stdin.end();
    await once(child, 'exit');
  };
};

test('a run holds the node lock, as the kernel sees it, and gives it back', async () => {
  node = await createTestNode();
  const seen: boolean[] = [];
  node.faults.onLine = () => seen.push(lockedInProc());
  await node.run(CT);
  expect(new Set(seen)).toEqual(new Set([true]));
  expect(lockedInProc()).toBe(false);
});

test('lockwait 0 fails at once, without a TASK line, while somebody else holds the lock', async () => {
  node = await createTestNode();
  const release = await holdLock();
  const task = await node.run({ ...CT, lockwait: 0 });
  expect(task.log).toEqual([`ERROR: can't acquire lock '${node.files.lockFile}' (wait = 0)`]);
  expect(task.exitstatus).toBe('unexpected status');
  await release();
});

test('a second backup waits for the first', async () => {
  node = await createTestNode();
  const release = await holdLock();
  const task = node.start(CT);
  await until(() => task.log.length > 0);
  expect(task.log).toEqual(['INFO: trying to get global lock - waiting...']);
  await release();
  await node.tasks.ended(task.upid);
  expect(task.log[1]).toBe('INFO: got global lock');
  expect(task.exitstatus).toBe('OK');
});

test('the wait ends with the clock, not with ours', async () => {
  let now = 0;
  node = await createTestNode({ clock: () => now });
  const release = await holdLock();
  const task = node.start({ ...CT, lockwait: 3 });
  await until(() => task.log.length > 0);
  now += 3 * 60_000;
  await node.tasks.ended(task.upid);
  expect(task.log[1]).toBe(`ERROR: can't acquire lock '${node.files.lockFile}' - got timeout`);
  expect(task.exitstatus).toBe('unexpected status');
  await release();
});

test.each([201, 100])('guest %s fails in the middle of the copy and is clean afterwards', async (vmid) => {
  node = await createTestNode();
  node.faults.fail = { text: 'no space left on device' };
  const task = await node.run({ ...BASE, vmid: String(vmid) });
  expect(task.log).toContain(`ERROR: Backup of VM ${vmid} failed - no space left on device`);
  expect(task.log.slice(-2)).toEqual(['INFO: Backup job finished with errors', 'TASK ERROR: job errors']);
  expect(suffixes()).toEqual(['log']);
  expect(node.guest(vmid).config.lock).toBeUndefined();
  expect(node.guest(vmid).snapshots).toEqual({});
});

test('warnings are counted', async () => {
  node = await createTestNode();
  node.faults.warn = 2;
  expect((await node.run(CT)).exitstatus).toBe('WARNINGS: 2');
});

test('the fallback to suspend mode can be forced', async () => {
  node = await createTestNode();
  node.faults.suspend = true;
  expect((await node.run(CT)).log).toContain("INFO: trying 'suspend' mode instead");
});

test('a hung worker goes on when it is let go', async () => {
  node = await createTestNode();
  node.faults.hang = /creating vzdump/;
  const task = node.start(CT);
  await until(() => /creating/.test(task.log.at(-1) ?? ''));
  await sleep(50);
  expect(task.log.at(-1)).toMatch(/creating/);
  node.faults.hang = undefined;
  await node.tasks.ended(task.upid);
  expect(task.exitstatus).toBe('OK');
});

test('a killed worker leaves what SIGKILL leaves, and the next run says so', async () => {
  node = await createTestNode();
  node.faults.dieAt = 'creating vzdump archive';
  const task = await node.run(CT);
  expect(task.exitstatus).toBe('unexpected status');
  expect(task.log.at(-1)).toMatch(/creating vzdump archive/);
  expect(suffixes()).toEqual(['tar.dat']);
  expect(node.guest(201).config.lock).toBe('backup');
  expect(Object.keys(node.guest(201).snapshots)).toEqual(['vzdump']);
  expect(lockedInProc()).toBe(false);
  node.faults.dieAt = undefined;
  expect((await node.run(CT)).log).toContain('ERROR: Backup of VM 201 failed - CT is locked (backup)');
  delete node.guest(201).config.lock;
  const again = await node.run(CT);
  expect(again.log).toContain('INFO: found old vzdump snapshot (force removal)');
  expect(again.exitstatus).toBe('OK');
});

test('a lost task is nowhere any more', async () => {
  node = await createTestNode();
  node.faults.lose = 'Finished Backup';
  const task = await node.run(CT);
  expect(node.world.tasks).toEqual([]);
  expect(existsSync(taskLogFile(node.files, task))).toBe(false);
  expect(node.world.storages.get('bak')?.archives).toHaveLength(1);
});

test('the copy can be stretched', async () => {
  node = await createTestNode();
  node.faults.copyMs = 300;
  const at: Record<string, number> = {};
  node.faults.onLine = (line, ms) => {
    at[/creating|Total/.exec(line)?.[0] ?? ''] = ms;
  };
  await node.run(CT);
  expect((at.Total ?? 0) - (at.creating ?? 0)).toBeGreaterThanOrEqual(290);
});

test('lines stand in the file when they are told, also in unknown words', async () => {
  node = await createTestNode();
  node.faults.unknownWording = (line) => line.replace('creating vzdump archive', 'writing dump');
  const files: boolean[] = [];
  const tasks = node.world.tasks;
  node.faults.onLine = (line) => {
    const task = tasks.at(-1);
    if (task) files.push(readFileSync(taskLogFile(node.files, task), 'utf8').endsWith(`${line}\n`));
  };
  const task = await node.run(CT);
  expect(task.log.some((l) => l.startsWith("INFO: writing dump '"))).toBe(true);
  expect(new Set(files)).toEqual(new Set([true]));
});

test.each([
  [201, 'backup'],
  [101, undefined],
])('a stopped task of guest %s says so and leaves the lock %s', async (vmid, lock) => {
  node = await createTestNode();
  await node.fill(vmid, 'rootfs', { a: 'x'.repeat(1_000_000) });
  node.faults.copyMs = 60_000;
  const task = node.start({ ...BASE, vmid: String(vmid) });
  await until(() => /creating/.test(task.log.at(-1) ?? ''));
  await node.tasks.stop(task.upid);
  expect(task.log.slice(-4)).toEqual([
    `ERROR: Backup of VM ${vmid} failed - interrupted by signal`,
    expect.stringMatching(/^INFO: Failed at /),
    'ERROR: Backup job failed - interrupted by signal',
    'TASK ERROR: interrupted by signal',
  ]);
  expect(node.guest(vmid).config.lock).toBe(lock);
  expect(suffixes()).toEqual([]);
  expect(lockedInProc()).toBe(false);
});

test.each(['waiting', 'hung'])('a task stopped while it is %s ends at once', async (how) => {
  node = await createTestNode();
  const release = how === 'waiting' ? await holdLock() : undefined;
  if (how === 'hung') node.faults.hang = /status = /;
  const task = node.start(CT);
  await until(() => /waiting|status =/.test(task.log.at(-1) ?? ''));
  await node.tasks.stop(task.upid);
  expect(task.exitstatus).toBe('interrupted by signal');
  await release?.();
});

test('a storage that hangs holds the task until it answers', async () => {
  node = await createTestNode();
  const bak = node.world.storages.get('bak');
  if (bak) bak.hung = true;
  const task = node.start(CT);
  await sleep(80);
  expect(task.log).toEqual([]);
  if (bak) bak.hung = false;
  await node.tasks.ended(task.upid);
  expect(task.exitstatus).toBe('OK');
});

test('guests of other nodes are skipped, and nothing starts when there are no others', async () => {
  node = await createTestNode();
  mkdirSync(node.files.configDir);
  writeFileSync(join(node.files.configDir, '.vmlist'), JSON.stringify({ ids: { 301: { node: 'pve2' }, 101: { node: 'pve1' } } }));
  expect(node.vzdump.start({ ...BASE, vmid: '301' }, { user: 'admin@pve', may: () => true })).toBe('OK');
  const task = await node.run({ ...BASE, vmid: '301,101' });
  expect(task.id).toBe('101');
  expect(task.log[1]).toBe('INFO: skip external VMs: 301');
});

test('what cannot be written fails the guest, not the job, and the guest is free again', async () => {
  node = await createTestNode();
  writeFileSync(join(node.backupPath, 'dump'), 'a file where the directory should be');
  const task = await node.run(CT);
  expect(task.log.some((l) => /^ERROR: Backup of VM 201 failed - ENOTDIR/.test(l))).toBe(true);
  expect(task.exitstatus).toBe('job errors');
  expect(node.guest(201).config.lock).toBeUndefined();
});

test('data that cannot be copied does not leave the guest locked', async () => {
  node = await createTestNode();
  node.guest(201).directories.rootfs = join(node.root, 'a-file');
  writeFileSync(join(node.root, 'a-file'), '');
  const task = await node.run(CT);
  expect(task.exitstatus).toBe('job errors');
  expect(node.guest(201).config.lock).toBeUndefined();
});

test('closing the node in the middle of a run leaves no process and no file behind', async () => {
  const leftovers = () => readdirSync(tmpdir()).filter((f) => f.startsWith('felhom-vzdump-'));
  const before = leftovers();
  node = await createTestNode();
  await node.fill(201, 'rootfs', { a: 'x'.repeat(5_000_000) });
  node.faults.copyMs = 60_000;
  const task = node.start(CT);
  await until(() => /creating/.test(task.log.at(-1) ?? ''));
  await node.tasks.stopAll();
  expect(lockedInProc()).toBe(false);
  expect(leftovers().filter((f) => !before.includes(f))).toEqual([]);
});
