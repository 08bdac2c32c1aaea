/** Duty over a host made of memory: jobs that take minutes of a clock that only moves when told to, and agents that can be restarted. */
import Database from 'better-sqlite3';
import type { Job } from '#agent/backups/jobs';
import { newJob } from '#agent/backups/jobs';
import { recordOf } from '#agent/backups/record';
import { type AgentConfig, parseConfig } from '#agent/config';
import type { DutyBackups, DutyPorts } from '#agent/duty/ports';
import { createDuty } from '#agent/duty/service';
import { loadProblems } from '#agent/health/problems';
import { type GuestResource, ProxmoxError, type TaskRow } from '#agent/ports/proxmox';
import type { Store } from '#agent/ports/store';
import { MIGRATIONS } from '#agent/ports/store-schema';
import type { Verdict } from '#agent/prechecks/verdict';
import type { Clock } from '#shared/clock';
import { FelhomError } from '#shared/errors';
import type { Archive } from '#shared/wire/archives';
import { nextEvent, parseCalendarEvent } from '../../../pve/calendar.ts';
import { intlTime } from './intl.ts';

export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;
/** A Saturday noon in Budapest's winter; the tests' process runs in UTC unless they say otherwise. */
export const NOON = Date.UTC(2026, 10, 21, 12);

/** Moves without waiting for the event loop: days in milliseconds. */
const createTime = (start: number) => {
  let monotonic = 0;
  let wall = start;
  let timers: { at: number; call: () => void }[] = [];
  const clock: Clock = {
    now: () => wall,
    monotonic: () => monotonic,
    after: (ms, call) => {
      const timer = { at: monotonic + ms, call };
      timers.push(timer);
      return () => {
        timers = timers.filter((one) => one !== timer);
      };
    },
  };
  const pass = (ms: number): void => {
    monotonic += ms;
    wall += ms;
    const ripe = timers.filter(({ at }) => at <= monotonic);
    timers = timers.filter(({ at }) => at > monotonic);
    for (const { call } of ripe) call();
  };
  const setWall = (byMs: number): void => {
    wall += byMs;
  };
  return { clock, pass, setWall };
};

const createDatabase = (): Store => {
  const database = new Database(':memory:');
  for (const step of MIGRATIONS) database.exec(step);
  return {
    all: async <Row>(sql: string, values: readonly unknown[] = []) => database.prepare(sql).all(...values) as Row[],
    write: async (...statements) => statements.map(({ sql, values = [] }) => database.prepare(sql).run(...values).changes),
    close: async () => {},
  };
};

export const moments = (schedule: string, start: number, count = 100): number[] => {
  const event = parseCalendarEvent(schedule);
  if (event === undefined)
    throw new ProxmoxError({ method: 'GET', path: '/', status: 400, message: 'unable to parse calendar event', effect: 'never' });
  const found: number[] = [];
  for (let at: number | undefined = nextEvent(event, start); at !== undefined && found.length < count; at = nextEvent(event, at))
    found.push(at);
  return found;
};

export interface FakeGuest {
  vmid: number;
  /** Of its controller's last call. */
  lastSeenAt: number | null;
  status: GuestResource['status'];
  configDigest: string;
  tasks: TaskRow[];
  verdict: Partial<Extract<Verdict, { ok: true }>> | Extract<Verdict, { ok: false }>;
}

export const refusal = (code: Extract<Verdict, { ok: false }>['code']): Extract<Verdict, { ok: false }> => ({
  ok: false,
  code,
  sentence: `It cannot start: ${code}.`,
  evidence: 'seen',
  nextStep: 'do',
  guest: null,
});

export interface Options {
  vmids?: number[];
  start?: number;
  yaml?: string;
  zone?: string;
}

export const setup = ({ vmids = [101], start = NOON, yaml = '', zone = 'UTC' }: Options = {}) => {
  const time = createTime(start);
  const { clock } = time;
  const store = createDatabase();
  const jobs: (Job & { endsAt: number })[] = [];
  const host = {
    guests: new Map<number, FakeGuest>(),
    /** Of the next ones. */
    jobMs: 10 * MINUTE,
    fails: (_job: Job): Job['failure'] | '' => '',
    proxmoxAway: false,
    zone,
    requests: 0,
    checks: [] as number[],
    checkMs: 0,
    uptimeMs: 30 * DAY,
    /** Volume ids that are gone, or damaged. */
    lost: new Set<string>(),
    damaged: new Set<string>(),
    journal: [] as string[],
    jobs,
    settings: settingsOf(yaml),
  };
  for (const vmid of vmids)
    host.guests.set(vmid, { vmid, lastSeenAt: null, status: 'running', configDigest: 'd1', tasks: [], verdict: {} });
  const guestOf = (vmid: number): FakeGuest => {
    const guest = host.guests.get(vmid);
    if (guest === undefined) throw new Error(`no guest ${vmid}`);
    return guest;
  };
  const resource = ({ vmid, status }: FakeGuest): GuestResource => ({
    ...{ vmid, status, type: 'lxc', node: 'pve1', name: `ct${vmid}`, lock: '' },
    ...{ usedBytes: null, diskBytes: null },
  });
  const request = async <T>(answer: () => T): Promise<T> => {
    host.requests += 1;
    if (!host.proxmoxAway) return answer();
    throw new ProxmoxError({ method: 'GET', path: '/', status: 0, message: 'connect ECONNREFUSED', effect: 'never' });
  };
  const proxmox: DutyPorts['proxmox'] = {
    analyzeSchedule: (schedule, from) => request(() => moments(schedule, from)),
    timezone: () => request(() => host.zone),
    guestTasks: (vmid, since) => request(() => guestOf(vmid).tasks.filter(({ starttime }) => starttime >= since)),
    resources: () => request(() => ({ guests: [...host.guests.values()].map(resource), storages: [] })),
  };

  let ended: ((job: Job) => void)[] = [];
  const open = () => jobs.filter(({ state }) => state === 'running');
  const add = (job: Job, durationMs: number): Job => {
    jobs.push(Object.assign(job, { state: 'running' as const, startedAt: clock.now(), endsAt: clock.monotonic() + durationMs }));
    return job;
  };
  const finish = (job: Job): void => {
    const failure = host.fails(job);
    const label = guestOf(job.vmid).status === 'stopped' ? 'stopped' : 'crash';
    const good = { state: 'done', consistencyPointAt: job.createdAt + 3000, label, archive: `bak:${job.jobId}` } as const;
    Object.assign(job, failure === '' ? good : { state: 'failed', failure }, { finishedAt: clock.now() });
    for (const tell of ended) tell(job);
  };
  const backups: DutyBackups = {
    begin: async ({ vmid, requestId, source, configDigest, intends }) => {
      if (open().length > 0) throw new FelhomError('backup-slot-busy', 'busy');
      const facts = {
        jobId: `j${jobs.length + 1}`,
        vmid,
        source,
        requestId,
        storage: 'bak',
        createdAt: clock.now(),
        configDigest,
        intends,
      };
      return add(newJob(facts), host.jobMs);
    },
    byRequest: async (vmid, id) => jobs.find((job) => job.vmid === vmid && job.requestId === id) ?? null,
    running: open,
    record: async (vmid) =>
      recordOf(
        jobs.filter((job) => job.vmid === vmid),
        clock.now(),
      ),
    watchForeign: async () => {},
    onEnd: (listener) => void ended.push(listener),
  };

  const check = async (vmid: number): Promise<Verdict> => {
    host.checks.push(vmid);
    if (host.checkMs > 0) await new Promise<void>((resolve) => void clock.after(host.checkMs, resolve));
    const guest = guestOf(vmid);
    if (guest.verdict.ok === false) return guest.verdict;
    const { configDigest } = guest;
    return { ok: true, guest: resource(guest), mode: 'snapshot', configDigest, warnings: [], ...guest.verdict };
  };

  const startAgent = async () => {
    ended = [];
    const journal: DutyPorts['journal'] = (level, sentence, fields) =>
      void host.journal.push(`${level} ${sentence} ${JSON.stringify(fields ?? {})}`);
    const problems = await loadProblems({ store, clock, journal });
    const changes: string[] = [];
    problems.onChange(({ kind, problem }) => changes.push(`${kind} ${problem.code}${problem.vmid ? ` ${problem.vmid}` : ''}`));
    const bootedAt = clock.monotonic() - host.uptimeMs;
    const duty = createDuty({
      localTime: intlTime,
      ...{ store, proxmox, clock, journal, backups, problems },
      settings: () => host.settings,
      hostId: 'host-1',
      uptimeMs: async () => clock.monotonic() - bootedAt,
      guests: () => [...host.guests.values()],
      prechecks: { check },
      archives: {
        list: async (vmid) => ({
          ...{ vmid, next: '', age_seconds: 0 },
          backups: jobs
            .filter((job) => job.vmid === vmid && job.archive !== '' && !host.lost.has(job.archive))
            .map((job) => archiveOf(job, host.damaged.has(job.archive))),
        }),
      },
    });
    return { ...duty, problems, changes };
  };

  /** Time passes, jobs end, and the agent looks after its duty every step. */
  const live = async (agent: { tick(): Promise<void> }, ms: number, each?: () => Promise<void> | void, stepMs = 10_000) => {
    for (let passed = 0; passed < ms; passed += stepMs) {
      time.pass(stepMs);
      for (const job of open()) if (job.endsAt <= clock.monotonic()) finish(job);
      await each?.();
      await agent.tick();
    }
  };
  /** A controller calls. */
  const call = (vmid: number): void => {
    guestOf(vmid).lastSeenAt = clock.now();
  };
  /** A good backup of the past. */
  const hadBackup = (vmid: number, agoMs: number, facts: Partial<Job> = {}): Job => {
    const createdAt = clock.now() - agoMs;
    const base = {
      jobId: `old${jobs.length}`,
      vmid,
      source: 'schedule',
      requestId: null,
      storage: 'bak',
      configDigest: 'd1',
    } as const;
    const job = newJob({ ...base, createdAt, intends: [] });
    jobs.push(
      Object.assign(
        job,
        { state: 'done' as const, startedAt: createdAt, consistencyPointAt: createdAt + 3000, endsAt: 0 },
        facts,
      ),
    );
    job.archive = `bak:${job.jobId}`;
    return job;
  };
  return { ...time, store, host, backups, startAgent, live, call, guestOf, hadBackup, finish, add };
};

const archiveOf = ({ archive, createdAt, label, source }: Job, damaged: boolean): Archive => ({
  ...{ volid: archive, created_at: new Date(createdAt).toISOString(), age_seconds: 0, size_bytes: 1, label: label ?? 'crash' },
  ...{ source, protected: false, verification: damaged ? 'failed' : 'pending', verified_at: null, verification_error: '' },
  ...{ proven_at: null, notes: '' },
});

export const settingsOf = (yaml: string): AgentConfig['backup'] => {
  const read = parseConfig(
    `listen: [{address: 10.10.10.1, port: 8443}]\nbackup: {storage: bak${yaml === '' ? '' : `, ${yaml}`}}\n`,
  );
  if (!read.ok) throw new Error(JSON.stringify(read.problems));
  return read.config.backup;
};
