/** The simulated node with guests of every kind, and the agent's backups and its duty over their real ports. */
import { readdirSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AgentConfig } from '#agent/config';
import { loadProblems } from '#agent/health/problems';
import { systemClock } from '#agent/ports/clock';
import type { Journal } from '#agent/ports/journal';
import { createProc } from '#agent/ports/proc';
import { createProxmox } from '#agent/ports/proxmox-http';
import { openStore, type Store } from '#agent/ports/store';
import { createSysfs } from '#agent/ports/sysfs';
import { composeBackups } from '#agent/serve-backups';
import { createNodeView } from '#agent/storage/node-view';
import type { BackupStatus } from '#shared/wire/backups';
import { startPve } from '../pve/server.ts';
import type { Guest, Storage, World } from '../pve/world.ts';

const HOUR = 3600_000;
const ENROLLED = [201, 202, 203, 204, 205, 301, 302, 303];
const SETTINGS: AgentConfig['backup'] = {
  storage: 'bak',
  mode: 'snapshot',
  compress: 'zstd',
  schedule: '04:15',
  window: { from: 22 * 60, to: 6 * 60 },
  maxAgeMs: 36 * HOUR,
  minIntervalMs: 0,
  fallbackAfterMs: HOUR / 2,
  startPreempts: false,
  retention: { 'keep-last': 100 },
  guests: new Map(),
};

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
    const journal: string[] = [];
    const say: Journal = (level, sentence, fields) => journal.push(`${level} ${sentence} ${JSON.stringify(fields)}`);
    const problems = await loadProblems({ store, clock: systemClock, journal: say });
    const proc = createProc();
    const settings = { ...SETTINGS, minIntervalMs: options.minIntervalMs ?? 0 };
    const { backups, archives, duty, ...parts } = composeBackups({
      ...{ store, proxmox, proc, problems, clock: systemClock, journal: say, hostId: 'contract' },
      view: createNodeView({ clock: systemClock, proxmox, proc, sysfs: createSysfs() }),
      paths: { ...pve.files, taskLogDir: options.taskLogDir ?? pve.files.taskLogDir },
      settings: () => settings,
      archivesChanged: () => {},
      guests: () => ENROLLED.map((vmid) => ({ vmid, lastSeenAt: Date.now() })),
    });
    await backups.resume();
    let closed = false;
    const close = async () => {
      if (closed) return;
      closed = true;
      await parts.close();
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
    /** As the operator's command does. */
    const run = async (vmid: number): Promise<BackupStatus> => {
      await duty.run(vmid);
      return until(vmid, ({ phase }) => phase !== 'running');
    };
    /** Without a look at what the prechecks would say. */
    const force = async (vmid: number): Promise<BackupStatus> => {
      await backups.begin({ vmid, requestId: null, source: 'operator', mode: 'snapshot', configDigest: '', intends: [] });
      return until(vmid, ({ phase }) => phase !== 'running');
    };
    return { ...backups, archives, duty, problems, proxmox, journal, until, run, force, close };
  };

  const vzdumpPosts = () => pve.requests.filter(({ method, path }) => method === 'POST' && path.endsWith('/vzdump')).length;

  /** Files in the dump directory that are no archives. */
  const leftOver = (): string[] => readdirSync(join(dir, 'bak/dump')).filter((name) => /\.(dat|tmp)$/.test(name));

  const close = async () => {
    for (const clean of cleanups) await clean();
    await store.close();
    await pve.close();
    await rm(dir, { recursive: true, force: true });
  };
  return { pve, store, startAgent, vzdumpPosts, leftOver, close };
};
