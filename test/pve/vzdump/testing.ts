/** A small node for the tests of vzdump: the recorded guests and storages, real directories, a real task runner. */

import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createTasks } from '../tasks.ts';
import type { Guest, NodeFiles, Storage, Task, World } from '../world.ts';
import { clearFaults } from './faults.ts';
import type { Params } from './job.ts';
import type { VzdumpOptions } from './run.ts';
import { createVzdump } from './vzdump.ts';

const storage = (id: string, type: string, config: Storage['config'], snapshots: boolean): Storage => {
  const sizes = { total: 1e12, used: 0, avail: 1e12 };
  return { storage: id, type, config, active: true, hung: false, ...sizes, archives: [], volumes: [], snapshots };
};

const guest = (vmid: number, type: Guest['type'], config: Guest['config'], running: boolean): Guest => {
  const state = { status: running ? ('running' as const) : ('stopped' as const), paused: false, ...(running ? { pid: 78 } : {}) };
  const name = type === 'lxc' ? { hostname: `ct${vmid}` } : { name: `vm${vmid}` };
  return { vmid, type, config: { ...name, ...config }, snapshots: {}, ...state, guestAgentRuns: false, directories: {} };
};

const DISK = { scsi0: 'btr:100/disk.raw,size=32G', ide2: 'none,media=cdrom' };

const world = (backupPath: string): World => ({
  node: 'pve1',
  version: { version: '9.2.11', release: '9.2', repoid: '0' },
  users: new Map(),
  groups: new Map(),
  roles: new Map(),
  acl: [],
  pools: new Map(),
  guests: new Map(
    [
      guest(100, 'qemu', { ...DISK, agent: 'enabled=1' }, true),
      guest(101, 'lxc', { rootfs: 'local:101/disk.raw,size=4G' }, false),
      guest(102, 'lxc', { rootfs: 'local:102/disk.raw,size=4G' }, false),
      guest(103, 'lxc', { rootfs: 'local:103/disk.raw,size=4G' }, true),
      guest(104, 'qemu', DISK, false),
      guest(105, 'qemu', {}, true),
      guest(201, 'lxc', { rootfs: 'btr:201/root,size=4G' }, true),
    ].map((g) => [g.vmid, g]),
  ),
  storages: new Map(
    [
      storage('bak', 'dir', { path: backupPath, content: 'backup', 'prune-backups': 'keep-last=3,keep-daily=7' }, false),
      storage('pbs', 'pbs', { content: 'backup' }, false),
      storage('ext', 'custom', { content: 'backup', 'backup-provider': 'Borg' }, false),
      storage('local', 'dir', { path: '/var/lib/vz', content: 'rootdir,images' }, false),
      storage('btr', 'btrfs', { path: '/srv/btr', content: 'images,rootdir' }, true),
    ].map((s) => [s.storage, s]),
  ),
  backupJobs: new Map(),
  tasks: [],
  pvestatdReported: true,
});

export interface NodeOptions {
  /** A path that does not exist keeps the recorded names and makes no files. */
  backupPath?: string;
  lineDelayMs?: number;
  clock?: () => number;
  may?: (path: string, privilege: string) => boolean;
  extra?: Partial<VzdumpOptions>;
}

export const createTestNode = async (o: NodeOptions = {}) => {
  const root = await mkdtemp(join(tmpdir(), 'felhom-test-'));
  const backupPath = o.backupPath ?? join(root, 'bak');
  const files: NodeFiles = { configDir: join(root, 'etc'), taskLogDir: join(root, 'tasks'), lockFile: join(root, 'vzdump.lock') };
  if (o.backupPath === undefined) await mkdir(backupPath);
  const w = world(backupPath);
  const clock = o.clock ?? Date.now;
  const tasks = createTasks(w, files, clock);
  const vzdump = createVzdump({ world: w, files, tasks, clock, lineDelayMs: () => o.lineDelayMs ?? 0, ...o.extra });
  const at = (vmid: number): Guest => {
    const found = w.guests.get(vmid);
    if (!found) throw new Error(`no guest ${vmid}`);
    return found;
  };

  /** Gives a guest a volume of files. */
  const fill = async (vmid: number, key: string, content: Readonly<Record<string, string>>): Promise<string> => {
    const directory = join(root, String(vmid), key);
    for (const [name, text] of Object.entries(content)) {
      await mkdir(join(directory, name, '..'), { recursive: true });
      await writeFile(join(directory, name), text);
    }
    at(vmid).directories[key] = directory;
    return directory;
  };

  const start = (params: Params): Task => {
    const upid = vzdump.start(params, { user: 'admin@pve', tokenid: 'full', may: o.may ?? (() => true) });
    const task = w.tasks.find((t) => t.upid === upid);
    if (!task) throw new Error(upid);
    return task;
  };

  const run = async (params: Params): Promise<Task> => {
    const task = start(params);
    await tasks.ended(task.upid);
    return task;
  };

  const close = async (): Promise<void> => {
    clearFaults(vzdump.faults);
    await tasks.stopAll();
    await rm(root, { recursive: true, force: true });
  };

  return { root, world: w, files, tasks, vzdump, faults: vzdump.faults, guest: at, backupPath, fill, start, run, close };
};

export const recordedLog = async (name: string): Promise<string[]> => {
  const text = await readFile(new URL(`../../fixtures/vzdump-logs/${name}.log`, import.meta.url), 'utf8');
  return text.trimEnd().split('\n');
};
