/** What the demo does, step by step, in words that a stranger understands. */
import type { ChildProcess } from 'node:child_process';
import { appendFileSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Bootstrap } from '#shared/bootstrap';
import { followBackup, followVerification } from './backup.ts';
import { buildDrives, type DemoDrives } from './drives.ts';
import { keysFileIn, notesApp, writeAgentConfig, writeGuestFiles } from './files.ts';
import { BACKUP_STORAGE, type DemoHost, GUEST_STORAGE, startDemoHost, storageIn } from './host.ts';
import { makeOperator, type Operator } from './operator.ts';
import { freePort } from './ports.ts';
import { run, start, stop } from './processes.ts';
import { socketIn, startQuiesced } from './quiesced.ts';
import { sampleDrives } from './samples.ts';
import { takeDown } from './take-down.ts';

export interface DemoOptions {
  dir: string;
  guests: number;
  /** 0: free ports. */
  portBase: number;
  once: boolean;
}

const say = (line: string) => process.stdout.write(`${line}\n`);

/** What ends the demo before its time: a signal from its first moment on, or a program that ends by itself. */
const createEnding = () => {
  const controller = new AbortController();
  // A second one does not end the taking down that the first began.
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => controller.abort(''));
  return {
    signal: controller.signal,
    watch: (child: ChildProcess): ChildProcess =>
      child.once('exit', (code) => controller.abort(`A program of the demo ended by itself (status ${code}).`)),
    /** Resolves with why, empty for a signal. */
    happened: new Promise<string>((resolve) => {
      controller.signal.addEventListener('abort', () => resolve(String(controller.signal.reason)), { once: true });
    }),
  };
};

const agentAnswers = async (agent: ChildProcess, config: string, said: string[]): Promise<void> => {
  for (let tries = 0; tries < 100; tries += 1) {
    if (agent.exitCode !== null) throw new Error(`the agent did not start:\n${said.join('\n')}`);
    const listed = await run('agent', ['guest', 'list', '--config', config]).catch(() => null);
    if (listed !== null) return;
  }
  throw new Error(`the agent did not answer:\n${said.join('\n')}`);
};

const enrolAll = async (dir: string, config: string, vmids: readonly number[], quiesced: string) => {
  const guests: { vmid: number; bootstrap: Bootstrap; bootstrapPath: string; controllerConfig: string }[] = [];
  for (const vmid of vmids) {
    const text = await run('agent', ['guest', 'enroll', String(vmid), '--print', '--config', config]);
    const files = writeGuestFiles(dir, vmid, { bootstrap: text, poll: '3s', quiesced });
    guests.push({ vmid, bootstrap: JSON.parse(text), bootstrapPath: files.bootstrap, controllerConfig: files.config });
  }
  return guests;
};

/** Keys may be added here, never renamed: other people's scripts read them. */
const demoJson = (
  { pve, token }: DemoHost,
  { devices, settings }: DemoDrives,
  agentConfig: string,
  guests: Awaited<ReturnType<typeof enrolAll>>,
  opsign: Operator & { host: string },
) => {
  const agent = guests[0]?.bootstrap.endpoints[0];
  return {
    pve: { endpoint: pve.endpoint, fingerprint: pve.fingerprint, node: pve.node, token },
    agent: { endpoint: `${agent?.address}:${agent?.port}`, fingerprint: agent?.fingerprints[0] ?? '', config: agentConfig },
    guests: guests.map(({ vmid, bootstrap, bootstrapPath }) => ({ vmid, token: bootstrap.token, bootstrap: bootstrapPath })),
    controller: { url: null },
    devices,
    mount_root: settings.mount_root,
    opsign,
  };
};

/** Whoever waits for the file never sees half of it. */
const publish = (path: string, value: object): void => {
  writeFileSync(`${path}.new`, `${JSON.stringify(value, null, 2)}\n`, { mode: 0o600 });
  renameSync(`${path}.new`, path);
};

/** It is no program of the project's, so it lies beside this file. */
const WITH_SAMPLES = fileURLToPath(new URL('./agent-with-samples.js', import.meta.url));

const aboutDrives = ({ devices: { system, backup, user_data, blank } }: DemoDrives): string =>
  [
    `2. Its five drives are real to this machine's kernel (loop devices on files in drives/): guests' disks lie on ${system}, archives`,
    `   on ${backup}; ${user_data.join(' and ')} are the customer's, with files; ${blank} is blank. No other drive is ever given to a guest.`,
  ].join('\n');

const aboutSamples = (why: string): string =>
  `2. Its five drives are shown from samples, and nothing on them is changed: ${why}.`;

interface Stage {
  drives?: DemoDrives;
  host?: DemoHost;
  /** Of felhom-quiesced, which obeys no file that others could have written: not below the directory that the user chose. */
  quiescedDir: string;
  children: ChildProcess[];
  /** What the programs wrote last; all of it is in the directory's `log`. */
  said: string[];
  note: (line: string) => void;
}

/** Each step looks at `signal` first, so that nothing is started once the demo is to end. */
const play = async (
  stage: Stage,
  { dir, guests: count, portBase, once }: DemoOptions,
  ending: ReturnType<typeof createEnding>,
) => {
  const vmids = Array.from({ length: count }, (_, index) => 101 + index);
  const step = (line: string) => {
    ending.signal.throwIfAborted();
    say(line);
  };
  const launch = (name: 'agent' | 'controller', args: readonly string[], file?: string): ChildProcess => {
    ending.signal.throwIfAborted();
    const child = ending.watch(start(name, args, stage.note, file));
    stage.children.push(child);
    return child;
  };

  say('felhom demo: everything below runs on this machine only, and is kept in');
  say(`  ${dir}`);
  say('');
  const built = await buildDrives({ dir, system: storageIn(dir, GUEST_STORAGE), backup: storageIn(dir, BACKUP_STORAGE) });
  const onDrives = typeof built !== 'string';
  const drives = onDrives ? built : sampleDrives(dir);
  stage.drives = drives;
  ending.signal.throwIfAborted();
  const host = await startDemoHost({ dir, vmids, port: portBase, lineDelayMs: 200, onDrives, switches: true });
  stage.host = host;
  host.pve.vzdumpFaults.copyMs = 4000;
  const where = `1. A Proxmox VE node "${host.pve.node}" (simulated) answers at ${host.pve.endpoint};`;
  step(`${where} ${count === 1 ? 'guest 101 runs' : `guests 101 to ${100 + count} run`} on it.`);
  step(typeof built === 'string' ? aboutSamples(built) : aboutDrives(built));

  const port = portBase === 0 ? await freePort() : portBase + 1;
  const agentConfig = writeAgentConfig(host, { dir, port, disks: drives.settings });
  const operator = makeOperator(dir, keysFileIn(dir));
  const agent = onDrives
    ? launch('agent', ['serve', '--config', agentConfig])
    : launch('agent', ['--config', agentConfig], WITH_SAMPLES);
  await agentAnswers(agent, agentConfig, stage.said);
  step('3. felhom-agent runs on the node. It made its key and certificate, and talks to Proxmox with a token of few rights.');

  const guests = await enrolAll(dir, agentConfig, vmids, socketIn(stage.quiescedDir));
  const [first] = guests;
  if (!first) throw new Error('no guest was enrolled');
  const who = count === 1 ? 'Guest 101 is enrolled: it has' : `${count} guests are enrolled: each has`;
  step(`4. ${who} a token of its own and the certificate's fingerprint to pin.`);

  const apps = [notesApp(dir, first.vmid)];
  const watch = (child: ChildProcess) => void stage.children.push(ending.watch(child));
  await startQuiesced(stage.quiescedDir, apps, stage.note, watch);
  launch('controller', ['run', '--config', first.controllerConfig]);
  step(
    '5. In guest 101 runs felhom-quiesced, which alone may hold the application "notes" (quiesce.yaml), and felhom-controller,',
  );
  say('   without rights. No backup exists yet, so it starts one.');
  step('');

  const { host_scope } = JSON.parse(await run('agent', ['identity', '--json', '--config', agentConfig]));
  const details = demoJson(host, drives, agentConfig, guests, { ...operator, host: host_scope });
  publish(join(dir, 'demo.json'), details);
  say('felhom demo is ready');
  say(`  Proxmox  ${details.pve.endpoint}`);
  say(`  agent    https://${details.agent.endpoint}`);
  say(`  details  ${join(dir, 'demo.json')}; what the programs write is in ${join(dir, 'log')}`);
  say('');

  const { ok } = await followBackup(first.bootstrap, say, ending.signal);
  if (ok) await followVerification(first.bootstrap, say, ending.signal);
  step('');
  say(await run('controller', ['status', '--config', first.controllerConfig]).catch((error: Error) => error.message));
  if (once) return ok ? 0 : 1;
  say('The demo stays up. Ctrl-C ends it. Look at its drives from another terminal:');
  say(`  npx felhom-agent disks list --config ${agentConfig}`);
  say(`  npx felhom-agent disks show ${drives.devices.user_data[0]} --config ${agentConfig}`);
  await ending.happened;
  return ending.signal.throwIfAborted();
};

/** Runs the demo to its end; answers the exit status. */
export const runDemo = async (options: DemoOptions): Promise<number> => {
  const quiescedDir = mkdtempSync(join(tmpdir(), 'felhom-q-'));
  const said: string[] = [];
  const note = (line: string) => {
    said.push(line);
    appendFileSync(join(options.dir, 'log'), `${line}\n`, { mode: 0o600 });
  };
  const stage: Stage = { quiescedDir, children: [], said, note };
  const ending = createEnding();
  try {
    return (await play(stage, options, ending)) ?? 0;
  } catch (error) {
    if (!ending.signal.aborted) throw error;
    const why = await ending.happened;
    if (why !== '') say([why, ...stage.said.slice(-10)].join('\n'));
    return why === '' ? 0 : 1;
  } finally {
    for (const child of stage.children.reverse()) await stop(child);
    await stage.host?.pve.close();
    rmSync(quiescedDir, { recursive: true, force: true });
    await stage.drives?.close();
    const left = await takeDown(options.dir);
    if (left !== '') say(left);
  }
};
