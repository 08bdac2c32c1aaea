import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type MountsProc, seenMounts } from '#agent/disks/sources/seen-mounts';
import { createProc } from '#agent/ports/proc';

const failure = (code: string) => Object.assign(new Error(code), { code });
const never = (code: string) => async () => {
  throw failure(code);
};
const line = (id: number, device: string, point: string, fstype = 'ext4', source = '/dev/x') =>
  `${id} 1 ${device} / ${point} rw - ${fstype} ${source} rw\n`;

interface Process {
  namespace: string | null;
  root?: string | null;
  /** Null: it ends before it is looked at. */
  mounts: string | null;
}

/** Processes by number; 1 is the host's. */
const host = (processes: Record<number, Process>, over: Partial<MountsProc> = {}): MountsProc & { read: number[] } => {
  const read: number[] = [];
  return {
    read,
    processes: async () => Object.keys(processes).map(Number),
    mountNamespaceOf: async (pid) => processes[pid]?.namespace ?? null,
    rootOf: async (pid) => processes[pid]?.root ?? '/',
    mountinfoOf: async (pid) => {
      read.push(pid);
      const { mounts = null } = processes[pid] ?? {};
      if (mounts === null) throw failure('EINVAL');
      return mounts;
    },
    ...over,
  };
};
const ROOT = line(20, '8:2', '/');
const HOST = { namespace: 'h', mounts: ROOT + line(21, '0:5', '/run', 'tmpfs', 'tmpfs') };
const told = async (proc: MountsProc) =>
  (await seenMounts(proc)).map(({ mount, pid, host: own }) => `${pid}${own ? ' host' : ''} ${mount.device} ${mount.point}`);

test('every namespace is read once, and of others than the host’s only what may lie on a drive', async () => {
  const proc = host({
    1: HOST,
    2: { namespace: 'h', mounts: HOST.mounts },
    30: {
      namespace: 'c',
      mounts:
        line(50, '8:17', '/data') +
        line(51, '0:60', '/proc', 'proc', 'proc') +
        line(52, '0:61', '/pool', 'btrfs', '/dev/sdc1') +
        line(53, '0:62', '/tank', 'zfs', 'tank/a') +
        line(54, '0:63', '/o', 'overlay', 'overlay'),
    },
    31: { namespace: 'c', mounts: 'never read' },
  });
  expect(await told(proc)).toEqual(['1 host 8:2 /', '1 host 0:5 /run', '30 8:17 /data', '30 0:61 /pool', '30 0:62 /tank']);
  expect(proc.read.filter((pid) => pid >= 30)).toEqual([30]);
});

test('a process that sees only a part of its namespace does not stand for the whole', async () => {
  const part = { namespace: 'c', root: '/srv/jail', mounts: line(60, '8:33', '/') };
  const whole = { namespace: 'c', mounts: line(50, '8:17', '/data') + line(60, '8:33', '/srv/jail') };
  expect(await told(host({ 1: HOST, 30: part, 31: whole }))).toEqual([
    '1 host 8:2 /',
    '1 host 0:5 /run',
    '31 8:17 /data',
    '31 8:33 /srv/jail',
  ]);
  const other = { namespace: 'c', root: '/srv/other', mounts: line(61, '8:49', '/') };
  expect((await told(host({ 1: HOST, 30: part, 32: other }))).slice(2)).toEqual(['30 8:33 /', '32 8:49 /']);
});

test('processes that end meanwhile are left out; another of their namespace stands in', async () => {
  const gone = { namespace: 'c', mounts: null };
  expect((await told(host({ 1: HOST, 30: gone }))).slice(2)).toEqual([]);
  expect((await told(host({ 1: HOST, 30: gone, 31: { namespace: 'c', mounts: line(50, '8:17', '/d') } }))).slice(2)).toEqual([
    '31 8:17 /d',
  ]);
  expect((await told(host({ 1: HOST, 30: { namespace: null, mounts: null } }))).slice(2)).toEqual([]);
});

test('where it is not told who shares a namespace, everybody is looked at, and nothing is listed twice', async () => {
  const processes = { 1: HOST, 2: HOST, 30: { namespace: '', mounts: line(50, '8:17', '/data') } };
  const proc = host(processes, { mountNamespaceOf: never('EACCES'), rootOf: never('EACCES') });
  expect(await told(proc)).toEqual(['1 host 8:2 /', '1 host 0:5 /run', '30 8:17 /data']);
});

test.each<[string, Partial<MountsProc>]>([
  ['the mounts of a process that cannot be read', { mountinfoOf: never('EACCES') }],
  ['no mounts of the host', { mountinfoOf: async () => '' }],
  ['mounts of the host without /', { mountinfoOf: async () => line(1, '8:1', '/boot') }],
  ['a line that is cut', { mountinfoOf: async () => `${ROOT}27 1 8:1` }],
  ['no list of processes', { processes: never('ENOENT') }],
  ['namespaces that cannot be read', { mountNamespaceOf: never('EIO') }],
])('%s is no answer', async (_what, over) => {
  await expect(seenMounts(host({ 1: HOST }, over))).rejects.toThrow();
});

test('a recorded line of a btrfs, whose numbers are its own', async () => {
  const recorded = readFileSync(join(import.meta.dirname, '../../../../fixtures/drives/mountinfo-btrfs.txt'), 'utf8');
  const seen = await seenMounts(host({ 1: HOST, 40: { namespace: 'b', mounts: recorded } }));
  expect(seen.at(-1)).toMatchObject({ pid: 40, host: false, mount: { device: '0:39', fstype: 'btrfs', source: '/dev/loop0' } });
});

test('the mounts of this machine', async () => {
  const seen = await seenMounts(createProc());
  expect(seen.find(({ mount, host: own }) => own && mount.point === '/')).toMatchObject({ pid: 1 });
});
