import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createFileLock } from '#agent/ports/file-lock';
import { createGuestConfigFiles } from '#agent/ports/guest-config-file';

let dir = '';
let folder = '';
let file = '';
let lockFile = '';
const children: ChildProcess[] = [];

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'felhom-config-'));
  folder = join(dir, 'pve/nodes/pve1/lxc');
  mkdirSync(folder, { recursive: true });
  mkdirSync(join(dir, 'pve/nodes/pve1/qemu-server'));
  symlinkSync('nodes/pve1', join(dir, 'pve/local'));
  writeFileSync(join(dir, 'pve/.version'), '{"version":1}');
  file = join(folder, '101.conf');
  lockFile = join(dir, 'lock/pve-config-101.lock');
  writeFileSync(file, Buffer.from('#caf\xe9 \x80\xff\narch: amd64\n', 'latin1'));
  chmodSync(file, 0o640);
});
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  rmSync(dir, { recursive: true, force: true });
});

const configs = (waitSeconds?: number) =>
  createGuestConfigFiles({ configDir: join(dir, 'pve'), lockDir: join(dir, 'lock'), withLock: createFileLock(waitSeconds) });

/** As Proxmox takes it. */
const holdLock = (): Promise<ChildProcess> => {
  mkdirSync(join(dir, 'lock'), { recursive: true });
  const child = spawn('/usr/bin/flock', ['--exclusive', '--no-fork', lockFile, '/bin/sh', '-c', 'echo held; exec sleep 60'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  return new Promise((resolve) => child.stdout?.once('data', () => resolve(child)));
};

/** Whether somebody else could take it at this moment. */
const isFree = (): Promise<boolean> =>
  new Promise((resolve) => spawn('/usr/bin/flock', ['-n', lockFile, '/bin/true']).once('close', (exit) => resolve(exit === 0)));

test('a directory that hangs holds one thread, however often it is asked for: files can still be read', async () => {
  const version = join(dir, 'pve/.version');
  rmSync(version);
  execFileSync('/usr/bin/mkfifo', [version]);
  const files = configs();
  const asked = [1, 2, 3].flatMap(() => [files.read(101), files.all()]).map((one) => one.catch(() => 'refused'));
  const others = [1, 2, 3].map(() => readFile('/proc/self/stat', 'utf8'));
  const stuck = new Promise((resolve) => setTimeout(resolve, 2_000, 'every thread is stuck'));
  const before = await Promise.race([Promise.all(others), stuck]);
  expect(await Promise.all(asked)).toEqual(Array(6).fill('refused'));
  const again = performance.now();
  await expect(files.read(101)).rejects.toThrow(/did not answer/);
  expect(performance.now() - again).toBeLessThan(1_000);
  const writer = openSync(version, constants.O_RDWR);
  writeFileSync(`${version}.new`, '{"version":1}');
  renameSync(`${version}.new`, version);
  closeSync(writer);
  await expect.poll(() => files.read(101).catch(() => null)).toMatchObject({ vmid: 101 });
  expect(before).toHaveLength(3);
});

test('reads each guest of this node', async () => {
  writeFileSync(join(dir, 'pve/nodes/pve1/qemu-server/100.conf'), 'name: vm\n');
  writeFileSync(join(folder, '101.conf.tmp.77'), 'half');
  expect(await configs().read(100)).toEqual({ vmid: 100, type: 'qemu', text: 'name: vm\n' });
  expect(await configs().read(102)).toBeNull();
  expect((await configs().all()).map(({ vmid, type }) => `${type} ${vmid}`)).toEqual(['lxc 101', 'qemu 100']);
});

test("does not take the absence of Proxmox's directory for the absence of a guest", async () => {
  rmSync(join(dir, 'pve'), { recursive: true });
  mkdirSync(join(dir, 'pve'));
  await expect(configs().read(101)).rejects.toThrow();
  await expect(configs().all()).rejects.toThrow();
});

test('changes the file whole, keeps bytes that are no text, and leaves nothing beside it', async () => {
  const { ino } = statSync(file);
  expect(await configs().changeContainer(101, (text) => `${text}memory: 512\n`)).toBe(true);
  expect(readFileSync(file, 'latin1')).toBe('#caf\xe9 \x80\xff\narch: amd64\nmemory: 512\n');
  expect(statSync(file).ino).not.toBe(ino);
  expect(statSync(file).mode & 0o777).toBe(0o640);
  expect(readdirSync(folder)).toEqual(['101.conf']);
});

test('writes nothing where nothing changes', async () => {
  const before = statSync(file);
  expect(await configs().changeContainer(101, (text) => text)).toBe(false);
  expect(statSync(file).ino).toBe(before.ino);
});

test("holds Proxmox's lock while it reads and writes, and lets it go", async () => {
  let free: Promise<boolean> | undefined;
  const slow = createGuestConfigFiles({
    configDir: join(dir, 'pve'),
    lockDir: join(dir, 'lock'),
    withLock: (path, act) =>
      createFileLock()(path, async () => {
        free = isFree();
        await free;
        return act();
      }),
  });
  await slow.changeContainer(101, (text) => `${text}#x\n`);
  expect(await free).toBe(false);
  expect(await isFree()).toBe(true);
});

test('waits for whoever has the lock, and does not lose what was written meanwhile', async () => {
  const holder = await holdLock();
  const changed = configs().changeContainer(101, (text) => `${text}ours: 1\n`);
  await new Promise((resolve) => setTimeout(resolve, 100));
  writeFileSync(file, 'theirs: 1\n');
  holder.kill('SIGKILL');
  expect(await changed).toBe(true);
  expect(readFileSync(file, 'utf8')).toBe('theirs: 1\nours: 1\n');
});

test('gives up, with nothing changed, when the lock is not to be had', async () => {
  await holdLock();
  await expect(configs(0.1).changeContainer(101, () => 'changed')).rejects.toMatchObject({ name: 'LockBusy' });
  expect(readFileSync(file, 'latin1')).toContain('arch: amd64');
});

test('writes nothing over the change of somebody who did not take the lock', async () => {
  await expect(
    configs().changeContainer(101, (text) => {
      writeFileSync(file, 'theirs: 1\n');
      return `${text}ours: 1\n`;
    }),
  ).rejects.toThrow(/somebody/);
  expect(readFileSync(file, 'utf8')).toBe('theirs: 1\n');
});

test('the lock is let go when the change is given up, and nothing is left', async () => {
  await expect(
    configs().changeContainer(101, () => {
      throw new Error('not now');
    }),
  ).rejects.toThrow('not now');
  expect(await isFree()).toBe(true);
  expect(readdirSync(folder)).toEqual(['101.conf']);
});

test('a guest that is gone stays gone', async () => {
  rmSync(file);
  await expect(configs().changeContainer(101, () => 'again')).rejects.toThrow(/ENOENT/);
  expect(existsSync(file)).toBe(false);
});
