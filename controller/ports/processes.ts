/** What runs here, from /proc: names, arguments, units, containers, open files. Reads only. */
import { constants } from 'node:fs';
import { open, readdir, readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { isRemote, type Mount, mountOf } from '#shared/mountinfo';
import type { FoundProcess, InContainer, Listening, OpenFile } from '../discover/findings.ts';

const readable = (path: string): Promise<string | null> => readFile(path, 'utf8').catch(() => null);
const link = (path: string): Promise<string | null> => readlink(path).catch(() => null);

/** `0::/system.slice/redis.service`, or of the old kind `1:name=systemd:/…`. */
const cgroupOf = (text: string): string =>
  /^(?:0:|\d+:name=systemd):(\/.+)$/m.exec(text)?.[1] ?? /^\d+:.*:(\/.+)$/m.exec(text)?.[1] ?? '/';

const containerOf = (cgroup: string): InContainer | null => {
  const [, docker] = /\/docker[-/]([0-9a-f]{64})/.exec(cgroup) ?? [];
  if (docker !== undefined) return { engine: 'docker', id: docker };
  const [, podman] = /\/libpod-([0-9a-f]{64})/.exec(cgroup) ?? [];
  if (podman !== undefined) return { engine: 'podman', id: podman };
  const [other] = /\/(?:kubepods|cri-containerd|crio-|lxc\.payload|machine\.slice)[^/]*/.exec(cgroup) ?? [];
  return other === undefined ? null : { engine: 'other', id: other };
};

const unitOf = (cgroup: string): string | null =>
  /\/system\.slice\/(?:[^/]+\.slice\/)*([^/]+\.service)(?:\/|$)/.exec(cgroup)?.[1] ?? null;

const SQLITE_MAGIC = Buffer.from('SQLite format 3\0');
const SQLITE_NAME = /\.(?:db|db3|s3db|sqlite|sqlite3|sdb)$/i;

const isSqlite = async (path: string): Promise<boolean> => {
  // A pipe or a device of that name would not answer.
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW).catch(() => null);
  if (file === null) return false;
  try {
    if (!(await file.stat()).isFile()) return false;
    const { buffer, bytesRead } = await file.read(Buffer.alloc(SQLITE_MAGIC.length), 0, SQLITE_MAGIC.length, 0);
    return bytesRead === SQLITE_MAGIC.length && buffer.equals(SQLITE_MAGIC);
  } finally {
    await file.close();
  }
};

const openFile = async (fdinfo: string, path: string, all: readonly string[], mounts: readonly Mount[]): Promise<OpenFile> => {
  const flags = /^flags:\s*(\d+)/m.exec((await readable(fdinfo)) ?? '')?.[1] ?? '0';
  const writable = (Number.parseInt(flags, 8) & (constants.O_WRONLY | constants.O_RDWR)) !== 0;
  const named = SQLITE_NAME.test(path) || all.includes(`${path}-wal`);
  const mount = mountOf(mounts, path);
  // Another machine may never answer: there the name has to do.
  const sqlite = named && ((mount !== undefined && isRemote(mount)) || (await isSqlite(path)));
  return { path, writable, sqlite };
};

/** Null: they may not be looked at. */
const descriptors = async (directory: string): Promise<{ fd: string; target: string }[] | null> => {
  const names = await readdir(join(directory, 'fd')).catch((error: NodeJS.ErrnoException) =>
    error.code === 'ENOENT' ? [] : null,
  );
  if (names === null) return null;
  const found = await Promise.all(names.map(async (fd) => ({ fd, target: await link(join(directory, 'fd', fd)) })));
  return found.flatMap(({ fd, target }) => (target === null ? [] : [{ fd, target }]));
};

interface Scan {
  proc: string;
  sockets: ReadonlyMap<string, Listening>;
  mounts: readonly Mount[];
  ownCgroup: string;
  ownPids: string | null;
  /** By number. */
  accounts: ReadonlyMap<string, string>;
}

const whereIn = (cgroup: string, pids: string | null, { ownCgroup, ownPids }: Scan): InContainer | null => {
  const container = containerOf(cgroup);
  if (container !== null) return container.id === containerOf(ownCgroup)?.id ? null : container;
  // Its own process ids and no engine that is known: some container all the same.
  return pids !== null && ownPids !== null && pids !== ownPids ? { engine: 'other', id: pids } : null;
};

/** passwd(5); of two accounts with one number the first. */
const accountsOf = (passwd: string): Map<string, string> => {
  const fields = passwd.split('\n').map((line) => line.split(':'));
  return new Map(fields.flatMap(([name, , uid]): [string, string][] => (name && uid ? [[uid, name]] : [])).reverse());
};

const NOT_FILES = /^\/(?:dev|proc|sys)\/|^\/(?:memfd|SYSV)|^[^/]| \(deleted\)$/;

const readProcess = async (pid: number, scan: Scan): Promise<FoundProcess | null> => {
  const directory = join(scan.proc, String(pid));
  const [comm, cmdline, status, cgroupText, cwd, pids, fds] = (await Promise.all([
    ...['comm', 'cmdline', 'status', 'cgroup'].map((name) => readable(join(directory, name))),
    link(join(directory, 'cwd')),
    link(join(directory, 'ns', 'pid')),
    descriptors(directory),
  ] as const)) as [
    string | null,
    string | null,
    string | null,
    string | null,
    string | null,
    string | null,
    Awaited<ReturnType<typeof descriptors>>,
  ];
  // Ended meanwhile, or a thread of the kernel.
  if (comm === null || status === null || !cmdline) return null;
  const cgroup = cgroupOf(cgroupText ?? '');
  const container = whereIn(cgroup, pids, scan);
  const paths = (fds ?? []).filter(({ target }) => !NOT_FILES.test(target));
  const all = paths.map(({ target }) => target);
  const files = container === null ? paths : [];
  return {
    pid,
    ppid: Number(/^PPid:\s*(\d+)/m.exec(status)?.[1] ?? 0),
    name: comm.trimEnd(),
    user: scan.accounts.get(/^Uid:\s*\d+\s+(\d+)/m.exec(status)?.[1] ?? '') ?? null,
    argv: cmdline.split('\0').filter((word) => word !== ''),
    container,
    unit: unitOf(cgroup),
    cwd,
    files:
      fds === null
        ? null
        : await Promise.all(files.map(({ fd, target }) => openFile(join(directory, 'fdinfo', fd), target, all, scan.mounts))),
    listens: (fds ?? []).flatMap(({ target }) => scan.sockets.get(/^socket:\[(\d+)\]$/.exec(target)?.[1] ?? '') ?? []),
  };
};

/** @param proc usually /proc */
export const runningProcesses = async (
  proc: string,
  sockets: ReadonlyMap<string, Listening>,
  mounts: readonly Mount[],
): Promise<FoundProcess[]> => {
  const ownCgroup = cgroupOf((await readable(join(proc, 'self', 'cgroup'))) ?? '');
  const ownPids = await link(join(proc, 'self', 'ns', 'pid'));
  const accounts = accountsOf((await readable('/etc/passwd')) ?? '');
  const scan = { proc, sockets, mounts, ownCgroup, ownPids, accounts };
  const pids = (await readdir(proc)).filter((name) => /^\d+$/.test(name)).map(Number);
  const found: FoundProcess[] = [];
  // One after the other: a guest may have thousands, each with thousands of files.
  for (const pid of pids.sort((a, b) => a - b)) {
    const one = pid === process.pid ? null : await readProcess(pid, scan).catch(() => null);
    if (one !== null) found.push(one);
  }
  return found;
};
