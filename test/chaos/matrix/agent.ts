/** An agent that the test leads: offers, jobs one after another, its point told when the test says; cut off, or started anew. */
import type { ServerResponse } from 'node:http';
import type { Coverage } from '#shared/wire/archives';
import type { BackupStatus, HeldReport } from '#shared/wire/backups';
import { envelope, type Leaf, startAgent } from '../../contract/controller-agent.ts';
import { idleStatus, notDue, offer } from '../../unit/controller/fake-agent.ts';
import { now } from './now.ts';

export interface Job {
  id: string;
  postedAt: number;
  intends: string[];
  /** When its data was said to be fixed; null: not yet. */
  pointAt: number | null;
  report: HeldReport['apps'] | null;
  ended: boolean;
}

export const leadAgent = async (leaf: Leaf, coverage: Coverage['mounts']) => {
  const jobs: Job[] = [];
  const byRequest = new Map<string, Job>();
  let status: BackupStatus = idleStatus;
  let epoch = 1;
  let revision = 0;
  let due = false;
  /** Answered at the next news. */
  let polls: (() => void)[] = [];
  /** Null: connected. Otherwise what is under way, in both directions. */
  let cut: (() => void)[] | null = null;
  let asked = 0;

  const send = (response: ServerResponse, data: unknown, code = 200): void => {
    if (cut !== null) cut.push(() => send(response, data, code));
    else if (!response.destroyed) response.writeHead(code, { 'content-type': 'application/json' }).end(envelope(data));
  };
  const tell = (change: Partial<BackupStatus>): void => {
    revision += 1;
    status = { ...status, ...change, revision: `e${epoch}-${revision}` };
    for (const answer of polls.splice(0)) answer();
  };
  const begin = (requestId: string, intends: string[]): Job => {
    const known = byRequest.get(requestId);
    if (known !== undefined) return known;
    const job = { id: `job-${jobs.length + 1}`, postedAt: now(), intends, pointAt: null, report: null, ended: false };
    jobs.push(job);
    byRequest.set(requestId, job);
    due = false;
    tell({ ...idleStatus, phase: 'running', job_id: job.id, mode: 'snapshot' });
    return job;
  };

  const serve = (method: string, url: URL, response: ServerResponse, body: string): unknown => {
    const route = `${method} ${url.pathname}`;
    if (route === 'GET /backup/due') {
      asked += 1;
      return send(response, due ? offer : notDue);
    }
    if (route === 'GET /coverage') return send(response, { vmid: 101, mounts: coverage, age_seconds: 1 });
    if (route === 'GET /backup/status') {
      if (url.searchParams.get('after') !== status.revision) return send(response, status);
      return polls.push(() => send(response, status));
    }
    if (route === 'POST /backup') {
      const { request_id, intends } = JSON.parse(body);
      return send(response, { vmid: 101, job_id: begin(request_id, intends).id, phase: 'running' }, 202);
    }
    const reported = jobs.find(({ id }) => route === `POST /backup/${id}/held`);
    if (reported === undefined) return response.writeHead(404).end();
    reported.report = (JSON.parse(body) as HeldReport).apps;
    return send(response, { vmid: 101, job_id: reported.id });
  };
  const handle: Parameters<typeof startAgent>[1] = (request, response, body) => {
    const arrives = () => serve(request.method ?? '', new URL(request.url ?? '/', 'https://agent'), response, body);
    // What a client has given up meanwhile never arrives.
    if (cut !== null) cut.push(() => !response.destroyed && arrives());
    else arrives();
  };
  let server = await startAgent(leaf, handle);
  const { port } = server;

  const last = () => jobs.at(-1);
  return {
    port,
    jobs,
    offer: () => {
      due = true;
    },
    isOffered: () => due,
    /** How often it was asked what is due: only a loop that is at rest asks. */
    asked: () => asked,
    point: () => {
      const job = last();
      if (job === undefined || job.pointAt !== null) return;
      job.pointAt = now();
      tell({ consistency_point_at: new Date().toISOString(), one_instant: true });
    },
    end: () => {
      const job = last();
      if (job === undefined || job.ended) return;
      job.ended = true;
      tell({ phase: 'done', label: 'app', finished_at: new Date().toISOString() });
    },
    /** Connections stay open, and nothing comes through. */
    cut: () => {
      cut ??= [];
    },
    mend: () => {
      const late = cut ?? [];
      cut = null;
      for (const act of late) act();
    },
    down: async () => {
      polls = [];
      cut = null;
      await server.close();
    },
    /** Knows its jobs, and counts its news anew. */
    up: async () => {
      epoch += 1;
      tell({});
      server = await startAgent(leaf, handle, undefined, port);
    },
    close: () => server.close(),
  };
};
