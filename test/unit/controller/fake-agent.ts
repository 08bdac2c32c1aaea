/** An agent of a test's own making: what it answers is set as the test goes, and what it was asked is kept. */

import type { AgentClient } from '#controller/ports/agent-client';
import { ownError } from '#controller/ports/agent-error';
import type { AnyEndpoint } from '#shared/endpoint';
import type { BackupStatus } from '#shared/wire/backups';

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
};

export interface FakeAgent extends Pick<AgentClient, 'call'> {
  due: boolean;
  /** Thrown by every call while it is set. */
  down: Error | null;
  /** Thrown by POST /backup, one a call. */
  refusals: Error[];
  /** `POST /backup` bodies. */
  posts: { request_id?: string }[];
  calls: string[];
  status: BackupStatus;
  /** News: changes the status and answers the polls that wait. */
  tell(change: Partial<BackupStatus>): void;
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
  const answer = async (endpoint: AnyEndpoint, options: { body?: unknown; query?: { after?: string }; signal?: AbortSignal }) => {
    agent.calls.push(`${endpoint.method} ${endpoint.path}`);
    if (agent.down) throw agent.down;
    if (endpoint.path === '/backup/due') return { vmid: 101, due: agent.due, reason: 'the last backup is 40 hours old' };
    if (endpoint.path === '/backup/status') return longPoll(options.query?.after, options.signal);
    agent.posts.push(options.body as { request_id?: string });
    const refusal = agent.refusals.shift();
    if (refusal) throw refusal;
    agent.due = false;
    agent.tell({ ...idleStatus, phase: 'running', job_id: 'job-1', mode: 'snapshot' });
    return { vmid: 101, job_id: 'job-1', phase: 'running' };
  };
  const agent: FakeAgent = {
    due: false,
    down: null,
    refusals: [],
    posts: [],
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
