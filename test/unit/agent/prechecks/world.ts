/** A host on which a backup may start, until a test changes something; and everything that the prechecks do to it. */
import Database from 'better-sqlite3';
import type { Reading } from '#agent/collector';
import { parseConfig } from '#agent/config';
import { CommandError } from '#agent/ports/command';
import type { Space } from '#agent/ports/filesystem';
import type { PmxcfsView } from '#agent/ports/pmxcfs';
import type { GuestResource, Resources, StorageConfig } from '#agent/ports/proxmox';
import type { Store } from '#agent/ports/store';
import { MIGRATIONS } from '#agent/ports/store-schema';
import type { ThinPool } from '#agent/ports/thin-pools';
import { createPrechecks } from '#agent/prechecks/service';
import { createGuestSync } from '#agent/prechecks/sync';
import type { Verdict } from '#agent/prechecks/verdict';
import { sleep } from '#shared/clock';
import { parseMountinfo } from '#shared/mountinfo';
import { fakeClock } from '../fake-clock.ts';
import { storageConfig, storageResource } from '../fake-host.ts';

export const GB = 1e9;

export const guest = (facts: Partial<GuestResource> = {}): GuestResource => ({
  vmid: 101,
  type: 'lxc',
  node: 'pve1',
  name: 'ct101',
  status: 'running',
  lock: '',
  usedBytes: 4 * GB,
  diskBytes: 32 * GB,
  ...facts,
});

export const pool = (facts: Partial<ThinPool> = {}): ThinPool => ({
  name: 'pve-data--1',
  dataFraction: 0.5,
  metadataFraction: 0.1,
  state: 'rw',
  needsCheck: false,
  ...facts,
});

/** `/proc/<pid>/mountinfo`: one `[numbers, point, fstype, options?]` a line. */
export const mountinfo = (...mounts: [numbers: string, point: string, fstype: string, options?: string][]): string =>
  mounts
    .map(
      ([numbers, point, fstype, options = 'rw'], index) =>
        `${index + 30} 1 ${numbers} / ${point} rw - ${fstype} /dev/x${index} ${options}`,
    )
    .join('\n');

export const ROOT: [string, string, string] = ['252:0', '/', 'ext4'];
export const DRIVE: [string, string, string] = ['8:1', '/mnt/usb', 'ext4'];

/** As stat(1) tells a device: 252:0 and 8:1. */
export const ROOT_DEVICE = String(252 * 256);
export const DRIVE_DEVICE = String(8 * 256 + 1);

export const room = (availBytes: number, device = DRIVE_DEVICE): Space => ({ device, totalBytes: 1000 * GB, availBytes });

const SETTINGS = 'listen: [{address: 10.0.0.1, port: 8443}]\nbackup: {storage: usb, mode: MODE}\n';

export const settingsOf = (mode: string) => {
  const parsed = parseConfig(SETTINGS.replace('MODE', mode));
  if (!parsed.ok) throw new Error('the test has a bad configuration');
  return parsed.config.backup;
};

const healthy = () => ({
  cluster: async (): Promise<PmxcfsView> => ({ state: 'ok', guests: new Map([[101, { node: 'pve1', type: 'lxc' }]]) }),
  guests: [guest()] as GuestResource[],
  reported: [storageResource({ storage: 'usb', maxdisk: 1000 * GB, disk: 100 * GB }), storageResource({ storage: 'local' })],
  resourcesFail: null as Error | null,
  storages: [
    storageConfig({ storage: 'usb', path: '/mnt/usb' }),
    storageConfig({
      storage: 'thin',
      type: 'lvmthin',
      content: 'rootdir',
      path: '',
      keys: { vgname: 'pve', thinpool: 'data-1' },
    }),
    storageConfig({ storage: 'files', content: 'rootdir', path: '/srv/files' }),
  ] as StorageConfig[],
  storagesFail: null as Error | null,
  config: async (): Promise<Record<string, string>> => ({ rootfs: 'thin:vm-101-disk-0,size=32G', digest: 'd1' }),
  repair: async (_vmid: number): Promise<boolean> => false,
  hostMounts: mountinfo(ROOT, DRIVE),
  /** By path; what is not there does not exist. */
  rooms: {
    '/mnt/usb/dump': room(900 * GB),
    '/mnt/usb': room(900 * GB),
    '/var/tmp': room(50 * GB, ROOT_DEVICE),
  } as Record<string, Space | 'hangs'>,
  sizes: async (): Promise<readonly number[]> => [2 * GB],
  pools: async (): Promise<ThinPool[]> => [pool()],
  locked: async (): Promise<boolean> => false,
  inside: mountinfo(['252:9', '/', 'ext4'], ['0:50', '/proc', 'proc'], ['0:51', '/run', 'tmpfs']) as string | null,
  /** Mount points in the guest that do not answer. */
  dead: [] as string[],
  /** Those that do not even fail. */
  mute: [] as string[],
  /** How long each pass over one file system takes; the last one for all that follow. */
  syncMs: [10] as number[],
  syncFails: false,
  settings: settingsOf('snapshot'),
});
export type World = ReturnType<typeof healthy>;

const memoryStore = (): Pick<Store, 'all' | 'write'> & { db: Database.Database } => {
  const db = new Database(':memory:');
  for (const step of MIGRATIONS) db.exec(step);
  return {
    db,
    all: async <Row>(sql: string, values: readonly unknown[] = []) => db.prepare(sql).all(...values) as Row[],
    write: async (...statements) => statements.map(({ sql, values = [] }) => db.prepare(sql).run(...values).changes),
  };
};

/** Changes the host before anything is asked of it. */
export const setup = (...changes: ((world: World) => void)[]) => {
  const world = healthy();
  for (const change of changes) change(world);
  const { clock, advance } = fakeClock();
  const store = memoryStore();
  const did = {
    repaired: [] as number[],
    synced: [] as string[],
    requests: [] as string[],
    measured: [] as string[],
    journal: [] as string[],
  };

  const reading = <T>(name: string, value: T, failure: Error | null): Reading<T> => {
    did.requests.push(name);
    return failure === null ? { value, ageMs: 0, fresh: true } : { value, ageMs: 9e6, fresh: false, failure };
  };
  const resources = (): Resources => ({ guests: world.guests, storages: world.reported });
  const passes = new Map<string, number>();
  const guestMounts = {
    list: async () => (world.inside === null ? null : parseMountinfo(world.inside)),
    answers: async (_vmid: number, point: string) => {
      if (world.mute.includes(point)) await new Promise(() => {});
      return !world.dead.includes(point);
    },
    sync: async (vmid: number, point: string, timeoutMs: number) => {
      const pass = passes.get(point) ?? 0;
      passes.set(point, pass + 1);
      did.synced.push(`${vmid} ${point}`);
      const ms = world.syncMs[pass] ?? world.syncMs.at(-1) ?? 0;
      await sleep(clock, Math.min(ms, timeoutMs));
      if (world.syncFails) throw new CommandError('/usr/bin/sync', 'exit', 'Input/output error', 1);
      if (ms > timeoutMs) throw new CommandError('/usr/bin/sync', 'timeout');
      return ms;
    },
  };
  const guestSync = createGuestSync({ guestMounts, clock });
  const prechecks = createPrechecks({
    view: {
      node: 'pve1',
      resources: { read: async () => reading('resources', resources(), world.resourcesFail) },
      storages: { read: async () => reading('storages', world.storages, world.storagesFail) },
    },
    proxmox: {
      guestConfig: (type, vmid) => {
        did.requests.push(`config ${type} ${vmid}`);
        return world.config();
      },
    },
    pmxcfs: { read: () => world.cluster() },
    nodeLock: { held: () => world.locked() },
    guestMounts,
    thinPools: { read: () => world.pools() },
    filesystem: {
      space: async (path) => {
        did.measured.push(path);
        const found = world.rooms[path];
        if (found === 'hangs') await new Promise(() => {});
        if (found === undefined) throw new CommandError('/usr/bin/stat', 'exit', `cannot stat ${path}`, 1);
        return found as Space;
      },
    },
    proc: { mountinfo: async () => world.hostMounts },
    clock,
    settings: () => world.settings,
    recentSizes: () => world.sizes(),
    repairStaleLock: (vmid) => {
      did.repaired.push(vmid);
      return world.repair(vmid);
    },
    store,
    journal: (level, sentence, fields) => void did.journal.push(`${level} ${sentence} ${JSON.stringify(fields)}`),
    guestSync,
  });

  /** Lets time pass until there is an answer; nothing waits that long in earnest. */
  const untilDone = async <T>(asked: Promise<T>): Promise<T> => {
    let done = false;
    const mark = () => {
      done = true;
    };
    void asked.then(mark, mark);
    for (let step = 0; !done && step < 2000; step += 1) await advance(step < 50 ? 250 : 5_000);
    return asked;
  };
  const check = (vmid = 101): Promise<Verdict> => untilDone(prechecks.check(vmid));
  const remembered = () => store.db.prepare('SELECT storage, path, mount_point FROM targets').all();
  return { world, did, check, prechecks, guestSync, untilDone, clock, advance, remembered };
};
