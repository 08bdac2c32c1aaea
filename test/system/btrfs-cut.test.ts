/** Where the host has btrfs, the simulator's vzdump takes a real snapshot: one instant, whatever is written meanwhile. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { placesOf } from '#controller/quiesced/places';
import { takeCut } from '../pve/vzdump/cut.ts';

const run = (program: string, ...args: string[]): string =>
  execFileSync(program, args, { stdio: ['ignore', 'pipe', 'pipe'] })
    .toString()
    .trim();

const able = process.getuid?.() === 0 && existsSync('/sbin/mkfs.btrfs') && existsSync('/dev/loop-control');

describe.skipIf(!able)('on a btrfs loop device (skipped without root, btrfs-progs or loop devices)', () => {
  const dir = able ? mkdtempSync(join(tmpdir(), 'felhom-btrfs-')) : '';
  const mountPoint = join(dir, 'mnt');
  const undo: (() => void)[] = [() => rmSync(dir, { recursive: true, force: true })];

  beforeAll(() => {
    const image = join(dir, 'image');
    writeFileSync(image, '');
    truncateSync(image, 256 * 1024 ** 2);
    run('/sbin/mkfs.btrfs', '-q', image);
    const loop = run('/sbin/losetup', '--find', '--show', image);
    undo.push(() => run('/sbin/losetup', '--detach', loop));
    mkdirSync(mountPoint);
    run('/bin/mount', '-t', 'btrfs', loop, mountPoint);
    undo.push(() => run('/bin/umount', mountPoint));
    for (const name of ['root', 'data']) run('btrfs', 'subvolume', 'create', join(mountPoint, name));
  });
  afterAll(() => {
    for (const step of undo.reverse()) step();
  });

  test('data in a subvolume of its own is in no snapshot of the volume, and is found to lie there', async () => {
    const inner = join(mountPoint, 'root', 'db');
    run('btrfs', 'subvolume', 'create', inner);
    mkdirSync(join(inner, 'base'));
    mkdirSync(join(mountPoint, 'root', 'plain'));
    run('btrfs', 'subvolume', 'snapshot', join(mountPoint, 'root'), join(mountPoint, 'taken'));
    expect(readdirSync(join(mountPoint, 'taken', 'db'))).toEqual([]);
    run('btrfs', 'subvolume', 'delete', join(mountPoint, 'taken'));
    const volume = join(dir, 'volume');
    mkdirSync(volume);
    run('/bin/mount', '--bind', join(mountPoint, 'root'), volume);
    try {
      const places = await placesOf([join(volume, 'db', 'base'), join(volume, 'plain')]);
      expect(places?.map(({ subvolume_at }) => subvolume_at)).toEqual([[], [volume]]);
    } finally {
      run('/bin/umount', volume);
      run('btrfs', 'subvolume', 'delete', inner);
      rmSync(join(mountPoint, 'root', 'plain'), { recursive: true });
    }
  });

  test('a cut of two volumes is made of read-only snapshots, and leaves nothing behind', async () => {
    const [root, data] = [join(mountPoint, 'root'), join(mountPoint, 'data')];
    writeFileSync(join(root, 'app.txt'), 'before');
    writeFileSync(join(data, 'rows.txt'), 'before');
    const cut = await takeCut([
      { directory: root, at: '/' },
      { directory: data, at: '/data' },
    ]);
    try {
      writeFileSync(join(root, 'app.txt'), 'later');
      writeFileSync(join(data, 'rows.txt'), 'later');
      const [first, second] = cut.trees;
      expect(readFileSync(join(first?.root ?? '', 'app.txt'), 'utf8')).toBe('before');
      expect(readFileSync(join(second?.root ?? '', 'data/rows.txt'), 'utf8')).toBe('before');
      expect(() => writeFileSync(join(first?.root ?? '', 'app.txt'), 'x')).toThrow(/EROFS/);
      expect(run('btrfs', 'subvolume', 'list', '-r', mountPoint).split('\n')).toHaveLength(2);
    } finally {
      await cut.remove();
    }
    expect(run('btrfs', 'subvolume', 'list', '-r', mountPoint)).toBe('');
    expect(readdirSync(mountPoint).sort()).toEqual(['data', 'root']);
  });

  test('with a gap the volumes are of different moments, the first of the earlier', async () => {
    const disks = ['root', 'data'].map((name, index) => ({ directory: join(mountPoint, name), at: `/scsi${index}` }));
    for (const { directory } of disks) writeFileSync(join(directory, 'set'), 'before');
    const taking = takeCut(disks, 1000);
    await new Promise((resolve) => setTimeout(resolve, 500));
    for (const { directory } of disks) writeFileSync(join(directory, 'set'), 'later');
    const cut = await taking;
    try {
      expect(cut.trees.map(({ root, at }) => readFileSync(join(root, at, 'set'), 'utf8'))).toEqual(['before', 'later']);
    } finally {
      await cut.remove();
    }
  });
});
