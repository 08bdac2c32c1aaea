/** /proc as kernels write it: units, containers, listening sockets and open files, each told apart. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { scanGuest } from '#controller/ports/guest-scan';

const dirs: string[] = [];
afterEach(() => {
  for (const dir of dirs.splice(0)) rmSync(dir, { recursive: true, force: true });
});

interface Given {
  comm?: string;
  cmdline?: string;
  cgroup?: string;
  pids?: string;
  /** Where the descriptors lead, and with what flags they were opened. */
  fds?: { target: string; flags?: string }[];
}

const ID = 'ab'.repeat(32);

/** A directory that looks like /proc. @param own of the process that looks */
const makeProc = (given: Record<number, Given>, { net = {}, own = {} }: { net?: Record<string, string>; own?: Given } = {}) => {
  const proc = mkdtempSync(join(tmpdir(), 'felhom-proc-'));
  dirs.push(proc);
  const write = (name: string, text: string) => {
    mkdirSync(dirname(join(proc, name)), { recursive: true });
    writeFileSync(join(proc, name), text);
  };
  const process = (pid: string, { comm = 'app', cmdline = 'app\0', cgroup = '0::/\n', pids = 'pid:[1]', fds = [] }: Given) => {
    write(`${pid}/comm`, `${comm}\n`);
    write(`${pid}/cmdline`, cmdline);
    write(`${pid}/cgroup`, cgroup);
    write(`${pid}/status`, 'Name:\tapp\nPPid:\t1\nUid:\t0\t0\t0\t0\n');
    mkdirSync(join(proc, pid, 'fd'), { recursive: true });
    mkdirSync(join(proc, pid, 'ns'), { recursive: true });
    symlinkSync(pids, join(proc, pid, 'ns/pid'));
    symlinkSync('/srv', join(proc, pid, 'cwd'));
    fds.forEach(({ target, flags = '0100000' }, index) => {
      symlinkSync(target, join(proc, pid, 'fd', String(index)));
      write(`${pid}/fdinfo/${index}`, `pos:\t0\nflags:\t${flags}\nmnt_id:\t30\n`);
    });
  };
  process('self', own);
  write('self/mountinfo', '22 1 8:1 / / rw - ext4 /dev/sda1 rw\n30 22 0:50 / /mnt/my\\040nas rw - nfs4 nas:/x rw\n');
  for (const [pid, one] of Object.entries(given)) process(pid, one);
  for (const [name, text] of Object.entries(net)) write(`net/${name}`, text);
  return proc;
};

const scan = (...given: Parameters<typeof makeProc>) =>
  scanGuest({ proc: makeProc(...given), docker: '/nonexistent/docker.sock' });
const processOf = async (one: Given, more: Parameters<typeof makeProc>[1] = {}) => (await scan({ 100: one }, more)).processes[0];

test.each([
  ['0::/system.slice/redis-server.service\n', 'redis-server.service'],
  ['0::/system.slice/system-postgresql.slice/postgresql@15-main.service\n', 'postgresql@15-main.service'],
  ['0::/lxc.payload.101/system.slice/notes.service/workers\n', 'notes.service'],
  ['12:pids:/x\n1:name=systemd:/system.slice/old.service\n0::/\n', 'old.service'],
  ['0::/user.slice/user-1000.slice/user@1000.service/app.slice/mine.service\n', null],
  ['0::/init.scope\n', null],
])('the unit of %j is %s', async (cgroup, unit) => {
  const own = { cgroup: '0::/lxc.payload.101/x\n' };
  expect(await processOf({ cgroup }, { own })).toMatchObject({ unit, container: null });
});

test.each([
  [`0::/system.slice/docker-${ID}.scope\n`, { engine: 'docker', id: ID }],
  [`0::/docker/${ID}\n`, { engine: 'docker', id: ID }],
  [`0::/machine.slice/libpod-${ID}.scope\n`, { engine: 'podman', id: ID }],
  ['0::/kubepods.slice/kubepods-pod1.slice\n', { engine: 'other' }],
])('a process of %j is in a container', async (cgroup, container) => {
  const found = await processOf({ cgroup, fds: [{ target: '/var/lib/x.db' }] });
  expect(found?.container).toMatchObject(container);
  // Its paths are not ours.
  expect(found?.files).toEqual([]);
});

test('where we are in a container ourselves, its other processes are beside us', async () => {
  const cgroup = `0::/docker/${ID}\n`;
  expect(await processOf({ cgroup }, { own: { cgroup } })).toMatchObject({ container: null });
});

test('process ids of its own make a container, whatever the engine', async () => {
  expect(await processOf({ pids: 'pid:[2]' })).toMatchObject({ container: { engine: 'other' } });
});

test('only what listens, and only here, can be reached', async () => {
  const unix = [
    'Num       RefCount Protocol Flags    Type St Inode Path',
    '0000000000000000: 00000002 00000000 00010000 0001 01 11 /run/my app.sock',
    '0000000000000000: 00000003 00000000 00000000 0001 03 12 /run/connected.sock',
    '0000000000000000: 00000002 00000000 00010000 0001 01 13 @abstract',
  ];
  const tcp = (local: string, state: string, inode: number) =>
    `   0: ${local} 00000000:0000 ${state} 00000000:00000000 00:00000000 00000000  0  0 ${inode} 1 0 100 0 0 10 0`;
  const net = {
    unix: unix.join('\n'),
    tcp: [
      'sl',
      tcp('0100007F:1538', '0A', 21),
      tcp('00000000:18EB', '0A', 22),
      tcp('0A0A0A0A:0050', '0A', 23),
      tcp('0100007F:1538', '01', 24),
    ].join('\n'),
    tcp6: ['sl', tcp('00000000000000000000000001000000:1538', '0A', 25)].join('\n'),
  };
  const fds = [11, 12, 13, 21, 22, 23, 24, 25].map((inode) => ({ target: `socket:[${inode}]` }));
  expect((await processOf({ fds }, { net }))?.listens).toEqual([
    { kind: 'unix', path: '/run/my app.sock' },
    { kind: 'tcp', address: '127.0.0.1', port: 5432 },
    { kind: 'tcp', address: '127.0.0.1', port: 6379 },
    { kind: 'tcp', address: null, port: 80 },
    { kind: 'tcp', address: '::1', port: 5432 },
  ]);
});

test('SQLite is known by its first bytes, whatever its name; on another machine by its name, which is never opened', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'felhom-files-'));
  dirs.push(dir);
  const file = (name: string, text: string) => {
    writeFileSync(join(dir, name), text);
    return join(dir, name);
  };
  const magic = 'SQLite format 3\0 and more';
  const [real, odd, wal, fake] = [file('a.db', magic), file('odd', magic), file('odd-wal', 'x'), file('b.db', 'Berkeley')];
  const targets = [real, odd, wal, fake, '/mnt/my nas/c.sqlite', '/gone.db (deleted)', '/dev/null', 'pipe:[1]'];
  const found = await processOf({ fds: targets.map((target) => ({ target, flags: target === real ? '0100002' : '0100000' })) });
  expect(found?.files).toEqual([
    { path: real, writable: true, sqlite: true },
    { path: odd, writable: false, sqlite: true },
    { path: wal, writable: false, sqlite: false },
    { path: fake, writable: false, sqlite: false },
    { path: '/mnt/my nas/c.sqlite', writable: false, sqlite: true },
  ]);
});

test('threads of the kernel are left out; words and account are told', async () => {
  const { processes } = await scan({ 2: { cmdline: '' }, 100: { comm: 'postgres', cmdline: 'postgres\0-D\0/srv/pg\0' } });
  expect(processes).toMatchObject([
    { pid: 100, ppid: 1, name: 'postgres', argv: ['postgres', '-D', '/srv/pg'], user: 'root', cwd: '/srv' },
  ]);
});
