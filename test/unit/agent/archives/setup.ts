/** A storage, a database and a checking program that do what a test says, and the archives service over them. */
import Database from 'better-sqlite3';
import type { Archive } from '#agent/archives/archive';
import { createArchives } from '#agent/archives/service';
import type { AgentConfig, Retention } from '#agent/config';
import { loadProblems } from '#agent/health/problems';
import type { CheckResult } from '#agent/ports/archive-check';
import { type BackupVolume, type GuestResource, ProxmoxError, type StorageConfig } from '#agent/ports/proxmox';
import type { Store } from '#agent/ports/store';
import { MIGRATIONS } from '#agent/ports/store-schema';
import { fakeClock, settle } from '../fake-clock.ts';
import { storageConfig } from '../fake-host.ts';

export const DAY = 86_400_000;
export const HOUR = 3_600_000;
export const NOON = new Date(2026, 10, 21, 12).getTime();

const two = (value: number): string => String(value).padStart(2, '0');

/** As vzdump names an archive of that time. */
export const volidAt = (ms: number, { vmid = 101, storage = 'bak', kind = 'lxc', format = 'tar.zst' } = {}): string => {
  const at = new Date(ms);
  const day = [at.getFullYear(), two(at.getMonth() + 1), two(at.getDate())].join('_');
  const time = [at.getHours(), at.getMinutes(), at.getSeconds()].map(two).join('_');
  return `${storage}:backup/vzdump-${kind}-${vmid}-${day}-${time}.${format}`;
};

export const archiveAt = (ms: number, more: Partial<Archive> = {}): Archive => ({
  volid: volidAt(ms),
  vmid: 101,
  storage: 'bak',
  jobId: 'job',
  source: 'schedule',
  label: 'crash',
  createdAt: ms,
  sizeBytes: 1_000_000,
  protected: false,
  notes: '',
  format: 'tar.zst',
  verification: 'pending',
  verifiedAt: null,
  verificationError: '',
  provenAt: null,
  ...more,
});

export const jobId = (count: number): string => `00000000-0000-4000-8000-${String(count).padStart(12, '0')}`;

export const refused = (status: number) =>
  new ProxmoxError({ method: 'GET', path: '/content', status, message: 'no', effect: status === 403 ? 'never' : 'unknown' });

const memoryStore = () => {
  const database = new Database(':memory:');
  for (const step of MIGRATIONS) database.exec(step);
  const store: Store = {
    all: async <Row>(sql: string, values: readonly unknown[] = []) => database.prepare(sql).all(...values) as Row[],
    write: async (...statements) =>
      database.transaction(() => statements.map(({ sql, values = [] }) => database.prepare(sql).run(...values).changes))(),
    close: async () => {},
  };
  return { store, database };
};

/** This host. */
export const HOST = 'pve1-k3v7q2m5xw8r4t6y9zbc';

export const setup = async ({
  retention = { 'keep-last': 3 } as Retention,
  check: finding = {} as Partial<CheckResult>,
} = {}) => {
  const time = fakeClock(NOON);
  const { store, database } = memoryStore();
  const journal: string[] = [];
  const log = (level: string, sentence: string, fields?: object) =>
    void journal.push(`${level} ${sentence} ${JSON.stringify(fields ?? {})}`);
  const problems = await loadProblems({ store, clock: time.clock, journal: log });
  const world = {
    volumes: [] as BackupVolume[],
    listing: null as Error | null,
    listings: 0,
    deletion: null as Error | null,
    deleted: [] as string[],
    busy: false,
    guests: [{ vmid: 101, type: 'lxc', node: 'pve1', name: 'ct101', status: 'running', lock: '' }] as GuestResource[],
    config: { rootfs: 'btr:101/root,size=8G' } as Record<string, string>,
    storages: [storageConfig({ storage: 'btr', content: 'rootdir,images' })] as StorageConfig[],
    retention,
    storage: 'bak',
    directory: '/mnt/bak/dump',
    fileName: null as string | null,
    finding: { verdict: 'whole', error: '', detail: '', members: 1, bytes: 1, ...finding } as CheckResult,
    checked: [] as string[],
    /** Held back until it is called. */
    answerCheck: null as (() => void) | null,
    holdChecks: false,
    changes: [] as number[],
  };

  const proxmox = {
    node: 'pve1',
    backupVolumes: async (storage: string, vmid: number) => {
      world.listings += 1;
      if (world.listing) throw world.listing;
      return world.volumes.filter((volume) => volume.vmid === vmid && volume.volid.startsWith(`${storage}:`));
    },
    deleteVolume: async (_storage: string, volid: string) => {
      if (world.deletion) throw world.deletion;
      world.deleted.push(volid);
      world.volumes = world.volumes.filter((volume) => volume.volid !== volid);
    },
    protectVolume: async (_storage: string, volid: string, on: boolean) => {
      for (const volume of world.volumes) if (volume.volid === volid) volume.protected = on;
    },
    volumeInfo: async (_storage: string, volid: string) => ({
      path: `${world.directory}/${world.fileName ?? volid.split('/').at(-1)}`,
      sizeBytes: 1,
      protected: false,
    }),
    resources: async () => ({ guests: world.guests, storages: [] }),
    guestConfig: async () => world.config,
    storageConfigs: async () => world.storages,
  };

  const start = () =>
    createArchives({
      hostId: HOST,
      store,
      proxmox,
      clock: time.clock,
      journal: log,
      problems,
      settings: () => ({ storage: world.storage, retention: world.retention }) as AgentConfig['backup'],
      check: {
        check: (path, _format, signal) =>
          new Promise((resolve) => {
            world.checked.push(path);
            world.answerCheck = () => resolve(world.finding);
            signal.addEventListener('abort', () => resolve({ ...world.finding, verdict: 'unreadable' }));
            if (!world.holdChecks) resolve(world.finding);
          }),
      },
      busy: () => world.busy,
      guests: () => world.guests.map(({ vmid }) => vmid),
      onChange: (vmid) => world.changes.push(vmid),
    });

  let jobs = 0;
  /** A backup that was made: its row, and its archive in the storage. */
  const backup = (
    ms: number,
    more: Partial<BackupVolume> & { source?: string; label?: string; vmid?: number; job?: boolean } = {},
  ) => {
    jobs += 1;
    const { source = 'schedule', label = 'crash', job = true, vmid = 101, ...facts } = more;
    const volume: BackupVolume = {
      volid: volidAt(ms, { vmid, storage: world.storage }),
      vmid,
      sizeBytes: 1_000_000,
      ctime: Math.floor(ms / 1000),
      notes: `felhom job ${jobId(jobs)} host ${HOST}`,
      protected: false,
      format: 'tar.zst',
      verification: null,
      ...facts,
    };
    world.volumes.push(volume);
    if (job)
      database
        .prepare(
          "INSERT INTO backup_jobs (job_id, vmid, state, storage, created_at, archive, size_bytes, label, source) VALUES (?, ?, 'done', ?, ?, ?, ?, ?, ?)",
        )
        .run(jobId(jobs), vmid, world.storage, ms, volume.volid, volume.sizeBytes, label, source);
    return { volid: volume.volid, jobId: jobId(jobs), volume };
  };
  const ended = (vmid = 101, source: 'schedule' | 'guest' | 'proxmox' = 'schedule') =>
    ({ vmid, storage: world.storage, state: 'done', source }) as const;
  const rows = () => database.prepare('SELECT * FROM archives ORDER BY created_at').all() as Record<string, unknown>[];
  const audit = () =>
    database.prepare('SELECT who, what, details FROM audit').all() as { who: string; what: string; details: string }[];
  const codes = () => problems.list().map(({ code, vmid }) => `${code} ${vmid}`);
  /** Without what old archives that nobody read are always reported for. */
  const troubles = () => codes().filter((code) => !code.startsWith('verification-late'));
  const run = (sql: string, ...values: unknown[]) => database.prepare(sql).run(...values);

  return {
    ...time,
    settle,
    world,
    start,
    archives: start(),
    backup,
    ended,
    rows,
    audit,
    codes,
    troubles,
    problems,
    journal,
    run,
  };
};
