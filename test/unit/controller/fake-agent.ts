/** An agent of a test's own making: what it answers is set as the test goes, and what it was asked is kept. */

import type { AgentClient } from '#controller/ports/agent-client';
import { ownError } from '#controller/ports/agent-error';
import type { AnyEndpoint } from '#shared/endpoint';
import type { Coverage } from '#shared/wire/archives';
import type { BackupDue, BackupStatus, HeldReport, StartBackup } from '#shared/wire/backups';

/** An offer without an end, unless it is given one. */
export const offer: BackupDue = {
  vmid: 101,
  due: true,
  reason: 'the last backup is 40 hours old',
  mode: 'snapshot',
  hold: true,
  hold_expected_seconds: 3,
  slot_expires_at: null,
  one_instant: true,
};
export const notDue: BackupDue = {
  ...offer,
  due: false,
  reason: 'the next one is tonight',
  mode: null,
  hold: false,
  one_instant: null,
};

export const idleStatus: BackupStatus = {
  vmid: 101,
  phase: 'idle',
  job_id: '',
  error: '',
  revision: 'e1-0',
  consistency_point_at: null,
  mode: null,
  progress: null,
  progress_estimated: false,
  eta_seconds: null,
  frozen_seconds: null,
  upid: '',
  archive: '',
  size_bytes: null,
  started_at: null,
  finished_at: null,
  warnings: [],
  label: null,
  one_instant: null,
  intends: [],
  apps: null,
};

export interface FakeAgent extends Pick<AgentClient, 'call'> {
  due: boolean;
  /** Said while a backup is due. */
  offer: BackupDue;
  /** The host's clock, as its answers say it; null: they do not. */
  hostTime: (() => number) | null;
  /** Thrown by every call while it is set. */
  down: Error | null;
  /** Thrown by POST /backup, one a call. */
  refusals: Error[];
  /** `POST /backup` bodies. */
  posts: StartBackup[];
  /** `POST /backup/{job_id}/held` bodies, with the job. */
  reports: (HeldReport & { job_id: string })[];
  /** Thrown by it, one a call. */
  reportFailures: Error[];
  /** Null: it cannot be asked. */
  coverage: Coverage['mounts'] | null;
  /** In seconds. */
  coverageAge: number | null;
  calls: string[];
  status: BackupStatus;
  /** News: changes the status and answers the polls that wait. */
  tell(change: Partial<BackupStatus>): void;
}

interface Options {
  body?: unknown;
  params?: { job_id: string };
  query?: { after?: string };
  signal?: AbortSignal;
  onHostTime?: (ms: number) => void;
}

export const fakeAgent = (): FakeAgent => {
  let revision = 0;
  let waiting: (() => void)[] = [];

  const longPoll = async (after: string | undefined, signal: AbortSignal | undefined) => {
    if (after === agent.status.revision) {
      await new Promise<void>((resolve, reject) => {
        waiting.push(resolve);
        signal?.addEventListener('abort', () => reject(ownError('cancelled')), { once: true });
      });
      if (agent.down) throw agent.down;
    }
    return agent.status;
  };
  const answer = async (endpoint: AnyEndpoint, options: Options) => {
    agent.calls.push(`${endpoint.method} ${endpoint.path}`);
    if (agent.down) throw agent.down;
    if (options.signal?.aborted) throw ownError('cancelled');
    if (agent.hostTime) options.onHostTime?.(agent.hostTime());
    if (endpoint.path === '/backup/due') return agent.due ? agent.offer : notDue;
    if (endpoint.path === '/backup/status') return longPoll(options.query?.after, options.signal);
    if (endpoint.path === '/coverage') {
      if (agent.coverage === null) throw ownError('agent-unreachable');
      return { vmid: 101, mounts: agent.coverage, age_seconds: agent.coverageAge };
    }
    if (endpoint.path === '/backup/{job_id}/held') {
      agent.reports.push({ ...(options.body as HeldReport), job_id: options.params?.job_id ?? '' });
      const failure = agent.reportFailures.shift();
      if (failure) throw failure;
      agent.status = { ...agent.status, apps: (options.body as HeldReport).apps };
      return { vmid: 101, job_id: options.params?.job_id };
    }
    agent.posts.push(options.body as StartBackup);
    const refusal = agent.refusals.shift();
    if (refusal) throw refusal;
    agent.due = false;
    const { intends = [] } = options.body as StartBackup;
    agent.tell({ ...idleStatus, phase: 'running', job_id: 'job-1', mode: 'snapshot', intends });
    return { vmid: 101, job_id: 'job-1', phase: 'running' };
  };
  const agent: FakeAgent = {
    due: false,
    offer,
    hostTime: null,
    down: null,
    refusals: [],
    posts: [],
    reports: [],
    reportFailures: [],
    coverage: [{ key: 'rootfs', storage: 'local', mount_point: '/', state: 'in-backup', reason: '' }],
    coverageAge: 1,
    calls: [],
    status: idleStatus,
    tell: (change) => {
      revision += 1;
      agent.status = { ...agent.status, ...change, revision: `e1-${revision}` };
      const answered = waiting;
      waiting = [];
      for (const one of answered) one();
    },
    call: ((endpoint: AnyEndpoint, options = {}) => answer(endpoint, options as never)) as AgentClient['call'],
  };
  return agent;
};
