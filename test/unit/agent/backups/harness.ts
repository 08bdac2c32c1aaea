/** A node that outlives the agent, and agents that can be killed at any moment. */
import Database from 'better-sqlite3';
import { createBackups, type NewBackup } from '#agent/backups/service';
import { startedView } from '#agent/backups/view';
import type { AgentConfig } from '#agent/config';
import { loadProblems } from '#agent/health/problems';
import type { Journal } from '#agent/ports/journal';
import {
  type BackupVolume,
  type GuestResource,
  type Proxmox,
  ProxmoxError,
  type StorageConfig,
  type VzdumpRequest,
} from '#agent/ports/proxmox';
import type { Store } from '#agent/ports/store';
import { MIGRATIONS } from '#agent/ports/store-schema';
import type { TaskLog } from '#agent/ports/task-log';
import { parseUpid } from '#agent/ports/upid';
import { type Clock, sleep } from '#shared/clock';
import { fakeClock, settle } from '../fake-clock.ts';

export const HOUR = 3600_000;
const NODE = 'pve1';
const TOKEN = 'felhom@pve!pve1';
const RUNNING = { type: 'lxc', status: 'running', lock: '', usedBytes: 1e9, diskBytes: 8e9 } as const;
const forever = () => new Promise<never>(() => {});

export interface FakeTask {
  upid: string;
  lines: string[];
  exitstatus?: string;
  request: VzdumpRequest;
  /** Proxmox has forgotten it. */
  lost?: true;
}

/** What Proxmox does with a vzdump POST. */
type PostFate =
  | 'answers'
  | 'lost before' // never reaches Proxmox; nobody answers
  | 'lost after' // the task runs; nobody answers
  | { error: ProxmoxError; taskAfterMs?: number; afterMs?: number };

export const proxmoxError = (status: number, effect: 'never' | 'unknown', message = `HTTP ${status}`) =>
  new ProxmoxError({ method: 'POST', path: '/nodes/pve1/vzdump', status, message, effect });

export const volume = (facts: Partial<BackupVolume> & { volid: string }): BackupVolume => ({
  vmid: 101,
  sizeBytes: 3_000_000,
  ctime: 0,
  notes: '',
  protected: false,
  format: 'tar.zst',
  verification: null,
  ...facts,
});

const createNode = (clock: Clock) => {
  const tasks: FakeTask[] = [];
  const listeners = new Set<(upid: string, line: string) => void>();
  const node = {
    tasks,
    posts: 0,
    fate: 'answers' as PostFate,
    away: false,
    listingFails: false,
    forgetful: false,
    /** The task's log cannot be read any more. */
    logGone: false,
    /** Called when a POST arrives. */
    onPost: () => {},
    guests: [
      { vmid: 101, node: NODE, name: 'ct101', ...RUNNING },
      { vmid: 102, node: NODE, name: 'ct102', ...RUNNING },
      { vmid: 103, node: 'pve2', name: 'ct103', ...RUNNING },
    ] as GuestResource[],
    volumes: [] as BackupVolume[],
    /** What `schedule-analyze` answers, seconds since 1970; only those after the time that is asked for. */
    occurrences: [] as number[],
    timezone: 'UTC',
    /** The file that lists the tasks cannot be read. */
    indexGone: false,
    indexReads: 0,
    asked: { running: 0, storages: 0, statuses: 0, lists: 0 },
    /** Stops are answered, and the task goes on. */
    stopsNothing: false,
    stops: [] as string[],
    configs: new Map<number, Record<string, string>>(),
    storages: [] as StorageConfig[],
    /** By guest; one that is not there has no group. */
    frozen: new Map<number, boolean>(),
    thawed: [] as number[],
    synced: [] as number[],
    sync: async () => {},
    fileSizes: new Map<string, number>(),
    sizesAsked: 0,
    removed: [] as string[],
    commands: [] as string[],
    commandFails: false,
    /** Without a guest: one task of several. */
    addTask: (vmid: number | '', user = TOKEN, request = {} as VzdumpRequest, type = 'vzdump'): FakeTask => {
      const hex = (value: number) => value.toString(16).toUpperCase().padStart(8, '0');
      const start = hex(Math.floor(clock.now() / 1000));
      const task = {
        upid: `UPID:${NODE}:${hex(1000 + tasks.length)}:00029D43:${start}:${type}:${vmid}:${user}:`,
        lines: [],
        request,
      };
      tasks.push(task);
      return task;
    },
    writeTo: (task: FakeTask, ...lines: string[]) => {
      for (const line of lines) {
        task.lines.push(line);
        for (const tell of listeners) tell(task.upid, line);
      }
    },
    /** It leaves an archive if it went well. */
    endTask: (task: FakeTask, exitstatus: string, archive = true) => {
      task.exitstatus = exitstatus;
      const name = task.lines.map((line) => /archive '.*\/(.+)'$/.exec(line)?.[1]).find(Boolean);
      const good = exitstatus === 'OK' || exitstatus.startsWith('WARNINGS');
      const notes = task.request.notes ?? '';
      if (good && archive && name) node.volumes.push(volume({ volid: `bak:backup/${name}`, vmid: 201, notes }));
    },
    newest: (): FakeTask => {
      const task = tasks.at(-1);
      if (!task) throw new Error('no task runs');
      return task;
    },
    /** The newest task writes. */
    write: (...lines: string[]) => node.writeTo(node.newest(), ...lines),
    end: (exitstatus: string, archive = true) => node.endTask(node.newest(), exitstatus, archive),
  };

  const whenThere = async <T>(answer: () => T): Promise<T> => {
    if (node.away) throw proxmoxError(0, 'unknown', 'connect ECONNREFUSED');
    return answer();
  };

  const post = async (request: VzdumpRequest): Promise<string> => {
    node.posts += 1;
    node.onPost();
    const { fate } = node;
    if (fate === 'lost before') return forever();
    if (typeof fate === 'object') {
      if (fate.taskAfterMs !== undefined) clock.after(fate.taskAfterMs, () => node.addTask(request.vmid, TOKEN, request));
      if (fate.afterMs !== undefined) await sleep(clock, fate.afterMs);
      throw fate.error;
    }
    const { upid } = node.addTask(request.vmid, TOKEN, request);
    return fate === 'lost after' ? forever() : upid;
  };

  const volumeNamed = (volid: string): BackupVolume => {
    const found = node.volumes.find((one) => one.volid === volid);
    if (!found) throw proxmoxError(500, 'never', `volume '${volid}' does not exist`);
    return found;
  };

  const deleteVolume = (volid: string): void => {
    const found = node.volumes.find((one) => one.volid === volid);
    if (found?.protected) throw proxmoxError(500, 'never', `cannot remove protected volume '${volid}'`);
    node.volumes = node.volumes.filter((one) => one !== found);
  };

  const rowsOf = (type?: string) =>
    tasks.flatMap(({ upid }) => {
      const known = parseUpid(upid);
      return known && (type ?? known.type) === known.type ? [{ upid, ...known }] : [];
    });
  const tasksOf = (vmid: number, since: number, type?: string) =>
    rowsOf(type).filter(({ id, starttime }) => id === String(vmid) && starttime >= since);

  const stopTask = (upid: string): void => {
    node.stops.push(upid);
    const task = tasks.find((one) => one.upid === upid);
    if (task && !node.stopsNothing) task.exitstatus ??= 'unexpected status';
  };

  /** What a killed agent asks for never happens, and what it had asked for is not answered. */
  const mortalBy =
    (alive: () => boolean) =>
    <A extends unknown[], R>(call: (...args: A) => Promise<R>) =>
    (...args: A): Promise<R> =>
      alive() ? call(...args).then((answer) => (alive() ? answer : forever())) : forever();

  const proxmox = (alive: () => boolean): Proxmox => {
    const mortal = mortalBy(alive);
    return {
      node: NODE,
      tokenName: TOKEN,
      resources: mortal(() => whenThere(() => ({ guests: node.guests, storages: [] }))),
      storageConfigs: mortal(async () => {
        node.asked.storages += 1;
        return node.storages;
      }),
      guestConfig: mortal(async (_type, vmid) => node.configs.get(vmid) ?? {}),
      startVzdump: mortal(post),
      taskStatus: mortal((upid) =>
        whenThere(() => {
          node.asked.statuses += 1;
          const task = tasks.find((one) => one.upid === upid);
          if (!task || task.lost || node.forgetful) return null;
          return task.exitstatus === undefined ? { upid, running: true } : { upid, running: false, exitstatus: task.exitstatus };
        }),
      ),
      taskLog: mortal(async () => []),
      vzdumpTasks: mortal((vmid, since) =>
        whenThere(() => {
          node.asked.lists += 1;
          return tasksOf(vmid, since, 'vzdump');
        }),
      ),
      guestTasks: mortal((vmid, since) => whenThere(() => tasksOf(vmid, since))),
      runningVzdump: mortal(() =>
        whenThere(() => {
          node.asked.running += 1;
          return rowsOf('vzdump').filter(({ upid }) => tasks.some((one) => one.upid === upid && !one.exitstatus));
        }),
      ),
      stopTask: mortal((upid) => whenThere(() => stopTask(upid))),
      analyzeSchedule: mortal((_schedule, start) => whenThere(() => node.occurrences.filter((at) => at > start).slice(0, 100))),
      timezone: mortal(() => whenThere(() => node.timezone)),
      volumeInfo: mortal((_storage, volid) =>
        whenThere(() => {
          const { sizeBytes, protected: kept } = volumeNamed(volid);
          return { path: `/bak/dump/${volid.split('/').at(-1)}`, sizeBytes, protected: kept };
        }),
      ),
      protectVolume: mortal((_storage, volid, on) => whenThere(() => void Object.assign(volumeNamed(volid), { protected: on }))),
      deleteVolume: mortal((_storage, volid) => whenThere(() => deleteVolume(volid))),
      backupVolumes: mortal(async () => {
        if (node.listingFails) throw proxmoxError(596, 'unknown');
        return node.volumes;
      }),
      enableStorage: mortal(async () => {}),
      backupJobs: mortal(async () => []),
      enableBackupJob: mortal(async () => {}),
      close: async () => {},
    };
  };

  const taskLog = (alive: () => boolean): TaskLog => ({
    follow: (upid, onLine) => {
      let given = 0;
      const catchUp = () => {
        const lines = tasks.find((one) => one.upid === upid)?.lines ?? [];
        for (; given < lines.length && alive() && !node.logGone; given += 1) onLine(lines[given] ?? '');
      };
      listeners.add(catchUp);
      queueMicrotask(catchUp);
      const stop = () => listeners.delete(catchUp);
      return {
        finish: async () => {
          if (node.logGone) throw proxmoxError(596, 'unknown');
          catchUp();
          stop();
        },
        stop,
      };
    },
  });

  /** What else the agent reads of the host and does to it. */
  const host = (alive: () => boolean) => {
    const mortal = mortalBy(alive);
    return {
      taskIndex: {
        read: mortal(async () => {
          node.indexReads += 1;
          if (node.indexGone) return null;
          return tasks.map(({ upid, exitstatus }) => ({ upid, running: exitstatus === undefined, status: exitstatus ?? '' }));
        }),
      },
      cgroup: {
        frozen: mortal(async (vmid: number) => node.frozen.get(vmid) ?? null),
        thaw: mortal(async (vmid: number) => {
          node.thawed.push(vmid);
          node.frozen.set(vmid, false);
        }),
      },
      syncGuest: mortal(async (vmid: number) => {
        node.synced.push(vmid);
        await node.sync();
      }),
      run: mortal(async (name: string, args: readonly string[]) => {
        node.commands.push([name, ...args].join(' '));
        if (node.commandFails) throw new Error('exit 1');
        return '';
      }),
      leftovers: {
        remove: mortal(async (directory: string, name: string) => {
          node.removed.push(`${directory}/${name}`);
          return [name];
        }),
      },
      fileSize: mortal(async (path: string) => {
        node.sizesAsked += 1;
        return node.fileSizes.get(path) ?? null;
      }),
      lockFile: '/var/run/vzdump.lock',
    };
  };

  return { node, proxmox, taskLog, host };
};

const RULES: AgentConfig['backup'] = {
  storage: 'bak',
  mode: 'snapshot',
  compress: 'zstd',
  maxAgeMs: 36 * HOUR,
  minIntervalMs: HOUR,
  schedule: '04:15',
  window: { from: 22 * 60, to: 6 * 60 },
  fallbackAfterMs: HOUR / 2,
  startPreempts: false,
  retention: { 'keep-daily': 7 },
  guests: new Map(),
};

const createDatabase = () => {
  const database = new Database(':memory:');
  for (const step of MIGRATIONS) database.exec(step);
  const fault = { full: false };
  const store = (alive: () => boolean): Store => ({
    all: async <Row>(sql: string, values: readonly unknown[] = []) =>
      alive() ? (database.prepare(sql).all(...values) as Row[]) : forever(),
    write: async (...statements) => {
      if (!alive()) return forever();
      if (fault.full) throw new Error('database or disk is full');
      return database.transaction(() => statements.map(({ sql, values = [] }) => database.prepare(sql).run(...values).changes))();
    },
    close: async () => {},
  });
  const rows = (table = 'backup_jobs') =>
    database.prepare(`SELECT * FROM ${table} ORDER BY rowid`).all() as Record<string, unknown>[];
  return { store, rows, fault };
};

export const setup = ({ minIntervalMs = HOUR, startPreempts = false } = {}) => {
  const time = fakeClock(Date.UTC(2026, 10, 21, 22, 30));
  const { node, proxmox, taskLog, host } = createNode(time.clock);
  const { store, rows, fault } = createDatabase();
  const journal: string[] = [];
  const settings = { ...RULES, minIntervalMs, startPreempts };

  const startAgent = async () => {
    let living = true;
    const alive = () => living;
    const say: Journal = (level, sentence, fields) => {
      if (living) journal.push(`${level} ${sentence} ${JSON.stringify(fields ?? {})}`);
    };
    const clock: Clock = { ...time.clock, after: (ms, call) => time.clock.after(ms, () => (living ? call() : undefined)) };
    const ports = { store: store(alive), clock, journal: say };
    const problems = await loadProblems(ports);
    const all = {
      ...ports,
      ...host(alive),
      proxmox: proxmox(alive),
      taskLog: taskLog(alive),
      problems,
      hostId: 'host-1',
      settings: () => settings,
    };
    const backups = createBackups(all);
    await backups.resume();
    const peek = (vmid = 101) => backups.status(vmid, {}, new AbortController().signal);
    /** As agent/duty begins one. */
    const start = async (vmid: number, order: Partial<NewBackup> = {}) =>
      startedView(
        await backups.begin({
          vmid,
          requestId: null,
          source: 'schedule',
          mode: 'snapshot',
          configDigest: 'd1',
          intends: [],
          ...order,
        }),
      );
    /** As by kill -9: nothing it has under way has any effect from now on. */
    const kill = () => {
      living = false;
    };
    return { ...backups, problems, start, peek, kill };
  };
  return { ...time, settle, node, rows, fault, journal, startAgent };
};
