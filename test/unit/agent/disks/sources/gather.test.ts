import { execFileSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createGather, type Gathered, type GatherPorts } from '#agent/disks/sources/gather';
import { systemClock } from '#agent/ports/clock';
import { CommandError, commandsFrom, type RunCommand } from '#agent/ports/command';
import { createHostFiles } from '#agent/ports/host-config';
import { createLvm } from '#agent/ports/lvm';
import { createProxmoxFiles } from '#agent/ports/proxmox-files';
import { createUdevDb } from '#agent/ports/udev-db';
import { createZpool } from '#agent/ports/zpool';
import { fakeClock } from '../../fake-clock.ts';
import { fakeProc, fakeSysfs, NEVER } from '../../fake-host.ts';
import { makeTree, type Tree } from '../../ports/tree.ts';

const PVE: Tree = {
  '.version': '{}',
  local: '->nodes/pve1',
  'nodes/pve1/lxc/': '',
  'nodes/pve1/qemu-server/': '',
  'storage.cfg': 'dir: local\n\tpath /var/lib/vz\n',
};
const PVS = '{"report":[{"pv":[{"pv_name":"/dev/sda","pv_uuid":"A","vg_name":"pve","vg_uuid":"G","pv_missing":""}]}]}';
const POOL = `  pool: tank\n state: ONLINE\nconfig:\n\n\tNAME STATE READ WRITE CKSUM\n\ttank ONLINE 0 0 0\n\t  /dev/sdb1  ONLINE 0 0 0\n\nerrors: No known data errors\n`;

const answering: RunCommand = async (name, [verb]) =>
  name === 'pvs' ? PVS : verb === 'list' ? 'tank\t1\n' : verb === 'status' ? POOL : '';

/** A host that has everything and answers: each test spoils one thing. */
const HOST: { udev: Tree; files: Tree; pve: Tree } = {
  udev: { 'data/b8:0': 'I:1\nE:ID_FS_TYPE=LVM2_member\nE:ID_FS_UUID=A\n' },
  files: { 'etc/fstab': 'UUID=1 / ext4\n' },
  pve: PVE,
};
const ports = async (over: Partial<GatherPorts> = {}, run: RunCommand = answering, trees = HOST): Promise<GatherPorts> => ({
  clock: systemClock,
  sysfs: { ...fakeSysfs(), btrfsMembers: async () => [['sdc', 'sdd']] },
  proc: {
    ...fakeProc(() => 0),
    swaps: async () => 'Filename\tType\tSize\tUsed\tPriority\n/dev/sda2 partition 1 0 -2\n',
    devices: async () => 'Character devices:\n  1 mem\n\nBlock devices:\n  8 sd\n  9 md\n252 device-mapper\n',
    filesystems: async () => 'nodev\tproc\nnodev\tzfs\n\tbtrfs\n',
    mdstat: async () => 'Personalities : [raid1] \nmd0 : active raid1 sde1[0] sdf1[1](F)\nunused devices: <none>\n',
  },
  udev: createUdevDb(await makeTree(trees.udev)),
  lvm: createLvm(run),
  zpool: createZpool(run),
  hostFiles: createHostFiles({ clock: systemClock, root: await makeTree(trees.files) }),
  proxmoxFiles: createProxmoxFiles(await makeTree(trees.pve)),
  isAsleep: async () => false,
  ...over,
});
const gather = async (made: GatherPorts): Promise<Gathered> => createGather(made, { loopDrives: [] }).gather();
const missing = (gathered: Gathered): string[] =>
  Object.values(gathered).flatMap((source: { known: boolean; why?: string }) => (source.known ? [] : [source.why ?? '']));

test('a host that answers', async () => {
  const found = await gather(await ports());
  expect(missing(found)).toEqual([]);
  expect(found).toMatchObject({
    kernel: { value: [{ name: 'sda' }] },
    udev: { value: new Map([['sda', { links: [] }]]) },
    mounts: { value: [{ mount: { point: '/' }, host: true }] },
    swaps: { value: ['/dev/sda2'] },
    lvm: { value: [{ device: '/dev/sda', group: 'pve' }] },
    zfs: { value: [{ name: 'tank', devices: ['/dev/sdb1'] }] },
    md: { value: [{ name: 'md0', members: ['sde1', 'sdf1'] }] },
    btrfs: { value: [['sdc', 'sdd']] },
    host: { value: { fstab: [{ spec: 'UUID=1' }] } },
    proxmox: { value: { node: 'pve1', storages: [{ id: 'local' }] } },
  });
});

test('what the kernel has no driver for is not there, and its program is not asked', async () => {
  const asked: string[] = [];
  const run: RunCommand = async (name) => {
    asked.push(name);
    throw new CommandError(name, 'start');
  };
  const proc = {
    ...fakeProc(() => 0),
    filesystems: async () => 'nodev\tproc\n\text4\n',
    mdstat: async () => NEVER,
    mountinfoOf: async () => '26 1 8:2 / / rw - ext4 /dev/sda2 rw\n',
  };
  const sysfs = { ...fakeSysfs(), btrfsMembers: () => NEVER };
  const found = await gather(await ports({ proc, sysfs }, run));
  expect([found.lvm, found.zfs, found.md, found.btrfs]).toEqual(Array(4).fill({ known: true, value: [] }));
  expect(asked).toEqual([]);
});

const spoilt = (trees: Partial<typeof HOST>) => ports({}, answering, { ...HOST, ...trees });
const without = (path: string): Tree => Object.fromEntries(Object.entries(PVE).filter(([name]) => name !== path));
const failing =
  (program: string, failure: CommandError): RunCommand =>
  async (...call) => {
    if (call[0] === program) throw failure;
    return answering(...call);
  };
const saying =
  (program: string, text: string): RunCommand =>
  async (...call) =>
    call[0] === program ? text : answering(...call);
const proc = async (over: Partial<GatherPorts['proc']>) => {
  const made = await ports();
  return { ...made, proc: { ...made.proc, ...over } };
};
const refuse = (path: string) => async () => {
  throw Object.assign(new Error('EACCES'), { code: 'EACCES', path });
};

test.each<[string, () => Promise<GatherPorts>, string[]]>([
  ['an empty /etc/pve', () => spoilt({ pve: { './': '' } }), ["Proxmox's configuration: "]],
  ['/etc/pve without .version', () => spoilt({ pve: without('.version') }), ["Proxmox's configuration: "]],
  ['/etc/pve without local', () => spoilt({ pve: without('local') }), ["Proxmox's configuration: "]],
  [
    'garbage in storage.cfg',
    () => spoilt({ pve: { ...PVE, 'storage.cfg': '\u0001\u0002\n' } }),
    ["Proxmox's configuration: storage.cfg, line 1"],
  ],
  ['an fstab that cannot be read', () => spoilt({ files: { 'etc/fstab/x': '' } }), ["The host's own configuration: "]],
  ['no pvs', () => ports({}, failing('pvs', new CommandError('pvs', 'start'))), ['LVM: its program could not be started.']],
  [
    'pvs that fails',
    () => ports({}, failing('pvs', new CommandError('pvs', 'exit', 'secret', 5))),
    ['LVM: its program failed (exit status 5).'],
  ],
  ['pvs that hung before', () => ports({}, failing('pvs', new CommandError('pvs', 'stuck'))), ['LVM: its program still hangs.']],
  ['garbage from pvs', () => ports({}, saying('pvs', 'WARNING: x')), ['LVM: its answer is not JSON.']],
  ['no zpool', () => ports({}, failing('zpool', new CommandError('zpool', 'start'))), ['ZFS: its program could not be started.']],
  [
    'zpool that fails',
    () => ports({}, failing('zpool', new CommandError('zpool', 'exit', '', 1))),
    ['ZFS: its program failed (exit status 1).'],
  ],
  ['garbage from zpool', () => ports({}, saying('zpool', 'internal error')), ['ZFS: its list of pools is not understood.']],
  ['no udev', () => spoilt({ udev: { './': '' } }), ["udev's database: ", 'LVM: it needs another source (udev']],
  ['an empty udev database', () => spoilt({ udev: { 'data/': '' } }), ["udev's database: it knows no block device.", 'LVM: ']],
  [
    'no /sys',
    () => ports({ sysfs: { ...fakeSysfs(), kernelDevices: refuse('/sys/block') } }),
    ["The kernel's list", "udev's database: ", 'LVM: '],
  ],
  [
    'no btrfs in /sys',
    () => ports({ sysfs: { ...fakeSysfs(), btrfsMembers: refuse('/sys/fs/btrfs') } }),
    ['The list of btrfs file systems: /sys/fs/btrfs cannot be read (EACCES).'],
  ],
  [
    'no /proc/swaps',
    () => proc({ swaps: refuse('/proc/swaps') }),
    ['The list of swap space: /proc/swaps cannot be read (EACCES).'],
  ],
  ['garbage in /proc/swaps', () => proc({ swaps: async () => 'x' }), ['The list of swap space: ']],
  ['no mdstat though the kernel has md', () => proc({ mdstat: refuse('/proc/mdstat') }), ['The list of software RAIDs: ']],
  [
    'no list of drivers',
    () => proc({ devices: async () => '' }),
    ['LVM: /proc/devices', 'The list of software RAIDs: /proc/devices'],
  ],
  [
    'no list of file systems',
    () => proc({ filesystems: async () => '' }),
    ['ZFS: /proc/filesystems', 'The list of btrfs file systems: /proc/filesystems'],
  ],
  [
    'mounts that cannot be read',
    () => proc({ mountinfoOf: refuse('/proc/1/mountinfo') }),
    ['The mounts of all processes: /proc/1/mountinfo cannot be read (EACCES).'],
  ],
])('%s: the source is missing, by its name, and the others answer', async (_what, made, whys) => {
  const found = missing(await gather(await made()));
  expect(found.map((why, at) => why.slice(0, whys[at]?.length))).toEqual(whys);
  expect(found.join()).not.toContain('secret');
});

test.each<[keyof Gathered, (hung: () => Promise<never>) => Promise<GatherPorts>]>([
  ['kernel', (hung) => ports({ sysfs: { ...fakeSysfs(), kernelDevices: hung } })],
  ['udev', (hung) => ports({ udev: { read: hung } })],
  ['mounts', (hung) => proc({ processes: hung })],
  ['swaps', (hung) => proc({ swaps: hung })],
  ['lvm', (hung) => ports({ lvm: { physicalVolumes: hung } })],
  ['zfs', (hung) => ports({ zpool: { pools: hung } })],
  ['md', (hung) => proc({ mdstat: hung })],
  ['btrfs', (hung) => ports({ sysfs: { ...fakeSysfs(), btrfsMembers: hung } })],
  ['host', (hung) => ports({ hostFiles: { read: hung } })],
  ['proxmox', (hung) => ports({ proxmoxFiles: { read: hung } })],
])('%s hangs: it is missing after three seconds, at once when asked again, and asked once only', async (name, made) => {
  const { clock, advance } = fakeClock();
  let asked = 0;
  const hung = () => {
    asked += 1;
    return NEVER;
  };
  const { gather: again } = createGather({ ...(await made(hung)), clock }, { loopDrives: [] });
  const first = again();
  await new Promise((resolve) => setTimeout(resolve, 100));
  await advance(3_000);
  expect((await first)[name]).toEqual({ known: false, why: expect.stringContaining('no answer within 3 seconds') });
  const second = await again();
  expect(second[name]).toMatchObject({ known: false });
  expect(asked).toBe(1);
  const others = Object.entries(second).filter(([other]) => other !== name);
  const needsIt = name === 'kernel' ? ['udev', 'lvm'] : name === 'udev' ? ['lvm'] : [];
  for (const [other, source] of others) expect([other, source.known]).toEqual([other, !needsIt.includes(other)]);
});

test('programs that hang for real: both sources are missing within three seconds, and nothing is started beside them', async () => {
  const run = commandsFrom({
    pvs: { path: '/bin/sleep', timeoutMs: 2_500 },
    zpool: { path: '/bin/sleep', timeoutMs: 2_500 },
  });
  const made = await ports({}, ((name: 'pvs' | 'zpool') => run(name, ['30'])) as RunCommand);
  const before = performance.now();
  const found = await gather(made);
  expect(performance.now() - before).toBeLessThan(6_000);
  expect(missing(found)).toEqual(['LVM: its program did not answer in time.', 'ZFS: its program did not answer in time.']);
});

test('a configuration directory that hangs holds one thread: files can still be read, and others answer', async () => {
  const pve = await makeTree(without('storage.cfg'));
  execFileSync('/usr/bin/mkfifo', [join(pve, 'storage.cfg')]);
  const { gather: again } = createGather(await ports({ proxmoxFiles: createProxmoxFiles(pve) }), { loopDrives: [] });
  const before = performance.now();
  const [first, second, third] = await Promise.all([again(), again(), again()]);
  expect([first, second, third].map(missing)).toEqual(Array(3).fill(["Proxmox's configuration: no answer within 3 seconds."]));
  expect(missing(await again())).toHaveLength(1);
  expect(performance.now() - before).toBeLessThan(6_000);
  const others = [1, 2, 3].map(() => readFile('/proc/self/stat', 'utf8'));
  const stuck = new Promise((resolve) => setTimeout(resolve, 3_000, 'every thread is stuck'));
  expect(await Promise.race([Promise.all(others), stuck])).toHaveLength(3);
  execFileSync('/bin/sh', ['-c', ': > "$0"', join(pve, 'storage.cfg')], { timeout: 2_000 });
});
