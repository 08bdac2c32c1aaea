/** The simulated node with guests of every kind, and the agent's backup service over its real ports. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createBackups } from '#agent/backups/service';
import { systemClock } from '#agent/ports/clock';
import { createProxmox } from '#agent/ports/proxmox-http';
import { openStore, type Store } from '#agent/ports/store';
import { createTaskLog } from '#agent/ports/task-log';
import type { BackupStatus } from '#shared/wire/backups';
import { startPve } from '../pve/server.ts';
import type { Guest, Storage, World } from '../pve/world.ts';

const HOUR = 3600_000;

const guest = (vmid: number, type: Guest['type'], config: Guest['config'], more: Partial<Guest> = {}): Guest => {
  const name = type === 'lxc' ? { hostname: `ct${vmid}` } : { name: `vm${vmid}` };
  const state = { status: 'running', paused: false, pid: vmid, guestAgentRuns: false } as const;
  return { vmid, type, config: { ...name, ...config }, snapshots: {}, directories: {}, ...state, ...more };
};

const storage = (id: string, type: string, config: Storage['config'], snapshots: boolean): Storage => ({
  storage: id,
  type,
  config,
  active: true,
  hung: false,
  total: 1e12,
  used: 0,
  avail: 1e12,
  archives: [],
  volumes: [],
  snapshots,
});

const DISK = { scsi0: 'btr:100/disk.raw,size=1G' };

const furnish = (world: World, dir: string): void => {
  const guests = [
    guest(201, 'lxc', { rootfs: 'btr:201/root,size=1G' }),
    guest(202, 'lxc', { rootfs: 'btr:202/root,size=1G', mp0: 'btr:202/data,mp=/data,backup=1,size=1G' }),
    guest(203, 'lxc', { rootfs: 'local:203/disk.raw,size=1G' }),
    guest(204, 'lxc', { rootfs: 'btr:204/root,size=1G' }, { status: 'stopped' }),
    guest(205, 'lxc', { rootfs: 'btr:205/root,size=1G', lock: 'backup' }),
    guest(301, 'qemu', { ...DISK, agent: 'enabled=1' }, { guestAgentRuns: true }),
    guest(302, 'qemu', DISK),
    guest(303, 'qemu', DISK, { status: 'stopped' }),
  ];
  for (const one of guests) world.guests.set(one.vmid, one);
  const storages = [
    storage('bak', 'dir', { path: join(dir, 'bak'), content: 'backup' }, false),
    storage('btr', 'btrfs', { path: join(dir, 'btr'), content: 'images,rootdir' }, true),
  ];
  for (const one of storages) world.storages.set(one.storage, one);
  // As `felhom-agent setup` grants it.
  world.roles.set('FelhomAgent', ['VM.Audit', 'VM.Backup', 'Sys.Audit', 'Datastore.Audit']);
  world.roles.set('FelhomBackupStore', ['Datastore.Audit', 'Datastore.AllocateSpace', 'Datastore.Allocate']);
  for (const [path, roleid] of [
    ['/', 'FelhomAgent'],
    ['/storage/bak', 'FelhomBackupStore'],
  ] as const)
    for (const [type, ugid] of [
      ['user', 'felhom@pve'],
      ['token', 'felhom@pve!pve1'],
    ] as const)
      world.acl.push({ path, roleid, type, ugid, propagate: true });
};

export const startNode = async () => {
  const dir = await mkdtemp(join(tmpdir(), 'felhom-backups-'));
  const pve = await startPve({ dir, unauthorizedDelayMs: 3000, world: (world) => furnish(world, dir) });
  const token = pve.addToken('felhom@pve', 'pve1');
  const store: Store = await openStore(join(dir, 'state.db'));
  const cleanups: (() => Promise<unknown>)[] = [];

  const startAgent = async (options: { taskLogDir?: string; minIntervalMs?: number } = {}) => {
    const proxmox = createProxmox({
      endpoint: pve.endpoint,
      token,
      node: pve.node,
      clock: systemClock,
      fingerprints: async () => [pve.fingerprint],
    });
    const directory = options.taskLogDir ?? pve.files.taskLogDir;
    const taskLog = createTaskLog({ directory, proxmox, clock: systemClock });
    const journal: string[] = [];
    const backups = createBackups({
      store,
      proxmox,
      taskLog,
      clock: systemClock,
      journal: (level, sentence, fields) => journal.push(`${level} ${sentence} ${JSON.stringify(fields)}`),
      settings: () => ({
        storage: 'bak',
        mode: 'snapshot',
        compress: 'zstd',
        maxAgeMs: 36 * HOUR,
        minIntervalMs: options.minIntervalMs ?? 0,
        schedule: '04:15',
        window: { from: 22 * 60, to: 6 * 60 },
        fallbackAfterMs: HOUR / 2,
        startPreempts: false,
        retention: { 'keep-daily': 7 },
        guests: new Map(),
      }),
    });
    await backups.resume();
    let closed = false;
    const close = async () => {
      if (closed) return;
      closed = true;
      await backups.close();
      await proxmox.close();
    };
    cleanups.push(close);

    /** Follows by long poll, as a controller does, until `done`. */
    const until = async (vmid: number, done: (status: BackupStatus) => boolean): Promise<BackupStatus> => {
      const never = new AbortController().signal;
      let status = await backups.status(vmid, {}, never);
      for (let tries = 0; !done(status) && tries < 200; tries += 1)
        status = await backups.status(vmid, { wait: '1', after: status.revision }, never);
      return status;
    };
    const run = async (vmid: number): Promise<BackupStatus> => {
      await backups.start(vmid, {});
      return until(vmid, ({ phase }) => phase !== 'running');
    };
    return { ...backups, proxmox, journal, until, run, close };
  };

  const vzdumpPosts = () => pve.requests.filter(({ method, path }) => method === 'POST' && path.endsWith('/vzdump')).length;

  const close = async () => {
    for (const clean of cleanups) await clean();
    await store.close();
    await pve.close();
    await rm(dir, { recursive: true, force: true });
  };
  return { pve, store, startAgent, vzdumpPosts, close };
};
