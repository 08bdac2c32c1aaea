/** The demo's drives by themselves: taken away whoever stays in them, and mounted where the agent agrees to. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { buildDrives, type DriveOptions } from '../../demo/drives.ts';
import { mountRootOf, takeDown } from '../../demo/take-down.ts';
import { leftOf } from '../../e2e/demo.ts';
import { labMissing, outcome } from './lab.ts';

describe.skipIf(labMissing !== '')(`the demo's drives (skipped where ${labMissing})`, { timeout: 90_000 }, () => {
  let dir = '';
  let close = async (): Promise<void> => undefined;
  beforeEach(() => {
    dir = realpathSync(mkdtempSync(join(tmpdir(), 'felhom-')));
    chmodSync(dir, 0o711);
  });
  afterEach(async () => {
    await close();
    await takeDown(dir);
    rmSync(dir, { recursive: true, force: true });
  });
  const build = async (options: DriveOptions) => {
    const built = await buildDrives(options);
    if (typeof built === 'string') throw new Error(built);
    close = built.close;
    return built;
  };
  const places = (): DriveOptions => ({ dir, system: join(dir, 'storage/local-btrfs'), backup: join(dir, 'storage/usb-backup') });

  test('are taken away, also what the agent made immutable below them', async () => {
    const built = await build(places());
    const { mount_root } = built.settings;
    expect(mount_root).toBe(join(dir, 'mnt'));
    mkdirSync(join(mount_root, 'photos'), { recursive: true });
    await outcome('chattr', '+i', join(mount_root, 'photos'));
    await outcome('mount', `/dev/${built.devices.user_data[0]}`, join(mount_root, 'photos'));
    expect(readdirSync(join(mount_root, 'photos/2026'))).toEqual(['beach.txt', 'mountains.txt']);
    expect(leftOf(dir)).toHaveLength(8);
    expect(await takeDown(dir)).toBe('');
    expect(leftOf(dir)).toEqual([]);
    rmSync(join(mount_root, 'photos'), { recursive: true });
  });

  test('that somebody stays in are named, and are gone when they leave', async () => {
    const built = await build(places());
    const stays = spawn('/bin/sleep', ['60'], { cwd: places().backup, stdio: 'ignore' });
    try {
      expect(await takeDown(dir, 500)).toBe(`Still in use, and gone when whoever uses it ends: ${built.devices.backup}.`);
    } finally {
      stays.kill('SIGKILL');
      await once(stays, 'exit');
    }
    for (let tries = 0; tries < 100 && leftOf(dir).length > 0; tries += 1)
      await new Promise((resolve) => setTimeout(resolve, 50));
    expect(leftOf(dir)).toEqual([]);
  });

  test('are described again under the name that they come back by', async () => {
    const { devices, settings } = await build(places());
    const [, films = ''] = devices.user_data;
    const file = join(dir, 'drives/films.img');
    const numbersOf = (name: string) => readFileSync(`/sys/class/block/${name}/dev`, 'utf8').trim();
    const entry = (numbers: string) => {
      const path = join(settings.udev_dir, 'data', `b${numbers}`);
      return existsSync(path) ? readFileSync(path, 'utf8') : '';
    };
    const until = async (holds: () => boolean) => {
      for (let tries = 0; tries < 200 && !holds(); tries += 1) await new Promise((resolve) => setTimeout(resolve, 50));
      expect(holds()).toBe(true);
    };
    const before = numbersOf(films);
    await new Promise((resolve) => setTimeout(resolve, 1000));
    await outcome('partx', '-d', `/dev/${films}`);
    await outcome('losetup', '-d', `/dev/${films}`);
    await until(() => entry(before) === '');
    const { stdout } = await outcome('losetup', '--find', '--show', file);
    const now = stdout.trim().replace('/dev/', '');
    await until(() => entry(numbersOf(now)).includes('E:ID_SERIAL_SHORT=ZW6000104'));
    await until(() => existsSync(`/sys/class/block/${now}p1`) && entry(numbersOf(`${now}p1`)).includes('E:ID_FS_LABEL=films'));
  });

  test('another demo beside is left alone', async () => {
    const other = join(dir, 'other');
    const own = join(dir, 'own');
    for (const one of [other, own]) mkdirSync(one);
    await build({ ...places(), dir: other });
    writeFileSync(join(own, 'demo.json'), '{}');
    expect(await takeDown(own)).toBe('');
    expect(leftOf(other).length).toBeGreaterThanOrEqual(5);
  });
});

describe.skipIf(process.getuid?.() !== 0)('where drives are mounted for guests (skipped without root)', () => {
  const inHome = (prepare: (dir: string) => void): string => {
    const dir = realpathSync(mkdtempSync(join(tmpdir(), 'felhom-')));
    try {
      chmodSync(dir, 0o711);
      prepare(dir);
      return mountRootOf(dir);
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  };

  test.each<[string, (dir: string) => void]>([
    ["in somebody's home", (dir) => chownSync(dir, 65_534, 65_534)],
    ['in a directory that others may write', (dir) => chmodSync(dir, 0o777)],
    ['in one that a container could not pass', (dir) => chmodSync(dir, 0o700)],
  ])('not below a demo %s, but where only root comes', (_where, prepare) => {
    expect(inHome(prepare)).toMatch(/^\/run\/felhom-demo-[0-9a-f]{12}$/);
  });

  test('not below a path that a unit or a configuration would misread', () => {
    expect(mountRootOf('/srv/my demo')).toMatch(/^\/run\/felhom-demo-/);
  });

  test('below any other demo', () => {
    expect(inHome(() => undefined)).toMatch(/\/felhom-[^/]+\/mnt$/);
    expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain('/run/felhom-demo-');
  });
});
