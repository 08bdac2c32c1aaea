import { chmodSync, chownSync, existsSync, mkdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { mkdtemp, realpath } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CommandError, type RunCommand, runCommand } from '#agent/ports/command';
import { createMountDirectories } from '#agent/ports/immutable';

let dir: string;
const directories = createMountDirectories(runCommand);
const isBare = async () => true;
const root = process.getuid?.() === 0;

beforeEach(async () => {
  dir = await realpath(await mkdtemp(join(tmpdir(), 'felhom-directories-')));
});
afterEach(async () => {
  await runCommand('chattr', ['-R', '-i', '--', dir]).catch(() => undefined);
  rmSync(dir, { recursive: true, force: true });
});

describe.skipIf(!root)('directories for mounts (skipped without root, whose they are to be)', () => {
  test('one is made closed and immutable, and taken away again', async () => {
    const path = join(dir, 'photos');
    await directories.check(path);
    expect(existsSync(path)).toBe(false);
    await directories.make(path);
    expect(statSync(path)).toMatchObject({ uid: 0, mode: 0o040000 });
    expect(await directories.protect(path, isBare)).toBe(true);
    expect(() => writeFileSync(join(path, 'x'), '')).toThrow('EPERM');
    // Again it is no failure.
    await directories.make(path);
    expect(await directories.protect(path, isBare)).toBe(true);
    await directories.remove(path);
    expect(existsSync(path)).toBe(false);
    await directories.remove(path);
  });

  test('what gets mounted on it meanwhile is left alone; the directory below is immutable all the same', async () => {
    const path = join(dir, 'photos');
    await directories.make(path);
    const justBefore = async () => {
      await runCommand('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'drive', path]);
      return true;
    };
    try {
      expect(await directories.protect(path, justBefore)).toBe(true);
      writeFileSync(join(path, 'x'), '');
      expect(await directories.protect(path, async () => false)).toBe(true);
      writeFileSync(join(path, 'y'), '');
    } finally {
      await runCommand('umount', ['--', path]);
    }
    expect(() => writeFileSync(join(path, 'x'), '')).toThrow('EPERM');
  });

  test('an empty one of root’s is taken over, and closed', async () => {
    const path = join(dir, 'photos');
    mkdirSync(path, { mode: 0o755 });
    await directories.make(path);
    expect(statSync(path).mode & 0o7777).toBe(0);
  });

  test('one that holds anything is neither made nor taken away', async () => {
    const path = join(dir, 'photos');
    mkdirSync(join(path, 'album'), { recursive: true });
    await expect(directories.check(path)).rejects.toMatchObject({ reason: 'taken' });
    await expect(directories.make(path)).rejects.toMatchObject({ reason: 'taken' });
    await directories.remove(path);
    expect(existsSync(join(path, 'album'))).toBe(true);
  });

  test.each([
    ['a file', (path: string) => writeFileSync(path, '')],
    ['a link', (path: string) => symlinkSync('/etc', path)],
    [
      'somebody else’s directory',
      (path: string) => {
        mkdirSync(path);
        chownSync(path, 1000, 1000);
      },
    ],
  ])('%s in its place is refused', async (_what, make) => {
    make(join(dir, 'photos'));
    await expect(directories.make(join(dir, 'photos'))).rejects.toMatchObject({ reason: 'taken' });
  });

  test.each([
    ['a link', (path: string) => symlinkSync('/etc', path)],
    ['a file', (path: string) => writeFileSync(path, '')],
    [
      'a directory that all may write to',
      (path: string) => {
        mkdirSync(path);
        chmodSync(path, 0o777);
      },
    ],
    [
      'a directory that its group may write to',
      (path: string) => {
        mkdirSync(path);
        chmodSync(path, 0o775);
      },
    ],
    [
      'somebody else’s directory',
      (path: string) => {
        mkdirSync(path);
        chownSync(path, 1000, 1000);
      },
    ],
  ])('%s on the way is refused', async (_what, make) => {
    make(join(dir, 'root'));
    await expect(directories.check(join(dir, 'root/photos'))).rejects.toMatchObject({ reason: 'open' });
    await expect(directories.make(join(dir, 'root/photos'))).rejects.toMatchObject({ reason: 'open' });
  });
});

test('where the file system has no such attribute, that is said', async () => {
  const run: RunCommand = async (name) => {
    throw new CommandError(name, 'exit', 'Inappropriate ioctl for device', 1);
  };
  expect(await createMountDirectories(run).protect(dir, isBare)).toBe(false);
});

test('an attribute that was set and is not there is not believed', async () => {
  const run: RunCommand = async () => '---------------------- /x\n';
  expect(await createMountDirectories(run).protect(dir, isBare)).toBe(false);
});

test('where it cannot be asked, that stays a failure', async () => {
  const run: RunCommand = async (name) => {
    throw new CommandError(name, 'timeout');
  };
  await expect(createMountDirectories(run).protect(dir, isBare)).rejects.toMatchObject({ reason: 'timeout' });
});
