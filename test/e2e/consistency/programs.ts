/** felhom's own two programs in a guest, as its units start them: the compiled ones, each under its account, with the files they read. */
import type { ChildProcess } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { stringify } from 'yaml';
import type { Bootstrap } from '#shared/bootstrap';
import type { Scope } from '../../bench/scope.ts';
import { NODE_FLAGS, stop } from '../../demo/processes.ts';
import { CONTROLLER, type Guest, onRoot } from './guest.ts';

const DIST = join(import.meta.dirname, '../../../dist');
const SOCKET = '/run/felhom-quiesced/socket';

/** As quiesce.yaml has it. */
export type Entry = Record<string, unknown> & { name: string };

const writeFiles = (guest: Guest, bootstrap: Bootstrap, apps: readonly Entry[]): void => {
  const write = (name: string, text: string, mode: number, gid = 0) => {
    const path = onRoot(guest, `etc/felhom/${name}`);
    writeFileSync(path, text);
    chmodSync(path, mode);
    chownSync(path, 0, gid);
  };
  const controller = {
    bootstrap: '/etc/felhom/bootstrap.json',
    quiesced: SOCKET,
    state_dir: '/var/lib/felhom-controller',
    runtime_dir: '/run/felhom',
    poll: '300ms',
  };
  write('bootstrap.json', JSON.stringify(bootstrap), 0o640, CONTROLLER.gid);
  write('controller.yaml', stringify(controller), 0o644);
  write('quiesce.yaml', stringify({ apps }), 0o644);
  const state = onRoot(guest, 'var/lib/felhom-controller');
  mkdirSync(state, { recursive: true, mode: 0o700 });
  chownSync(state, CONTROLLER.uid, CONTROLLER.gid);
};

/** What a program wrote, its last lines. */
const listen = (child: ChildProcess, said: string[]): void => {
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding('utf8').on('data', (text: string) => {
      said.push(text.trimEnd());
      said.splice(0, said.length - 60);
    });
};

export interface Felhom {
  said(): string;
  stop(): Promise<void>;
}

/** Starts felhom-quiesced and then felhom-controller, which asks at once whether a backup is due. */
export const startFelhom = async (scope: Scope, guest: Guest, bootstrap: Bootstrap, apps: readonly Entry[]): Promise<Felhom> => {
  writeFiles(guest, bootstrap, apps);
  const said: string[] = [];
  guest.run(['/bin/sh', '-c', `install -d -m 0700 -o ${CONTROLLER.uid} -g ${CONTROLLER.gid} /run/felhom`]);
  const node = (name: 'controller', main: string, ...args: string[]) => [
    process.execPath,
    ...NODE_FLAGS[name],
    join(DIST, main),
    ...args,
  ];
  const quiesced = guest.spawn(node('controller', 'controller/quiesced/main.js', 'serve', '--listen', SOCKET));
  listen(quiesced, said);
  scope.defer(() => stop(quiesced));
  const isThere = () => existsSync(`/proc/${quiesced.pid}/root${SOCKET}`);
  const deadline = performance.now() + 10_000;
  while (!isThere()) {
    if (quiesced.exitCode !== null || performance.now() > deadline) throw new Error(`no felhom-quiesced: ${said.join('\n')}`);
    await pause(30);
  }
  const run = ['run', '--config', '/etc/felhom/controller.yaml'];
  const controller = guest.spawn(node('controller', 'controller/main.js', ...run), { asController: true });
  listen(controller, said);
  scope.defer(() => stop(controller));
  return {
    said: () => said.join('\n'),
    stop: async () => {
      await stop(controller);
      await stop(quiesced);
    },
  };
};
