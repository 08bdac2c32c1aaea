/** A simulated node with the real agent as a process of its own, for tests that kill or starve it. */
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Bootstrap } from '#shared/bootstrap';
import { writeAgentConfig } from '../demo/files.ts';
import { type DemoHost, startDemoHost } from '../demo/host.ts';
import { freePort } from '../demo/ports.ts';
import { start, stop } from '../demo/processes.ts';
import { type Address, type Answer, call } from '../stranger/client.ts';
import { askAdmin } from './admin-socket.ts';

export interface ProcessHost extends DemoHost {
  dir: string;
  config: string;
  /** The process that runs now. */
  agent: ChildProcess;
  port: number;
  guests: Bootstrap[];
  address(vmid?: number): Address;
  get(path: string, vmid?: number): Promise<Answer>;
  post(path: string, body?: unknown, vmid?: number): Promise<Answer>;
  /** SIGKILL, and resolves when it has gone. */
  kill(): Promise<void>;
  /** Starts the agent again, on the same port, and waits until it answers. */
  restart(): Promise<void>;
  /** What the agent wrote. */
  said: string[];
  close(): Promise<void>;
}

export interface ProcessHostOptions {
  vmids?: readonly number[];
  limits?: { requests_per_second: number; streams: number };
  backup?: Record<string, string>;
  lineDelayMs?: number;
}

const until = async (ready: () => Promise<boolean>, what: string, tries = 600): Promise<void> => {
  for (let each = 0; each < tries; each += 1) {
    if (await ready().catch(() => false)) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`waited in vain: ${what}`);
};

export const startProcessHost = async ({
  vmids = [101],
  limits,
  backup,
  lineDelayMs = 5,
}: ProcessHostOptions = {}): Promise<ProcessHost> => {
  const dir = mkdtempSync(join(tmpdir(), 'felhom-'));
  const demo = await startDemoHost({ dir, vmids, lineDelayMs, unauthorizedDelayMs: 100 });
  const said: string[] = [];
  const launch = (port: number) => {
    const config = writeAgentConfig(demo, { dir, port, ...(limits ? { limits } : {}), ...(backup ? { backup } : {}) });
    return { config, agent: start('agent', ['serve', '--config', config], (line) => said.push(line)) };
  };
  const port = await freePort();
  const { config, agent } = launch(port);
  const socket = join(dir, 'agent/run/admin.sock');
  await until(
    async () => {
      if (agent.exitCode !== null) throw new Error('ended');
      await askAdmin(socket, 'GET', '/guests');
      return true;
    },
    `the agent's socket\n${said.join('\n')}`,
  );
  const guests: Bootstrap[] = [];
  for (const vmid of vmids) guests.push((await askAdmin(socket, 'POST', `/guests/${vmid}/enroll`)).bootstrap);

  const host: ProcessHost = {
    ...demo,
    dir,
    config,
    agent,
    port,
    guests,
    said,
    address: (vmid = vmids[0] ?? 0) => {
      const guest = guests.find((each) => each.vmid === vmid);
      return { host: '127.0.0.1', port, fingerprint: guest?.endpoints[0]?.fingerprints[0] ?? '', token: guest?.token ?? '' };
    },
    get: (path, vmid) => call(host.address(vmid), 'GET', path),
    post: (path, body, vmid) => call(host.address(vmid), 'POST', path, body),
    kill: () =>
      new Promise((resolve) => {
        if (host.agent.exitCode !== null || host.agent.signalCode !== null) return resolve();
        host.agent.once('exit', () => resolve());
        host.agent.kill('SIGKILL');
      }),
    restart: async () => {
      host.agent = launch(port).agent;
      await until(async () => (await host.get('/healthz')).status === 200, 'the agent after its restart');
    },
    close: async () => {
      await stop(host.agent);
      await demo.pve.close();
      rmSync(dir, { recursive: true, force: true });
    },
  };
  return host;
};
