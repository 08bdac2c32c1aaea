/**
 * A guest with three applications: a database of SQLite under load, a service that is a file while it runs, and two containers of
 * which one runs; with a real controller and a real felhom-quiesced, both started again when they die, beside an agent that is led.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { mountOf, parseMountinfo } from '#shared/mountinfo';
import { bootstrapOf, type Leaf, later } from '../../contract/controller-agent.ts';
import { startEngine } from '../../docker/engine.ts';
import { isAlive } from '../alive.ts';
import { makeQuiescedWorld, pause, signal, until } from '../quiesced-world.ts';
import { leadAgent } from './agent.ts';
import { watchHolds } from './holds.ts';
import { controllerProgram, shiftedClock } from './programs.ts';
import { startWriter } from './writer.ts';

const ROOT = join(import.meta.dirname, '../../..');
export const HOLD_MAX_MS = 3000;
/** Sooner than felhom-controller.service does it, for nobody waits for it but the test. */
const CONTROLLER_RESTART_MS = 300;
/** felhom-quiesced.service, RestartSec. */
const QUIESCED_RESTART_MS = 100;
const WATCH_MS = 25;

/** In the order they are held. */
export const APPS = ['db', 'app', 'box'] as const;
export type App = (typeof APPS)[number];
/** Where a command of `app` waits. */
type Gate = 'prepare' | 'pre' | 'post';

export interface GuestOptions {
  /** The directories of both programs lie on a disk of a few pages. */
  tinyDisk?: boolean;
  /** The wall clock of both programs is the test's. */
  ownClock?: boolean;
}

/** Commands of `app`: no environment of ours names the directory, but their script does. */
const commandsOf = (dir: string): number[] =>
  readdirSync('/proc').flatMap((name) => {
    try {
      return /^\d+$/.test(name) && readFileSync(`/proc/${name}/cmdline`, 'utf8').includes(`D=${dir};`) ? [Number(name)] : [];
    } catch {
      return [];
    }
  });

const wait = (gate: Gate) =>
  `if [ -e $D/wait.${gate} ]; then touch $D/reached.${gate}; while [ -e $D/wait.${gate} ]; do sleep 0.03; done; fi`;

const UMOUNT = '/usr/bin/umount';
/** Those that a killed test process has left are taken away first. */
const mountTiny = (directory: string): void => {
  for (const { source, point } of parseMountinfo(readFileSync('/proc/self/mountinfo', 'utf8'))) {
    const [, pid] = /^felhom-matrix-(\d+)$/.exec(source) ?? [];
    if (pid !== undefined && !isAlive(Number(pid))) execFileSync(UMOUNT, ['-l', point]);
  }
  const options = ['-t', 'tmpfs', '-o', 'size=128k,mode=700', `felhom-matrix-${process.pid}`];
  execFileSync('/usr/bin/mount', [...options, directory]);
  later(async () => void execFileSync(UMOUNT, ['-l', directory]));
};

export const makeGuest = async (leaf: Leaf, { tinyDisk = false, ownClock = false }: GuestOptions = {}) => {
  const env: Record<string, string> = {};
  const quiesced = await makeQuiescedWorld({ restart: false, env });
  const { at, dir } = quiesced;
  if (ownClock) Object.assign(env, await shiftedClock(dir, at('shift')));
  await mkdir(at('controller'), { mode: 0o700 });
  if (tinyDisk) for (const directory of [at('state'), at('controller')]) mountTiny(directory);

  const engine = await startEngine(at('docker.sock'));
  later(() => engine.close());
  // Whoever comes after a dead process waits so long for a stop that may be under way.
  const web = engine.run({ name: 'web', stopTimeout: 1, restart: 'unless-stopped', upperDir: dir });
  const old = engine.create({ name: 'old', restart: 'unless-stopped', upperDir: dir });

  const holds = watchHolds(
    { app: () => quiesced.isRunning('app'), box: () => web.state.Running && !web.state.Paused },
    at('state/lease.json'),
    HOLD_MAX_MS,
  );
  await mkdir(at('data'));
  const writer = await startWriter(at('data/app.db'), (writes, when) => holds.change('db', writes, when));
  later(() => writer.kill());

  // A pre that outlives its attempt does harm.
  const service = quiesced.fileApp('app', { pre: `${wait('pre')}; rm -f $D/app.running`, post: wait('post') });
  await quiesced.writeConfig({
    holdMax: `${HOLD_MAX_MS}ms`,
    apps: [
      { name: 'db', adapter: 'sqlite', path: at('data/app.db'), hold: 'always' },
      {
        ...service,
        prepare_timeout: '4s',
        prepare: { argv: ['/bin/sh', '-c', `D=${dir}; ${wait('prepare')}`], timeout: '10s' },
      },
      { name: 'box', adapter: 'docker', containers: ['web', 'old'], socket: at('docker.sock') },
    ],
  });
  await quiesced.startApp('app');

  const mount = mountOf(parseMountinfo(readFileSync('/proc/self/mountinfo', 'utf8')), dir);
  const agent = await leadAgent(leaf, [
    { key: 'rootfs', storage: 'local', mount_point: mount?.point ?? '/', state: 'in-backup', reason: '' },
  ]);
  later(() => agent.close());
  await writeFile(at('bootstrap.json'), JSON.stringify(bootstrapOf([[agent.port, [leaf.fingerprint]]])));
  await writeFile(
    at('controller.yaml'),
    `bootstrap: ${at('bootstrap.json')}\nquiesced: ${at('socket')}\nstate_dir: ${at('controller')}\nruntime_dir: ${at('instance')}\npoll: 300ms\n`,
  );

  let log = '';
  const read = { controller: 0, quiesced: 0 };
  let controller: ChildProcess | null = null;
  let controllerStarts = 0;
  const program = await controllerProgram();
  const startController = (): void => {
    controllerStarts += 1;
    const child = spawn(process.execPath, [...program, 'run', '--config', at('controller.yaml')], {
      cwd: ROOT,
      env: { ...process.env, ...env, FELHOM_WORLD: dir },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    controller = child;
    child.stderr?.on('data', (chunk: Buffer) => {
      log += chunk;
    });
    child.once('exit', () => {
      controller = null;
    });
  };

  const supervised = { controller: false, quiesced: false };
  /** Since when each is dead; null: it runs, or was not looked at since. */
  const dead = { controller: null as number | null, quiesced: null as number | null };
  const keepUp = (name: 'controller' | 'quiesced', isUp: boolean, afterMs: number, start: () => void): void => {
    if (isUp || !supervised[name]) dead[name] = null;
    else if (dead[name] === null) dead[name] = performance.now();
    else if (performance.now() - dead[name] >= afterMs) start();
  };
  const supervisor = setInterval(() => {
    keepUp('controller', controller !== null, CONTROLLER_RESTART_MS, startController);
    keepUp('quiesced', quiesced.isUp(), QUIESCED_RESTART_MS, () => void quiesced.run().catch(() => undefined));
  }, WATCH_MS);
  const stop = (): void => {
    supervised.controller = false;
    supervised.quiesced = false;
    clearInterval(supervisor);
    holds.stop();
    const pids = [...(controller?.pid ? [controller.pid] : []), ...(quiesced.isUp() ? [quiesced.main()] : [])];
    for (const pid of pids) signal(pid, 'SIGCONT');
    for (const pid of pids) signal(pid, 'SIGTERM');
  };
  later(async () => stop());

  const gate = (name: Gate, isClosed: boolean): void => {
    if (isClosed) writeFileSync(at(`wait.${name}`), '');
    else for (const file of [`wait.${name}`, `reached.${name}`]) rmSync(at(file), { force: true });
  };
  const controllerPid = (): number => {
    if (controller?.pid === undefined) throw new Error('felhom-controller does not run');
    return controller.pid;
  };
  return {
    at,
    agent,
    quiesced,
    holds,
    writer,
    engine,
    supervised,
    controllerPid,
    controllerStarts: () => controllerStarts,
    quiescedPids: () => [quiesced.main(), ...quiesced.children().map(({ pid }) => pid)],
    commandPids: () => commandsOf(dir),
    /** What both have said since the last time. */
    said: (): string => {
      const text = `controller:\n${log.slice(read.controller)}quiesced:\n${quiesced.log().slice(read.quiesced)}`;
      Object.assign(read, { controller: log.length, quiesced: quiesced.log().length });
      return text;
    },
    /** A command of `app` waits at it, once it gets there. */
    close: (name: Gate) => gate(name, true),
    open: (...names: Gate[]) => {
      for (const name of names) gate(name, false);
    },
    hasReached: (name: Gate) => existsSync(at(`reached.${name}`)),
    /** Whoever was not running has not been started. */
    isUntouched: () => !old.state.Running && old.state.StartedAt.startsWith('0001'),
    /** At once: none of them sees another one end. */
    killAtOnce: async (pids: number[]) => {
      for (const pid of pids) signal(pid, 'SIGSTOP');
      for (const pid of pids) signal(pid, 'SIGKILL');
      await until('all killed have ended', () => !pids.some(isAlive));
    },
    /** As after a boot. */
    wipeRuntime: () => {
      rmSync(at('run'), { recursive: true, force: true });
      rmSync(at('instance'), { recursive: true, force: true });
      mkdirSync(at('run'), { mode: 0o755 });
    },
    /** What a backup would contain of it now; answers what puts it back. */
    copy: () => {
      rmSync(at('copy'), { recursive: true, force: true });
      cpSync(at('state'), at('copy'), { recursive: true });
      const wasRunning = quiesced.isRunning('app');
      const wasUp = web.state.Running;
      return () => {
        for (const name of readdirSync(at('state'))) rmSync(join(at('state'), name), { recursive: true });
        cpSync(at('copy'), at('state'), { recursive: true });
        if (wasRunning) writeFileSync(at('app.running'), '');
        else rmSync(at('app.running'), { force: true });
        if (wasUp && !web.state.Running) web.start();
        else if (!wasUp) web.exit(0);
      };
    },
    shiftClock: (ms: number) => writeFileSync(at('shift'), String(ms)),
    start: async () => {
      Object.assign(supervised, { controller: true, quiesced: true });
      await until('felhom-quiesced answers', quiesced.answers, 60_000);
      await until('the controller asks', () => agent.asked() > 0, 60_000);
    },
    stop: async () => {
      stop();
      await pause(100);
    },
  };
};
export type Guest = Awaited<ReturnType<typeof makeGuest>>;
