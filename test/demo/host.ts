/** The simulated host of the demo, the contract tests and the bench: one node, containers that run, a drive for backups. */
import { mkdirSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Pve, startPve } from '../pve/server.ts';
import type { Guest, Storage, World } from '../pve/world.ts';

export const BACKUP_STORAGE = 'usb-backup';
export const GUEST_STORAGE = 'local-btrfs';
const GIB = 1024 ** 3;

export interface DemoHostOptions {
  /** Everything the host keeps lies below. */
  dir: string;
  vmids: readonly number[];
  /** 0: a free one. */
  port?: number;
  /** Milliseconds between two lines of a vzdump log. */
  lineDelayMs?: number;
  /** How long a refused login is held back; a real server takes three seconds. */
  unauthorizedDelayMs?: number;
  /** The storages of guests' disks and of archives are drives of their own, mounted at `storageIn`. */
  onDrives?: boolean;
  /** The agent's token may disable storages: there is no pvesh here, by which root does so on a real host. */
  switches?: boolean;
}

/** Where a storage of the host has its files. */
export const storageIn = (dir: string, name: string): string => join(dir, 'storage', name);

export interface DemoHost {
  pve: Pve;
  /** `user@realm!name=uuid`, with no more rights than a real host's agent gets. */
  token: string;
}

const storage = (name: string, type: string, content: string, path: string, more: Partial<Storage> = {}): Storage => ({
  storage: name,
  type,
  config: { content, path },
  active: true,
  hung: false,
  total: 64 * GIB,
  used: 21 * GIB,
  avail: 43 * GIB,
  archives: [],
  volumes: [],
  snapshots: false,
  ...more,
});

/** What the file system at the storage's place really has. */
const figures = (path: string): Pick<Storage, 'total' | 'used' | 'avail'> => {
  const { blocks, bfree, bavail, bsize } = statfsSync(path);
  return { total: blocks * bsize, used: (blocks - bfree) * bsize, avail: bavail * bsize };
};

/** A running container with one volume, whose root file system is a real directory with a few files. */
export const container = (vmid: number, dir: string, size = '8G'): Guest => {
  const rootfs = join(dir, 'guests', String(vmid), 'rootfs');
  mkdirSync(join(rootfs, 'srv/notes'), { recursive: true });
  writeFileSync(join(rootfs, 'srv/notes/hello.txt'), `This file lives in guest ${vmid} and will be in its backup.\n`);
  return {
    vmid,
    type: 'lxc',
    config: {
      arch: 'amd64',
      cores: 2,
      hostname: `guest${vmid}`,
      memory: 1024,
      ostype: 'debian',
      rootfs: `${GUEST_STORAGE}:${vmid}/vm-${vmid}-disk-0.subvol,size=${size}`,
      swap: 512,
      unprivileged: 1,
    },
    snapshots: {},
    status: 'running',
    paused: false,
    pid: 100_000 + vmid,
    startedAt: Math.floor(Date.now() / 1000) - 3600,
    guestAgentRuns: false,
    directories: { rootfs },
  };
};

const furnish = (world: World, { dir, vmids, onDrives = false, switches = false }: DemoHostOptions): void => {
  const at = (name: string) => storageIn(dir, name);
  for (const name of ['local', GUEST_STORAGE, BACKUP_STORAGE]) mkdirSync(at(name), { recursive: true });
  world.storages.clear();
  world.storages.set('local', storage('local', 'dir', 'iso,vztmpl', at('local')));
  world.storages.set(GUEST_STORAGE, storage(GUEST_STORAGE, 'btrfs', 'images,rootdir', at(GUEST_STORAGE), { snapshots: true }));
  world.storages.set(BACKUP_STORAGE, storage(BACKUP_STORAGE, 'dir', 'backup', at(BACKUP_STORAGE)));
  if (onDrives)
    for (const name of [GUEST_STORAGE, BACKUP_STORAGE]) {
      const one = world.storages.get(name) as Storage;
      Object.assign(one, figures(at(name)));
      one.config.is_mountpoint = 1;
    }
  world.guests.clear();
  // As large as the drives allow: a guest's first archive is expected to need most of what the guest may hold.
  for (const vmid of vmids) world.guests.set(vmid, container(vmid, dir, onDrives ? '256M' : '8G'));
  // What README's "On a real host" sets up: the same rights for the user and, separated, for its token.
  world.roles.set('FelhomAgent', ['VM.Audit', 'VM.Backup', 'Sys.Audit', 'Datastore.Audit']);
  world.roles.set('FelhomBackupStore', ['Datastore.Audit', 'Datastore.AllocateSpace', 'Datastore.Allocate']);
  world.roles.set('FelhomSwitches', ['Datastore.Allocate']);
  const user = 'felhom@pve';
  world.users.set(user, { userid: user, enable: true, expire: 0, groups: [], extra: {}, tokens: {} });
  for (const [type, ugid] of [
    ['user', user],
    ['token', `${user}!${world.node}`],
  ] as const) {
    world.acl.push({ path: '/', roleid: 'FelhomAgent', type, ugid, propagate: true });
    world.acl.push({ path: `/storage/${BACKUP_STORAGE}`, roleid: 'FelhomBackupStore', type, ugid, propagate: true });
    if (switches) world.acl.push({ path: '/storage', roleid: 'FelhomSwitches', type, ugid, propagate: false });
  }
};

export const startDemoHost = async (options: DemoHostOptions): Promise<DemoHost> => {
  const pve = await startPve({
    dir: join(options.dir, 'pve'),
    node: 'pve1',
    ...(options.port === undefined ? {} : { port: options.port }),
    ...(options.lineDelayMs === undefined ? {} : { lineDelayMs: options.lineDelayMs }),
    ...(options.unauthorizedDelayMs === undefined ? {} : { unauthorizedDelayMs: options.unauthorizedDelayMs }),
    world: (world) => furnish(world, options),
  });
  return { pve, token: pve.addToken('felhom@pve', 'pve1', { privsep: true }) };
};
