/** What the demo does, step by step, in words that a stranger understands. */
import type { ChildProcess } from 'node:child_process';
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Bootstrap } from '#shared/bootstrap';
import { followBackup } from './backup.ts';
import { writeAgentConfig, writeGuestFiles } from './files.ts';
import { type DemoHost, startDemoHost } from './host.ts';
import { freePort } from './ports.ts';
import { run, start, stop } from './processes.ts';

export interface DemoOptions {
  dir: string;
  guests: number;
  /** 0: free ports. */
  portBase: number;
  once: boolean;
}

const say = (line: string) => process.stdout.write(`${line}\n`);

/** A child that ends by itself, or a signal, ends the demo. */
const untilAsked = (children: readonly ChildProcess[]): Promise<string> =>
  new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => resolve(''));
    for (const child of children)
      child.once('exit', (code) => resolve(`A program of the demo ended by itself (status ${code}).`));
  });

const agentAnswers = async (agent: ChildProcess, config: string, said: string[]): Promise<void> => {
  for (let tries = 0; tries < 100; tries += 1) {
    if (agent.exitCode !== null) throw new Error(`the agent did not start:\n${said.join('\n')}`);
    const listed = await run('agent', ['guest', 'list', '--config', config]).catch(() => null);
    if (listed !== null) return;
  }
  throw new Error(`the agent did not answer:\n${said.join('\n')}`);
};

const enrolAll = async (dir: string, config: string, vmids: readonly number[]) => {
  const guests: { vmid: number; bootstrap: Bootstrap; bootstrapPath: string; controllerConfig: string }[] = [];
  for (const vmid of vmids) {
    const text = await run('agent', ['guest', 'enroll', String(vmid), '--print', '--config', config]);
    const files = writeGuestFiles(dir, vmid, text, '3s');
    guests.push({ vmid, bootstrap: JSON.parse(text), bootstrapPath: files.bootstrap, controllerConfig: files.config });
  }
  return guests;
};

/** Keys may be added here, never renamed: other people's scripts read them. */
const demoJson = ({ pve, token }: DemoHost, agentConfig: string, guests: Awaited<ReturnType<typeof enrolAll>>) => {
  const agent = guests[0]?.bootstrap.endpoints[0];
  return {
    pve: { endpoint: pve.endpoint, fingerprint: pve.fingerprint, node: pve.node, token },
    agent: { endpoint: `${agent?.address}:${agent?.port}`, fingerprint: agent?.fingerprints[0] ?? '', config: agentConfig },
    guests: guests.map(({ vmid, bootstrap, bootstrapPath }) => ({ vmid, token: bootstrap.token, bootstrap: bootstrapPath })),
    controller: { url: null },
  };
};

/** Whoever waits for the file never sees half of it. */
const publish = (path: string, value: object): void => {
  writeFileSync(`${path}.new`, `${JSON.stringify(value, null, 2)}\n`, { mode: 0o600 });
  renameSync(`${path}.new`, path);
};

/** Runs the demo to its end; answers the exit status. */
export const runDemo = async ({ dir, guests: count, portBase, once }: DemoOptions): Promise<number> => {
  const children: ChildProcess[] = [];
  const vmids = Array.from({ length: count }, (_, index) => 101 + index);
  let host: DemoHost | undefined;
  try {
    say('felhom demo: everything below runs on this machine only, and is kept in');
    say(`  ${dir}`);
    say('');
    host = await startDemoHost({ dir, vmids, port: portBase, lineDelayMs: 200 });
    host.pve.vzdumpFaults.copyMs = 4000;
    say(
      `1. A Proxmox VE node "${host.pve.node}" (simulated) answers at ${host.pve.endpoint}; ${count === 1 ? 'guest 101 runs' : `guests 101 to ${100 + count} run`} on it.`,
    );

    const agentConfig = writeAgentConfig(host, { dir, port: portBase === 0 ? await freePort() : portBase + 1 });
    const agentSaid: string[] = [];
    const agent = start('agent', ['serve', '--config', agentConfig], (line) => agentSaid.push(line));
    children.push(agent);
    await agentAnswers(agent, agentConfig, agentSaid);
    say('2. felhom-agent runs on the node. It made its key and certificate, and talks to Proxmox with a token of few rights.');

    const guests = await enrolAll(dir, agentConfig, vmids);
    const [first] = guests;
    if (!first) throw new Error('no guest was enrolled');
    say(
      `3. ${count === 1 ? 'Guest 101 is' : `${count} guests are`} enrolled: each has a token of its own and the certificate's fingerprint to pin.`,
    );

    const controllerSaid: string[] = [];
    const controller = start('controller', ['run', '--config', first.controllerConfig], (line) => controllerSaid.push(line));
    children.push(controller);
    say('4. felhom-controller runs in guest 101, without rights. No backup exists yet, so it starts one.');
    say('');

    publish(join(dir, 'demo.json'), demoJson(host, agentConfig, guests));
    say('felhom demo is ready');
    say(`  Proxmox  ${host.pve.endpoint}`);
    say(`  agent    https://${demoJson(host, agentConfig, guests).agent.endpoint}`);
    say(`  details  ${join(dir, 'demo.json')}`);
    say('');

    const asked = untilAsked(children);
    const outcome = await Promise.race([
      followBackup(first.bootstrap, say),
      asked.then((why) => ({ ok: why === '', ended: why })),
    ]);
    if ('ended' in outcome) {
      if (outcome.ended) say([outcome.ended, ...agentSaid.slice(-5), ...controllerSaid.slice(-5)].join('\n'));
      return outcome.ok ? 0 : 1;
    }
    say('');
    say(await run('controller', ['status', '--config', first.controllerConfig]).catch((error: Error) => error.message));
    if (once) return outcome.ok ? 0 : 1;
    say('The demo stays up. Ctrl-C ends it.');
    const why = await asked;
    if (why) say(why);
    return why ? 1 : 0;
  } finally {
    for (const child of children.reverse()) await stop(child);
    await host?.pve.close();
  }
};
