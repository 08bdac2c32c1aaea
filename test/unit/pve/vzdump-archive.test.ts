/** Archives are real, hold the data of the cut, and stand in the storage's list with their side files. */

import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { toPrune } from '../../pve/vzdump/prune.ts';
import { createTestNode } from '../../pve/vzdump/testing.ts';
import { vmaDisks } from '../../pve/vzdump/vma.ts';
import { unzstd } from '../../pve/vzdump/zstd.ts';

let node: Awaited<ReturnType<typeof createTestNode>>;
afterEach(() => node.close());

const BASE = { storage: 'bak', mode: 'snapshot', compress: 'zstd' };
const archives = () => node.world.storages.get('bak')?.archives ?? [];

/** A VM's: those of its first disk. */
const contents = async (file: string, disk = 'drive-scsi0'): Promise<Record<string, string>> => {
  const tar = join(node.root, 'unpacked.tar');
  const data = await unzstd(readFileSync(file));
  writeFileSync(tar, file.includes('.vma') ? (vmaDisks(data)[disk] ?? '') : data);
  const names = execFileSync('tar', ['tf', tar])
    .toString()
    .trim()
    .split('\n')
    .filter((n) => !n.endsWith('/'));
  return Object.fromEntries(names.map((n) => [n, execFileSync('tar', ['xOf', tar, n], { maxBuffer: 1e8 }).toString()]));
};

/** The line after which a guest may write again, and what it writes at that moment must not be in the archive. */
test.each([
  [201, 'snapshot', 'rootfs', /creating vzdump archive/, './app.txt'],
  [103, 'snapshot', 'rootfs', /final sync finished/, './app.txt'],
  [100, 'snapshot', 'scsi0', /started backup task/, './app.txt'],
])('the archive of guest %s in %s mode holds the data of the cut', async (vmid, mode, key, line, name) => {
  node = await createTestNode();
  const directory = await node.fill(vmid, key, { 'app.txt': 'before', 'tmp/scratch': 'x'.repeat(2_000_000) });
  node.faults.copyMs = 60;
  node.faults.onLine = (text) => {
    if (line.test(text)) writeFileSync(join(directory, 'app.txt'), 'later');
  };
  const task = await node.run({ ...BASE, vmid: String(vmid), mode });
  expect(task.exitstatus).toBe('OK');
  const found = await contents(archives()[0]?.path ?? '');
  expect(found[name]).toBe('before');
  expect('./tmp/scratch' in found).toBe(vmid === 100);
  expect('./etc/vzdump/pct.conf' in found).toBe(vmid !== 100);
});

/** Too early: these lines come before the cut. */
test.each([
  [201, 'rootfs', /create storage snapshot/, './app.txt'],
  [103, 'rootfs', /suspending guest/, './app.txt'],
  [100, 'scsi0', /starting backup via QMP command/, './app.txt'],
])('a write of guest %s right after an earlier line is in its archive', async (vmid, key, line, name) => {
  node = await createTestNode();
  const directory = await node.fill(vmid, key, { 'app.txt': 'before' });
  node.faults.onLine = (text) => {
    if (line.test(text)) writeFileSync(join(directory, 'app.txt'), 'too early');
  };
  await node.run({ ...BASE, vmid: String(vmid) });
  expect((await contents(archives()[0]?.path ?? ''))[name]).toBe('too early');
});

test('volumes stand where they are mounted, excluded ones and binds stay out', async () => {
  node = await createTestNode();
  Object.assign(node.guest(201).config, {
    mp0: 'btr:201/data,mp=/srv/data,backup=1',
    mp1: 'btr:201/cache,mp=/cache',
    mp2: '/bind,mp=/b',
  });
  await node.fill(201, 'rootfs', { 'etc/hostname': 'ct201' });
  await node.fill(201, 'mp0', { file: 'data' });
  await node.fill(201, 'mp1', { file: 'cache' });
  await node.fill(201, 'mp2', { file: 'bind' });
  const task = await node.run({ ...BASE, vmid: '201' });
  expect(task.log).toContain("INFO: excluding volume mount point mp1 ('/cache') from backup (disabled)");
  const found = await contents(archives()[0]?.path ?? '');
  expect(found).toMatchObject({ './etc/hostname': 'ct201', './srv/data/file': 'data' });
  expect(Object.values(found)).not.toContain('cache');
  expect(Object.values(found)).not.toContain('bind');
  expect(found['./etc/vzdump/pct.conf']).not.toContain('lock');
});

describe('a guest with several volumes', () => {
  /** Both hold `before`, and `later` from a moment in the middle of the cut on. */
  const cutOf = async (vmid: number, keys: readonly [string, string], gapMs: number): Promise<unknown[]> => {
    Object.assign(node.guest(vmid).config, {
      [keys[1]]: vmid === 100 ? 'btr:100/more.raw,size=1G' : 'btr:201/data,mp=/data,backup=1',
    });
    const directories = await Promise.all(keys.map((key) => node.fill(vmid, key, { app: 'before' })));
    node.faults.cutGapMs = gapMs;
    node.faults.onLine = (line) => {
      if (!/starting backup via QMP command|create storage snapshot/.test(line)) return;
      setTimeout(() => {
        for (const directory of directories) writeFileSync(join(directory, 'app'), 'later');
      }, gapMs / 2);
    };
    node.faults.copyMs = 1.2 * gapMs;
    expect((await node.run({ ...BASE, vmid: String(vmid) })).exitstatus).toBe('OK');
    const file = archives()[0]?.path ?? '';
    if (vmid !== 100) return Object.values(await contents(file)).filter((text) => /^(before|later)$/.test(text));
    return [(await contents(file))['./app'], (await contents(file, 'drive-scsi1'))['./app']];
  };

  test.each([
    ['a VM that nothing freezes: its disks one after the other', 100, false, ['before', 'later']],
    ['a VM whose agent answers: in one instant', 100, true, ['before', 'before']],
    ['a container: in one instant', 201, false, ['before', 'before']],
  ])('%s', async (_what, vmid, answers, expected) => {
    node = await createTestNode();
    node.guest(vmid).guestAgentRuns = answers;
    expect(await cutOf(vmid, vmid === 100 ? ['scsi0', 'scsi1'] : ['rootfs', 'mp0'], 800)).toEqual(expected);
  });
});

test('the archive is listed with its notes and its mark, and has its side files', async () => {
  node = await createTestNode();
  await node.fill(101, 'rootfs', { a: 'b'.repeat(3_000_000) });
  const params = {
    ...BASE,
    vmid: '101',
    protected: 1,
    'notes-template': '{{vmid}} {{guestname}} on {{node}}, {{cluster}}\\nsecond',
  };
  await node.run(params);
  const [archive] = archives();
  expect(archive).toMatchObject({ vmid: 101, subtype: 'lxc', format: 'tar.zst', protected: true });
  expect(archive?.notes).toBe('101 ct101 on pve1, standalone node\nsecond');
  const dump = readdirSync(join(node.backupPath, 'dump')).sort();
  const base = archive?.volid.replace('bak:backup/', '') ?? '';
  expect(dump).toEqual([base.replace('.tar.zst', '.log'), base, `${base}.notes`, `${base}.protected`]);
  expect(readFileSync(join(node.backupPath, 'dump', dump[0] ?? ''), 'utf8')).toMatch(
    /^\S+ \S+ INFO: Starting Backup of VM 101 \(lxc\)\n/,
  );
  const checked = spawnSync('zstd', ['-t', archive?.path ?? '']);
  if (checked.error === undefined) expect(checked.status).toBe(0);
});

test('an unknown variable in the notes is a warning', async () => {
  node = await createTestNode();
  const task = await node.run({ ...BASE, vmid: '101', 'notes-template': '{{nope}}' });
  expect(task.log).toContain("WARN: unable to add notes - unexpected variable name 'nope'");
  expect(task.exitstatus).toBe('WARNINGS: 1');
});

test('the storage prunes older archives, but none that are protected', async () => {
  let now = Date.parse('2026-11-01T00:00:00');
  node = await createTestNode({ clock: () => now });
  const seen: string[] = [];
  for (let day = 0; day < 5; day++, now += 86_400_000) {
    await node.run({ ...BASE, vmid: '101', 'prune-backups': 'keep-last=2', protected: day === 0 ? 1 : 0 });
    seen.push(archives().at(-1)?.path ?? '');
  }
  expect(seen.map((path) => existsSync(path))).toEqual([true, false, false, true, true]);
  expect(node.world.tasks.at(-1)?.log).toContain('INFO: pruned 1 backup(s) not covered by keep-retention policy');
});

test('without removal the number of archives is limited', async () => {
  node = await createTestNode();
  const params = { ...BASE, vmid: '101', remove: 0, 'prune-backups': 'keep-last=1' };
  await node.run(params);
  const task = await node.run(params);
  expect(task.log.some((l) => /failed - There is a max backup limit of 1 enforced by the target storage/.test(l))).toBe(true);
});

test('retention keeps the newest of each period', () => {
  const daily = Array.from({ length: 20 }, (_, i) => ({
    ...{ volid: String(i), vmid: 1, subtype: 'lxc' as const, format: '', size: 0, notes: '', protected: false },
    ctime: new Date(2026, 10, 20 - i, 12).getTime() / 1000,
  }));
  const kept = (r: Record<string, number>) => {
    const gone = new Set(toPrune(daily, r).map((a) => a.volid));
    return daily.map((a) => a.volid).filter((v) => !gone.has(v));
  };
  expect(kept({ 'keep-last': 3 })).toEqual(['0', '1', '2']);
  expect(kept({ 'keep-last': 1, 'keep-daily': 2 })).toEqual(['0', '1', '2']);
  // 2026-11-20 is a Friday: the weeks before end on the Sundays 15 and 8.
  expect(kept({ 'keep-weekly': 3 })).toEqual(['0', '5', '12']);
  expect(kept({ 'keep-all': 1 })).toHaveLength(20);
});

test('snapshot mode shows its locks one after the other', async () => {
  node = await createTestNode({ lineDelayMs: 5 });
  const seen: string[] = [];
  const timer = setInterval(() => {
    const lock = String(node.guest(201).config.lock ?? 'none');
    if (seen.at(-1) !== lock) seen.push(lock);
  }, 1);
  await node.run({ ...BASE, vmid: '201' });
  clearInterval(timer);
  expect(seen.join(' ')).toMatch(/^(none )?backup snapshot backup none snapshot-delete( none)?$/);
  expect(node.guest(201).snapshots).toEqual({});
});
