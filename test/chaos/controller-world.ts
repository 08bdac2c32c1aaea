/** A real controller beside a real felhom-quiesced, an agent that the test leads, and an application that is a file: there while it runs. */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { mountOf, parseMountinfo } from '#shared/mountinfo';
import type { Coverage } from '#shared/wire/archives';
import type { BackupDue, BackupStatus, HeldReport } from '#shared/wire/backups';
import { bootstrapOf, envelope, later, makeLeaf, startAgent } from '../contract/controller-agent.ts';
import { idleStatus, notDue, offer } from '../unit/controller/fake-agent.ts';
import { makeQuiescedWorld } from './quiesced-world.ts';

export { pause, until } from './quiesced-world.ts';

const ROOT = join(import.meta.dirname, '../..');
const MAIN = ['--import', 'tsx', '--conditions=source', join(ROOT, 'controller/main.ts')];

export interface Controller {
  child: ChildProcess;
  log(): string;
  exit: Promise<number | null>;
}

/** An agent that offers one backup whenever `due`, and whose job moves as it is told. */
const leadAgent = async () => {
  const leaf = makeLeaf();
  const waiting: (() => void)[] = [];
  let revision = 0;
  const lead = {
    due: true,
    offer: offer as BackupDue,
    status: idleStatus as BackupStatus,
    posts: [] as string[],
    reports: [] as HeldReport[],
    coverage: [] as Coverage['mounts'],
    tell: (change: Partial<BackupStatus>) => {
      revision += 1;
      lead.status = { ...lead.status, ...change, revision: `e-${revision}` };
      for (const answer of waiting.splice(0)) answer();
    },
  };
  const send = (response: ServerResponse, data: unknown, status = 200) =>
    response.writeHead(status, { 'content-type': 'application/json' }).end(envelope(data));
  const server = await startAgent(leaf, (request, response, body) => {
    const url = new URL(request.url ?? '/', 'https://agent');
    if (url.pathname === '/backup/due') return send(response, lead.due ? lead.offer : notDue);
    if (url.pathname === '/backup/status') {
      if (url.searchParams.get('after') !== lead.status.revision) return send(response, lead.status);
      waiting.push(() => send(response, lead.status));
      return;
    }
    if (url.pathname === '/coverage') return send(response, { vmid: 101, mounts: lead.coverage, age_seconds: 1 });
    if (url.pathname === '/backup/job-1/held') {
      const report = JSON.parse(body) as HeldReport;
      lead.reports.push(report);
      lead.status = { ...lead.status, apps: report.apps };
      return send(response, { vmid: 101, job_id: 'job-1' });
    }
    if (url.pathname !== '/backup') return response.writeHead(404).end();
    lead.posts.push(body);
    lead.due = false;
    lead.tell({ ...idleStatus, phase: 'running', job_id: 'job-1', mode: 'snapshot', intends: JSON.parse(body).intends });
    return send(response, { vmid: 101, job_id: 'job-1', phase: 'running' }, 202);
  });
  later(() => server.close());
  return { leaf, server, lead };
};

interface Options {
  holdMax?: string;
  /** Of the application's entry in quiesce.yaml, and more of its scripts. */
  app?: Record<string, unknown> & { pre?: string; post?: string };
}

export const makeWorld = async ({ holdMax = '30s', app = {} }: Options = {}) => {
  const quiesced = await makeQuiescedWorld();
  const { at, dir } = quiesced;
  const { leaf, server, lead } = await leadAgent();
  const mount = mountOf(parseMountinfo(readFileSync('/proc/self/mountinfo', 'utf8')), dir);
  lead.coverage = [{ key: 'rootfs', storage: 'local', mount_point: mount?.point ?? '/', state: 'in-backup', reason: '' }];
  await quiesced.writeConfig({ apps: [quiesced.fileApp('app', app)], holdMax });
  await quiesced.startApp('app');
  await quiesced.run();
  await mkdir(at('controller'), { mode: 0o700 });
  await writeFile(at('bootstrap.json'), JSON.stringify(bootstrapOf([[server.port, [leaf.fingerprint]]])));
  const config = at('controller.yaml');
  await writeFile(
    config,
    `bootstrap: ${at('bootstrap.json')}\nquiesced: ${at('socket')}\nstate_dir: ${at('controller')}\nruntime_dir: ${at('instance')}\npoll: 300ms\n`,
  );

  const launch = (command: string[]): Controller & { out(): string } => {
    const child = spawn(process.execPath, [...MAIN, ...command, '--config', config], {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let log = '';
    let out = '';
    child.stderr?.on('data', (chunk: Buffer) => {
      log += chunk;
    });
    child.stdout?.on('data', (chunk: Buffer) => {
      out += chunk;
    });
    const exit = new Promise<number | null>((resolve) => child.once('close', resolve));
    later(async () => {
      child.kill('SIGKILL');
      await exit;
    });
    return { child, log: () => log, out: () => out, exit };
  };
  return {
    at,
    lead,
    server,
    quiesced,
    launch,
    run: () => launch(['run']),
    isRunning: () => quiesced.isRunning('app'),
    appLog: () => quiesced.appLog('app'),
    /** How the last attempt went, as `status` reads it. */
    last: () => JSON.parse(readFileSync(at('controller/last.json'), 'utf8')),
  };
};
