/** A real controller process, an agent that the test leads, and an application that is a file: there while it runs. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import type { BackupDue, BackupStatus } from '#shared/wire/backups';
import { bootstrapOf, envelope, later, makeLeaf, scratch, startAgent } from '../contract/controller-agent.ts';
import { idleStatus, notDue, offer } from '../unit/controller/fake-agent.ts';

const ROOT = join(import.meta.dirname, '../..');
const MAIN = ['--import', 'tsx', '--conditions=source', join(ROOT, 'controller/main.ts')];

export const until = async (what: string, holds: () => boolean, ms = 20_000): Promise<void> => {
  const end = Date.now() + ms;
  while (!holds()) {
    if (Date.now() > end) throw new Error(`not within ${ms} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
};
export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

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
    if (url.pathname !== '/backup') return response.writeHead(404).end();
    lead.posts.push(body);
    lead.due = false;
    lead.tell({ ...idleStatus, phase: 'running', job_id: 'job-1', mode: 'snapshot' });
    return send(response, { vmid: 101, job_id: 'job-1', phase: 'running' }, 202);
  });
  later(() => server.close());
  return { leaf, server, lead };
};

interface Options {
  holdMax?: string;
  /** More of the pre's script, which may use `$D`, the world's directory. */
  pre?: string;
  preTimeout?: string;
}

export const makeWorld = async ({ holdMax = '30s', pre = '', preTimeout = '10s' }: Options = {}) => {
  const dir = await scratch();
  const { leaf, server, lead } = await leadAgent();
  const at = (name: string) => join(dir, name);
  const shell = (script: string) => JSON.stringify(['/bin/sh', '-c', `D=${dir}; ${script}`]);
  await mkdir(at('state'), { mode: 0o700 });
  await writeFile(at('app.running'), '');
  await writeFile(at('bootstrap.json'), JSON.stringify(bootstrapOf([[server.port, [leaf.fingerprint]]])));
  await writeFile(
    at('quiesce.yaml'),
    `hold_max: ${holdMax}
apps:
  - name: app
    adapter: command
    pre: {argv: ${shell(`rm -f ${at('app.running')}; echo pre >> ${at('app.log')}; ${pre}`)}, timeout: ${preTimeout}}
    post: {argv: ${shell(`touch ${at('app.running')}; echo post >> ${at('app.log')}`)}, timeout: 10s}
`,
  );
  const config = at('controller.yaml');
  await writeFile(
    config,
    `bootstrap: ${at('bootstrap.json')}\nquiesce: ${at('quiesce.yaml')}\nstate_dir: ${at('state')}\nruntime_dir: ${at('run')}\npoll: 300ms\n`,
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
    launch,
    run: () => launch(['run']),
    isRunning: () => existsSync(at('app.running')),
    hasMarker: () => existsSync(at('state/hold.json')),
    appLog: () => (existsSync(at('app.log')) ? readFileSync(at('app.log'), 'utf8').trim().split('\n') : []),
  };
};
