/** A host with one backup drive in memory, and what signatures rest on as it ships: a real database, a real second file, real deeds. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createFormatting } from '#agent/disks/format/formatting';
import { jobView } from '#agent/disks/format/job-view';
import { loadJobs } from '#agent/disks/format/jobs';
import type { Drive, Holder } from '#agent/disks/inventory/drive';
import type { Current } from '#agent/disks/known/current';
import type { Claims } from '#agent/disks/known/ownership';
import { insertDrive } from '#agent/disks/known/record-rows';
import type { NewProblem } from '#agent/health/problems';
import { loadRegister } from '#agent/ops/register';
import { createOps } from '#agent/ops/service';
import { type GrantFile, grantFileBeside } from '#agent/ports/grant-file';
import type { Statement, Store } from '#agent/ports/store';
import { loadClockMark } from '#agent/trust/clock-mark';
import { loadStateTrust } from '#agent/trust/state-trust';
import { createTurn } from '#agent/turn';
import { FelhomError } from '#shared/errors';
import type { GrantKey } from '#shared/grant';
import { because, madeDrive, madeEvidence, madeFilesystem, madeInventory, madeRecord } from '../disks/made.ts';
import { fakeClock } from '../fake-clock.ts';
import { makeOperator, type Operator } from './operator.ts';
import { openPlainStore } from './plain-store.ts';

export const HOST = 'pve1-k3v7q2m5xw8r4t6y9zbc';
export const NOW = Date.UTC(2026, 10, 22, 14);
export const DAY = 86_400_000;
const INSTANCE = 'net:aa:bb:cc:00:00:01';

/** Where a process may be killed, in the order of a grant. */
export const STEPS = [
  'looked',
  'locked',
  'obstacles',
  'proved',
  'before the database',
  'after the database',
  'before the file',
  'after the file',
  'before go',
  'after go',
] as const;
export type Step = (typeof STEPS)[number];

export const backupDrive = (facts: Parameters<typeof madeDrive>[0] = {}): Drive =>
  madeDrive({
    role: 'backup',
    reasons: [because('backup', 'Backups were seen on it.', true)],
    device: { partitions: [{ name: 'sdb1', numbers: '8:17', sizeBytes: 1, startBytes: 1_048_576, holders: [] }] },
    filesystems: [madeFilesystem()],
    record: madeRecord({ role: { role: 'backup', why: 'Backups were seen on it.', since: 1 } }),
    ...facts,
  });

export interface HostState {
  drives: Drive[];
  holders: Holder[];
  obstacles: string[];
  missing: { source: string; why: string }[];
  claims: Claims;
  keys: Map<string, GrantKey>;
  keysProblem: string;
  synchronised: boolean;
  bootId: string;
  hostScope: string;
  /** A format ends by itself, well, soon after it began. */
  ends: boolean;
  /** What drives were erased, in order. */
  erased: string[];
  /** Of a call: what it throws. */
  failures: Map<'write' | 'file' | 'go' | 'hold', Error>;
  /** Called on the way; a promise that never resolves is a process that was killed there. */
  reached: (step: Step) => Promise<void> | void;
  maxAgeMs: number;
}

const claimsOf = (vmids: readonly number[]): Claims => ({
  guests: vmids,
  enrolled: vmids,
  instances: new Map(vmids.map((vmid) => [vmid, `${INSTANCE}-${vmid}`])),
});

const failing = (state: HostState, what: 'write' | 'file' | 'go' | 'hold'): void => {
  const failure = state.failures.get(what);
  if (failure !== undefined) throw failure;
};

/** Erased, as whoever looks at it next finds it. */
const erase = (state: HostState, name: string): void => {
  state.erased.push(name);
  state.drives = state.drives.map((drive) =>
    drive.name === name ? { ...drive, role: 'user-data', filesystems: [madeFilesystem({ uuid: 'ffff-0001' })] } : drive,
  );
};

const isGrant = (statements: readonly Statement[]): boolean => statements.some(({ sql }) => sql.includes('INTO used_grants'));

const withSteps = (store: Store, state: HostState): Store => ({
  ...store,
  write: async (...statements) => {
    if (!isGrant(statements)) return store.write(...statements);
    await state.reached('before the database');
    failing(state, 'write');
    const counts = await store.write(...statements);
    await state.reached('after the database');
    return counts;
  },
});

/** The first write of a grant proves that it can be written; the second one counts. */
const fileWithSteps = (file: GrantFile, state: HostState): GrantFile => {
  let last = -1;
  return {
    ...file,
    write: async (count) => {
      const counts = last >= 0 && count.counter > last;
      if (counts) await state.reached('before the file');
      if (counts) failing(state, 'file');
      await file.write(count);
      last = count.counter;
      await state.reached(counts ? 'after the file' : 'proved');
    },
  };
};

export const grantHost = async (change: Partial<HostState> = {}, place?: string) => {
  const dir = place ?? mkdtempSync(join(tmpdir(), 'felhom-grant-'));
  mkdirSync(join(dir, 'etc'), { recursive: true });
  const time = fakeClock(NOW);
  const { clock } = time;
  const operator: Operator = await makeOperator();
  const state: HostState = {
    drives: [backupDrive()],
    ...{ holders: [], obstacles: [], missing: [], claims: claimsOf([101, 105]) },
    keys: new Map([[operator.kid, { x: operator.x, name: operator.name, state: 'active' }]]),
    ...{ keysProblem: '', synchronised: false, bootId: 'boot-1', hostScope: HOST, erased: [], failures: new Map() },
    ...{ reached: () => undefined, maxAgeMs: DAY, ends: true },
    ...change,
  };
  const problems = new Map<string, NewProblem>();
  const said: string[] = [];
  const journal = (_level: string, sentence: string, fields?: object) => void said.push(`${sentence} ${JSON.stringify(fields)}`);

  const build = async () => {
    const store = openPlainStore(join(dir, 'state', 'felhom.db'));
    const known = await store.all<{ id: number }>('SELECT id FROM drives');
    for (const { record } of state.drives)
      if (record !== null && known.every(({ id }) => id !== record.id)) await store.write(...insertDrive(record));
    const stepping = withSteps(store, state);
    const inventory = () => madeInventory({ drives: state.drives, missing: state.missing });
    const current: Pick<Current, 'fresh' | 'inventory' | 'last' | 'changed'> = {
      fresh: async (probe = []) => {
        if (probe.length > 0) await state.reached('locked');
        else await state.reached('looked');
        return inventory();
      },
      inventory: async () => ({ inventory: inventory(), ageMs: 0 }),
      last: () => ({ inventory: inventory(), evidence: madeEvidence() }),
      changed: () => undefined,
    };
    const jobs = await loadJobs({ store: stepping, clock });
    const end = (jobId: string, how: 'done' | 'interrupted'): Promise<void> =>
      jobs.end(jobId, { state: how, phase: 'ended', uuid: how === 'done' ? 'ffff-0001' : '', error: '' }, (statement) =>
        store.write(statement),
      );
    // As whoever follows formats does after a start: what no program is at work on has ended.
    for (const { jobId } of jobs.running()) await end(jobId, 'interrupted');
    const formatting = createFormatting({
      ...{ clock, journal, current, jobs, store: stepping, inTurn: createTurn(), bootId: state.bootId, writesOff: () => '' },
      driveFormat: {
        hold: async ({ device, jobId }) => {
          failing(state, 'hold');
          return {
            pid: 1,
            letGo: async () => undefined,
            go: async () => {
              await state.reached('before go');
              failing(state, 'go');
              erase(state, device.replace('/dev/', ''));
              await state.reached('after go');
              if (state.ends) setImmediate(() => void end(jobId, 'done'));
            },
          };
        },
        state: async () => null,
      },
      inUse: { holders: async () => state.holders },
      mappedRoot: async () => ({ uid: 100_000, gid: 100_000 }),
    });
    const file = fileWithSteps(grantFileBeside(join(dir, 'etc', 'opsign.keys')), state);
    const trust = await loadStateTrust({ store, file, journal });
    const mark = await loadClockMark({
      ...{ store, clock, synchronised: async () => state.synchronised },
      problems: {
        raise: (problem) => void problems.set(problem.code, problem),
        clear: (code) => void problems.delete(code),
      },
    });
    const boot = { bootId: state.bootId, ms: () => clock.monotonic() };
    const register = await loadRegister({ store, clock, boot, maxAgeMs: () => state.maxAgeMs });
    const inTurn = createTurn();
    const service = createOps({
      ...{ hostScope: state.hostScope, inTurn, register, trust, mark, store, clock, journal, current, jobView },
      claims: () => state.claims,
      formatting: () => formatting,
      keys: {
        read: async () => {
          if (state.keysProblem !== '') throw new Error(state.keysProblem);
          return state.keys;
        },
      },
      prepare: {
        prepare: async ({ prepared }) => prepared,
        undo: async () => [],
        sentences: (prepared) => prepared.map(({ kind }) => kind),
        obstacles: async () => {
          await state.reached('obstacles');
          return state.obstacles;
        },
      },
      holders: async () => state.holders,
    });
    return { store, jobs, trust, mark, register, end, inTurn, ...service };
  };

  let built = await build();
  const drive = (): Drive => state.drives[0] ?? backupDrive();
  const host = {
    ...time,
    ...{ dir, state, operator, problems, said },
    get now() {
      return built;
    },
    drive,
    open: (vmid = 101, fstype: 'ext4' | 'xfs' = 'ext4') => built.ops.open(drive(), { vmid, fstype }),
    /** Signed by the operator's own clock, which is right unless told. */
    signed: ({ durableId }: { durableId: string }, hostScope = HOST, nowMs = clock.now()) =>
      operator.sign(hostScope, durableId, nowMs),
    carry: (text: string, carrier: 'root' | `guest ${number}` = 'root', opId?: string) => built.ops.grant(text, carrier, opId),
    /** As after the end of the process, however it ended. */
    restart: async (between: () => Promise<void> | void = () => undefined) => {
      await built.store.close();
      await between();
      built = await build();
    },
    used: async () => (await built.store.all<{ jti: string }>('SELECT jti FROM used_grants')).length,
    audit: async () => (await built.store.all<{ what: string }>('SELECT what FROM audit ORDER BY id')).map(({ what }) => what),
    close: async () => {
      await built.store.close();
      if (place === undefined) rmSync(dir, { recursive: true, force: true });
    },
  };
  return host;
};
export type GrantHost = Awaited<ReturnType<typeof grantHost>>;

/** Lets the host's time pass until it is settled. */
export const inTime = async <T>(host: Pick<GrantHost, 'advance'>, answer: Promise<T>): Promise<T> => {
  let isSettled = false;
  const settled = () => {
    isSettled = true;
  };
  answer.then(settled, settled);
  while (!isSettled) {
    await new Promise((resolve) => setTimeout(resolve, 5));
    await host.advance(500);
  }
  return answer;
};

/** The refusal's code and sentence; a job where there is none. */
export const heard = (answer: Promise<{ jobId: string }>): Promise<string> =>
  answer.then(
    ({ jobId }) => `job ${jobId}`,
    (error: unknown) => (error instanceof FelhomError ? `${error.code}: ${error.message}` : String(error)),
  );
