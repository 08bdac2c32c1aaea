/** The lines and their order are the recorded ones, and for VMs those read from Proxmox's source. */

import { afterEach, expect, test } from 'vitest';
import { createTestNode, recordedLog } from '../../pve/vzdump/testing.ts';

let node: Awaited<ReturnType<typeof createTestNode>>;
afterEach(() => node.close());

/** Times, sizes, process ids and Perl's order of options differ from run to run. */
const common = (line: string): string => {
  const options = line.match(/ --\S+ (?:'[^']*'|\S+)/g);
  const sorted =
    options && line.startsWith('INFO: starting new') ? line.replace(options.join(''), options.sort().join('')) : line;
  return sorted
    .replace(/\d{4}([-_])\d\d\1\d\d([ -])\d\d([:_])\d\d\3\d\d/g, '<time>')
    .replace(/\((\d\d:){2}\d\d\)/, '(<duration>)')
    .replace(/vzdumptmp\d+_/, 'vzdumptmp<pid>_')
    .replace(/\/proc\/\d+\//, '/proc/<pid>/')
    .replace(/<?\d+ seconds$/, '<n> seconds')
    .replace(/written: .*/, 'written: <bytes>')
    .replace(/size: \d+[KMGT]B/, 'size: <size>')
    .replace(/transferred \S+ bytes in \d+s/, 'transferred <bytes>')
    .replace(/'[^']*vzdump\.lock'/, "'<lock file>'");
};

const BOTH = { storage: 'bak', compress: 'zstd' };
const TWO = { mp0: 'btr:201/data,mp=/data,backup=1', mp1: '/srv/bind,mp=/mnt/bind' };

test.each([
  ['lxc-snapshot-btrfs', { vmid: '201', mode: 'snapshot', ...BOTH }, 'OK'],
  ['lxc-snapshot-btrfs-two-volumes-and-a-bind-mount', { vmid: '201', mode: 'snapshot', ...BOTH }, 'OK'],
  [
    'lxc-snapshot-keep-all-with-note',
    {
      ...{ vmid: '201', mode: 'snapshot', ...BOTH, lockwait: 0 },
      ...{ 'prune-backups': 'keep-all=1', 'notes-template': 'felhom job 0b5f {{guestname}}' },
    },
    'OK',
  ],
  ['lxc-snapshot-falls-back-to-suspend-dir', { vmid: '103', mode: 'snapshot', ...BOTH }, 'OK'],
  ['lxc-stopped', { vmid: '101', mode: 'snapshot', ...BOTH }, 'OK'],
  ['fails-guest-locked', { vmid: '102', mode: 'snapshot', storage: 'bak' }, 'job errors'],
  ['fails-no-such-guest', { vmid: '999', storage: 'bak' }, 'job errors'],
  [
    'fails-wrong-content',
    { vmid: '201', storage: 'btr' },
    "could not get storage information for 'btr': can't use storage 'btr' for backups - wrong content type",
  ],
])('the log of %s is the recorded one', async (name, params, exitstatus) => {
  node = await createTestNode({ backupPath: '/srv/bak' });
  if (/two-volumes|note/.test(name)) Object.assign(node.guest(201).config, TWO);
  if (name === 'fails-guest-locked') node.guest(102).config.lock = 'backup';
  const task = await node.run(params);
  expect(task.log.map(common)).toEqual((await recordedLog(name)).map(common));
  expect(task.exitstatus).toBe(exitstatus);
});

const SNAPSHOT_VM = { vmid: '100', mode: 'snapshot', ...BOTH };
const between = (log: string[], from: RegExp, to: RegExp): string[] =>
  log.slice(
    log.findIndex((l) => from.test(l)) + 1,
    log.findIndex((l) => to.test(l)),
  );

test.each([
  [
    'answers',
    true,
    ["issuing guest-agent 'fs-freeze' command", 'starting backup via QMP command', "issuing guest-agent 'fs-thaw' command"],
  ],
  [
    'is silent',
    false,
    ['skipping guest filesystem freeze - agent configured but not running?', 'starting backup via QMP command'],
  ],
])('a running VM whose agent %s is frozen accordingly', async (_how, runs, lines) => {
  node = await createTestNode();
  node.guest(100).guestAgentRuns = runs;
  const { log } = await node.run(SNAPSHOT_VM);
  expect(between(log, /creating vzdump archive/, /started backup task '/)).toEqual(lines.map((l) => `INFO: ${l}`));
  expect(log.filter((l) => /^INFO: +(25|50|75|100)% \(/.test(l))).toHaveLength(4);
  expect(log).toContain('INFO: 100% (32.0 GiB of 32.0 GiB) in 0s, read: 32.0 GiB/s, write: 32.0 GiB/s');
  expect(log.at(-1)).toBe('TASK OK');
});

test('a VM without an agent says that the freeze is off', async () => {
  node = await createTestNode();
  delete node.guest(100).config.agent;
  const { log } = await node.run(SNAPSHOT_VM);
  expect(log).toContain('INFO: skipping guest filesystem freeze - disabled in VM options');
});

test.each([
  ['suspend', ['suspending guest', 'resuming VM again after 0 seconds', 'resume vm']],
  ['stop', ['stopping virtual guest', 'starting kvm to execute backup task', 'resuming VM again after 0 seconds']],
])('a running VM in %s mode runs again before the data is copied', async (mode, lines) => {
  node = await createTestNode();
  const { log } = await node.run({ ...SNAPSHOT_VM, mode });
  expect(log.filter((l) => lines.includes(l.replace('INFO: ', '')))).toEqual(lines.map((l) => `INFO: ${l}`));
  expect(node.guest(100)).toMatchObject({ status: 'running', paused: false });
});

test('a stopped VM is started paused and stopped again before the archive is whole', async () => {
  node = await createTestNode();
  const { log } = await node.run({ ...SNAPSHOT_VM, vmid: '104' });
  expect(log.findIndex((l) => /stopping kvm/.test(l))).toBeLessThan(log.findIndex((l) => /archive file size/.test(l)));
  expect(node.guest(104)).toMatchObject({ status: 'stopped', paused: false });
});

test('a VM without disks has no backup task', async () => {
  node = await createTestNode();
  const { log } = await node.run({ ...SNAPSHOT_VM, vmid: '105' });
  expect(log).toContain('INFO: starting diskless backup');
  expect(log.join('\n')).not.toContain('started backup task');
});

test.each([
  ['pbs', 201, "INFO: creating Proxmox Backup Server archive 'ct/201/"],
  ['pbs', 100, "INFO: creating Proxmox Backup Server archive 'vm/100/"],
  ['ext', 100, "INFO: creating Borg archive 'vm/100/"],
])('onto %s goes guest %s without a file', async (storage, vmid, line) => {
  node = await createTestNode();
  const { log, exitstatus } = await node.run({ vmid: String(vmid), storage, mode: 'snapshot' });
  expect(exitstatus).toBe('OK');
  expect(log.some((l) => l.startsWith(line))).toBe(true);
  expect(log.some((l) => /archive file size|Total bytes/.test(l))).toBe(false);
  expect(log.some((l) => /started backup task/.test(l))).toBe(storage === 'pbs' && vmid === 100);
  expect(node.world.storages.get(storage)?.archives).toHaveLength(1);
});

test('a running container in stop mode is down until its archive is whole', async () => {
  node = await createTestNode();
  const states: string[] = [];
  node.faults.onLine = (line) => /creating|archive file|Finished/.test(line) && states.push(node.guest(103).status);
  const { log } = await node.run({ vmid: '103', storage: 'bak', mode: 'stop' });
  expect(states).toEqual(['stopped', 'stopped', 'running']);
  expect(log.slice(-6, -3)).toEqual([
    'INFO: restarting vm',
    'INFO: guest is online again after <1 seconds',
    expect.stringMatching(/Finished/),
  ]);
});

test('several guests share a task without an id, and one failure makes errors of it', async () => {
  node = await createTestNode();
  node.guest(101).config.lock = 'migrate';
  const task = await node.run({ vmid: '102,101', storage: 'bak' });
  expect(task).toMatchObject({ id: '', exitstatus: 'job errors' });
  expect(task.log[0]).toMatch(/^INFO: starting new backup job: vzdump 102 101 --/);
  expect(task.log).toContain('ERROR: Backup of VM 101 failed - CT is locked (migrate)');
  expect(task.log.filter((l) => /Finished Backup of VM 102/.test(l))).toHaveLength(1);
});

test('all guests but some are taken in order', async () => {
  node = await createTestNode();
  const task = await node.run({ all: 1, exclude: '100,104,105', storage: 'bak' });
  expect(task.log.flatMap((l) => /Starting Backup of VM (\d+)/.exec(l)?.[1] ?? [])).toEqual(['101', '102', '103', '201']);
  expect(task.log[0]).toContain('--exclude 100,104,105');
});

test.each([
  ['a named guest fails the task', { vmid: '101' }, '403 Permission check failed (/vms/101, VM.Backup)'],
  ['of all guests those are left out', { all: 1 }, 'OK'],
])('without VM.Backup, %s', async (_what, params, exitstatus) => {
  node = await createTestNode({ may: (path) => path !== '/vms/101' });
  const task = await node.run({ ...params, storage: 'bak' });
  expect(task.exitstatus).toBe(exitstatus);
  expect(task.log.join('\n')).not.toContain('Starting Backup of VM 101');
});

test.each([
  [
    'nosuch',
    "could not activate storage 'nosuch': storage 'nosuch' does not exist could not get storage information for 'nosuch': storage 'nosuch' does not exist",
  ],
  ['bak', /^could not activate storage 'bak': unable to activate storage 'bak' - directory is expected to be a mount point/],
])('the storage %s cannot be used', async (storage, exitstatus) => {
  node = await createTestNode();
  const bak = node.world.storages.get('bak');
  if (bak) bak.active = false;
  const task = await node.run({ vmid: '101', storage });
  expect(task.exitstatus).toMatch(exitstatus);
  expect(task.log).toEqual([`TASK ERROR: ${task.exitstatus}`]);
});
