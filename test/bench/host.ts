/** A simulated node with the real agent, and where asked the real controller, as processes of their own with the flags of the shipped units. */
import type { ChildProcess } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Bootstrap } from '#shared/bootstrap';
import { notesApp, writeAgentConfig, writeGuestFiles } from '../demo/files.ts';
import { type DemoHost, startDemoHost } from '../demo/host.ts';
import { run, start, stop } from '../demo/processes.ts';
import { socketIn, startQuiesced } from '../demo/quiesced.ts';
import { type Address, get } from '../stranger/client.ts';
import { firstAnswer, freePort } from './loopback.ts';
import type { Scope } from './scope.ts';

const VMID = 101;

export interface HostOptions {
  /** The first of them is enrolled by `startHost`; it alone unless told. */
  vmids?: readonly number[];
  backup?: Record<string, string>;
  limits?: { requests_per_second: number; streams: number };
  lineDelayMs?: number;
}

export interface AgentProcess {
  child: ChildProcess;
  pid: number;
  /** What it wrote. */
  said: string[];
}

export interface BenchHost extends DemoHost {
  dir: string;
  config: string;
  agent: AgentProcess;
  bootstrap: Bootstrap;
  address: Address;
}

const LISTEN_TIMEOUT_MS = 30_000;

const processOf = (child: ChildProcess, said: string[]): AgentProcess => {
  if (child.pid === undefined) throw new Error('a program could not be started');
  return { child, pid: child.pid, said };
};

/** Starts the agent by its configuration and waits for its first answer. */
export const startAgent = async (
  scope: Scope,
  config: string,
  port: number,
): Promise<AgentProcess & { firstAnswerMs: number }> => {
  const said: string[] = [];
  const before = performance.now();
  const agent = processOf(
    start('agent', ['serve', '--config', config], (line) => said.push(line)),
    said,
  );
  scope.defer(() => stop(agent.child));
  const alive = () => agent.child.exitCode === null && agent.child.signalCode === null;
  const answered = await firstAnswer(port, { alive, timeoutMs: LISTEN_TIMEOUT_MS });
  if (!answered) throw new Error(`the agent does not answer:\n${said.slice(-20).join('\n')}`);
  return { ...agent, firstAnswerMs: performance.now() - before };
};

/** The node and the agent's files, nothing started but the simulator. */
export const prepareHost = async (scope: Scope, { vmids = [VMID], backup, limits, lineDelayMs = 5 }: HostOptions = {}) => {
  const dir = scope.directory();
  const demo = await startDemoHost({ dir, vmids, lineDelayMs });
  scope.defer(() => demo.pve.close());
  const port = await freePort();
  const config = writeAgentConfig(demo, { dir, port, ...(limits ? { limits } : {}), ...(backup ? { backup } : {}) });
  return { ...demo, dir, port, config };
};

/** Where the command line reaches this host's agent. */
export const adminSocket = ({ dir }: Pick<BenchHost, 'dir'>): string => join(dir, 'agent/run/admin.sock');

export const startHost = async (scope: Scope, options: HostOptions = {}): Promise<BenchHost> => {
  const { port, ...prepared } = await prepareHost(scope, options);
  const agent = await startAgent(scope, prepared.config, port);
  await until(() => existsSync(adminSocket(prepared)), {
    what: "the agent's admin socket",
    timeoutMs: 10_000,
    programs: [agent],
  });
  const bootstrap: Bootstrap = JSON.parse(
    await run('agent', ['guest', 'enroll', String(VMID), '--print', '--config', prepared.config]),
  );
  const fingerprint = bootstrap.endpoints[0]?.fingerprints[0] ?? '';
  return { ...prepared, agent, bootstrap, address: { host: '127.0.0.1', port, fingerprint, token: bootstrap.token } };
};

/** The same host with its agent started again: what only the first start does, making the key, is behind it. */
export const restartAgent = async (scope: Scope, host: BenchHost): Promise<BenchHost> => {
  await stop(host.agent.child);
  return { ...host, agent: await startAgent(scope, host.config, host.address.port) };
};

/** One moment that the application's command noted, in milliseconds since 1970. */
export interface Moment {
  step: 'pre' | 'post';
  atMs: number;
}

export interface RunningController extends AgentProcess {
  /** The process of felhom-quiesced beside it. */
  quiescedPid: number;
  /** In the order in which they were written. */
  moments(): Moment[];
}

/** The application's two commands only note when they were started: `date` in a shell, so a few milliseconds late. */
const noteTime = (step: Moment['step'], file: string) => ({
  argv: ['/bin/sh', '-c', `echo "${step} $(date +%s%N)" >> '${file}'`],
  timeout: '30s',
});

const readMoments = (file: string): Moment[] =>
  readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [step, nanoseconds] = line.split(' ');
      return { step: step as Moment['step'], atMs: Number(nanoseconds) / 1e6 };
    });

/** `poll` as controller.yaml takes it. With felhom-quiesced beside it, one application that notes its times, and `more` of them. */
export const startController = async (
  scope: Scope,
  { dir, bootstrap }: BenchHost,
  poll: string,
  more: readonly object[] = [],
): Promise<RunningController> => {
  const said: string[] = [];
  const note = (line: string) => said.push(line);
  const quiescedDir = join(dir, 'q');
  const { config } = writeGuestFiles(dir, VMID, {
    bootstrap: JSON.stringify(bootstrap),
    poll,
    quiesced: socketIn(quiescedDir),
  });
  const moments = join(dir, 'moments');
  writeFileSync(moments, '');
  const { data, provides } = notesApp(dir, VMID);
  const app = {
    name: 'clock',
    adapter: 'command',
    pre: noteTime('pre', moments),
    post: noteTime('post', moments),
    provides,
    data,
  };
  let quiescedPid = 0;
  await startQuiesced(quiescedDir, [app, ...more], note, (child) => {
    quiescedPid = child.pid ?? 0;
    scope.defer(() => stop(child));
  });
  const controller = processOf(start('controller', ['run', '--config', config], note), said);
  scope.defer(() => stop(controller.child));
  return { ...controller, quiescedPid, moments: () => readMoments(moments) };
};

/** Resolves when `reached` says so; rejects after `timeoutMs`, with what the programs said last. */
export const until = async (
  reached: () => boolean | Promise<boolean>,
  { what, timeoutMs, programs, everyMs = 100 }: { what: string; timeoutMs: number; programs: AgentProcess[]; everyMs?: number },
): Promise<void> => {
  const deadline = performance.now() + timeoutMs;
  while (!(await reached())) {
    const ended = programs.some(({ child }) => child.exitCode !== null);
    if (ended || performance.now() > deadline) {
      const said = programs.map((program) => program.said.slice(-10).join('\n')).join('\n');
      throw new Error(`${ended ? 'a program ended' : 'waited in vain'}: ${what}\n${said}`);
    }
    await pause(everyMs);
  }
};

/** The newest backup's end, as any client sees it. */
export const backupEnded = async (
  { address, agent }: BenchHost,
  controller: AgentProcess,
  timeoutMs: number,
): Promise<{ phase: string; label: string | null; error: string }> => {
  let status = { phase: '', label: null, error: '' };
  const ended = async () => {
    status = await get(address, '/backup/status');
    return status.phase === 'done' || status.phase === 'failed';
  };
  await until(ended, { what: 'the end of a backup', timeoutMs, programs: [agent, controller], everyMs: 250 });
  return status;
};
