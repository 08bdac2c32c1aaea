/** A host in memory whose backup drive is taken out of use: what it has is data, what is done to it is a list, and it dies when told. */

import type { Job } from '#agent/backups/jobs';
import type { FormatJob } from '#agent/disks/format/format';
import type { Drive, DriveRecord, Holder, Inventory } from '#agent/disks/inventory/drive';
import type { Evidence } from '#agent/disks/inventory/evidence';
import { inventoryOf } from '#agent/disks/inventory/inventory';
import type { NewProblem } from '#agent/health/problems';
import type { Op, Prepare, Prepared } from '#agent/ops/op';
import { createOutOfUse } from '#agent/ops/out-of-use';
import { createPrepare, type PreparePorts } from '#agent/ops/prepare';
import { createRunningBackups } from '#agent/ops/running-backups';
import { createTurn, type InTurn } from '#agent/turn';
import type { Clock } from '#shared/clock';
import { isWithin } from '#shared/mountinfo';
import { contextOf, evidenceOf, type HostSpec, host } from '../disks/host.ts';

export const OP_ID = 'op-123456789abc';
const RECORD = 7;

export interface Mounted {
  point: string;
  from: string;
  fstype?: string;
  options?: string[];
  root?: string;
}

export interface HostState {
  /** By id; the keys of storage.cfg. */
  storages: Record<string, Record<string, string>>;
  jobs: Record<string, { enabled: boolean; storage: string; dumpDir?: string }>;
  mounts: Mounted[];
  /** Points that somebody has a file open on. */
  busy: Set<string>;
  /** Our own backups: the storage that each writes to. */
  own: { vmid: number; storage: string }[];
  /** Tasks of others. */
  foreign: { upid: string; id: string; user: string; log: string[] }[];
  op: Op;
  spec: Partial<HostSpec>;
  /** Other operations on record. */
  others: Op[];
  /** Who keeps the drive in use though it is not mounted. */
  holders: Holder[];
  /** Why it once became a backup drive, as the database has it; empty: it has no role on record. */
  remembered: string;
  /** A mount option that the kernel takes no more. */
  refusedOption: string;
  /** Of formats, by id. */
  formats: Record<string, Pick<FormatJob, 'state' | 'phase'>>;
}

const record: DriveRecord = {
  ...{ id: RECORD, name: 'sdb', model: 'Drive', serial: 'S-sdb', wwn: '', sizeBytes: 500_000_000_000, transport: 'sata' },
  ...{ keys: ['serial:drive/s-sdb/500000000000'], firstSeenAt: 1, lastSeenAt: 1, role: null, owner: null },
};

export const openOp = (more: Partial<Op> = {}): Op => ({
  ...{ id: OP_ID, op: 'storage_wipe', durableId: 'byid:x', nonce: Buffer.alloc(16), vmid: 101, instance: 'i', drive: RECORD },
  ...{ device: 'sdb', role: 'backup', model: 'Drive', serial: 'S-sdb', sizeBytes: 1, fstype: 'ext4', createdAt: 1, expiresAt: 2 },
  ...{ state: 'open', reason: '', jobId: '', grantedBy: '', prepared: [] },
  ...more,
});

/** A backup drive as Proxmox has them: a storage at its mount, one nested below, a job of Proxmox's own, a backup of ours that runs. */
export const backupHost = (more: Partial<HostState> = {}): HostState => ({
  storages: {
    'usb-backup': { type: 'dir', path: '/mnt/usb', content: 'backup', is_mountpoint: '1' },
    nested: { type: 'dir', path: '/mnt/usb/second', content: 'backup' },
    local: { type: 'dir', path: '/var/lib/vz', content: 'backup,iso' },
  },
  jobs: {
    nightly: { enabled: true, storage: 'usb-backup' },
    paused: { enabled: false, storage: 'usb-backup' },
    other: { enabled: true, storage: 'local' },
  },
  mounts: [{ point: '/mnt/usb', from: 'sdb1', options: ['rw', 'relatime', 'rw', 'errors=remount-ro'] }],
  busy: new Set(),
  own: [{ vmid: 101, storage: 'usb-backup' }],
  foreign: [],
  op: openOp(),
  spec: {},
  others: [],
  holders: [],
  remembered: '',
  formats: {},
  refusedOption: '',
  ...more,
});

const sectionsOf = ({ storages }: HostState) => Object.entries(storages).map(([id, keys]) => ({ id, ...keys }));

const evidenceNow = (state: HostState): Evidence => {
  const spec = host({
    drives: [{ name: 'sdb' }, { name: 'sdc' }],
    ...state.spec,
    mounts: state.mounts.map(({ root: _root, ...mount }) => mount),
    storages: sectionsOf(state),
  });
  const evidence = evidenceOf(spec);
  if (!evidence.mounts.known) return evidence;
  const all = evidence.mounts.value;
  const value = all.map((seen) => {
    const { point } = seen.mount;
    const root = state.mounts.find((mount) => mount.point === point)?.root ?? '/';
    const below = all.filter((other) => point !== other.mount.point && isWithin(point, other.mount.point));
    return { ...seen, mount: { ...seen.mount, root, parent: below.at(-1)?.mount.id ?? '1' } };
  });
  return { ...evidence, mounts: { known: true, value } };
};

/** Nothing takes time. */
const HASTE: Clock = {
  now: () => 0,
  monotonic: () => 0,
  after: (_ms, call) => {
    const timer = setImmediate(call);
    return () => clearImmediate(timer);
  },
};

class Died extends Error {}

export interface PrepareHost {
  state: HostState;
  prepare: Prepare;
  /** What was done to the host, in order. */
  done: string[];
  problems: Map<string, NewProblem>;
  audits: string[];
  /** The drive as it is now. */
  current(): Drive;
  /** What there is, to compare. */
  picture(): unknown;
  check(): Promise<void>;
  /** That in which signatures are carried out too. */
  inTurn: InTurn;
}

interface Fate {
  /** The effect, counted from 1, before which everything ends. */
  dieAt?: number;
  /** The one that fails. */
  failAt?: number;
  /** What others do meanwhile. */
  after?: (what: string) => void;
}

export const prepareHost = (state: HostState, { dieAt = 0, failAt = 0, after = () => undefined }: Fate = {}): PrepareHost => {
  const done: string[] = [];
  const problems = new Map<string, NewProblem>();
  const audits: string[] = [];
  let effects = 0;
  /** Changes something of the host or of the database. */
  const effect = (what: string, act: () => void): void => {
    effects += 1;
    if (dieAt > 0 && effects >= dieAt) throw new Died('the agent is gone');
    if (effects === failAt) throw new Error('it failed');
    done.push(what);
    act();
    after(what);
  };

  let evidence: Evidence | null = null;
  const recordNow = (): DriveRecord => ({
    ...record,
    role: state.remembered === '' ? null : { role: 'backup', why: state.remembered, since: 1 },
  });
  const look = (): Inventory => {
    evidence = evidenceNow(state);
    return inventoryOf(evidence, contextOf({ records: [recordNow()] }));
  };
  const mountsNow = () => {
    const { mounts } = evidenceNow(state);
    return mounts.known ? mounts.value.filter(({ host: own }) => own).map(({ mount }) => mount) : [];
  };
  const setPrepared = async (_id: string, prepared: readonly Prepared[]): Promise<void> => {
    effect(`write ${prepared.length}`, () => {
      state.op = { ...state.op, prepared };
    });
  };
  const holders = async (): Promise<Holder[]> => [
    ...state.mounts
      .filter(({ from }) => from.startsWith('sdb'))
      .map(({ point }): Holder => ({ kind: 'mount', sentence: `It is mounted at ${point}.`, vmid: null, pid: null })),
    ...state.holders,
  ];
  const running = createRunningBackups({
    clock: HASTE,
    backups: {
      running: () =>
        state.own.map(
          (job, index) => ({ ...job, source: 'schedule', upid: `own-${index}`, jobId: `j${index}` }) as unknown as Job,
        ),
      cancel: async (vmid) => {
        effect(`cancel ${vmid}`, () => {
          state.own = state.own.filter((job) => job.vmid !== vmid);
        });
        return {} as Job;
      },
    },
    proxmox: {
      node: 'pve1',
      runningVzdump: async () => state.foreign.map(({ log: _log, ...task }) => ({ ...task, type: 'vzdump', starttime: 1 })),
      taskLog: async (upid) => state.foreign.find((task) => task.upid === upid)?.log ?? [],
    },
  });
  const proxmox = {
    storageConfigs: async () =>
      Object.entries(state.storages).map(([storage, keys]) => ({
        ...{ storage, type: keys.type ?? 'dir', content: keys.content ?? '', path: keys.path ?? '', nodes: [], keys },
        disabled: keys.disable !== undefined,
      })),
    backupJobs: async () => Object.entries(state.jobs).map(([id, { dumpDir = '', ...job }]) => ({ id, dumpDir, ...job })),
  };
  const ops = { list: () => [state.op, ...state.others], setPrepared };
  const job = (jobId: string) => state.formats[jobId] ?? null;
  const inTurn = createTurn();
  const outOfUse = createOutOfUse({
    ...{ ops, job, proxmox },
    journal: () => undefined,
    problems: {
      raise: (problem) => void problems.set(problem.code, problem),
      clear: (code) => void problems.delete(code),
    },
  });
  const ports: PreparePorts = {
    clock: HASTE,
    journal: () => undefined,
    current: {
      fresh: async () => look(),
      last: () => (evidence === null ? null : ({ evidence } as never)),
      changed: () => undefined,
    },
    records: { assignments: () => [] },
    loopDrives: [],
    inUse: { holders },
    check: {
      users: async () => [...state.busy].map((path) => ({ pid: 4711, command: 'bash', vmid: null, what: 'file', path }) as never),
      flush: async () => undefined,
    },
    mounts: {
      seen: async () => mountsNow(),
      unmount: async ({ point }) =>
        effect(`umount ${point}`, () => {
          if (state.busy.has(point)) throw new Error('target is busy');
          const at = state.mounts.findLastIndex((mount) => mount.point === point);
          state.mounts = state.mounts.filter((_mount, index) => index !== at);
        }),
      mount: async ({ point, source, fstype, options }) =>
        effect(`mount ${source} ${point} ${fstype} ${options}`, () => {
          if (options.split(',').includes(state.refusedOption)) throw new Error('bad option');
          state.mounts = [
            ...state.mounts,
            fstype === 'none'
              ? { point, from: 'sdb1', root: source.slice('/mnt/usb'.length), options: ['rw'] }
              : { point, from: source.slice('/dev/'.length), options: ['rw', 'relatime', 'rw', 'errors=remount-ro'] },
          ];
        }),
    },
    resolve: async (path) => path,
    proxmox,
    storageSwitch: {
      storage: async (id, on) =>
        effect(`${on ? 'enable' : 'disable'} ${id}`, () => {
          const { disable: _disable, ...keys } = state.storages[id] ?? {};
          state.storages[id] = on ? keys : { ...keys, disable: '' };
        }),
      backupJob: async (id, on) =>
        effect(`${on ? 'enable' : 'disable'} job ${id}`, () => {
          const job = state.jobs[id];
          if (job !== undefined) state.jobs[id] = { ...job, enabled: on };
        }),
    },
    running,
    letGoArchives: async (storages) => effect(`let go ${storages.join(' ')}`, () => undefined),
    ops,
    job,
    inTurn,
    audit: async (what) => void audits.push(what),
    changed: () => undefined,
  };
  return {
    state,
    prepare: createPrepare(ports),
    done,
    problems,
    audits,
    current: () => look().drives.find(({ name }) => name === 'sdb') as Drive,
    picture: () =>
      structuredClone({
        storages: state.storages,
        jobs: state.jobs,
        mounts: state.mounts.map(({ point, from, root = '/' }) => ({ point, from, root })),
      }),
    check: outOfUse.check,
    inTurn,
  };
};
