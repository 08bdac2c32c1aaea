/** One backup of one guest with databases under load in it, by the real programs, and what of it comes back. */
import { mkdirSync, mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import type { Scope } from '../../bench/scope.ts';
import type { EngineDirs } from '../../engines/engine.ts';
import { type App, startApp } from './app.ts';
import { startGuest, type Volume } from './guest.ts';
import type { Answers } from './inside.ts';
import { type EngineName, kindOf } from './kinds.ts';
import type { Backup, GuestSpec, Node } from './node.ts';
import { startFelhom } from './programs.ts';
import type { Window } from './rows.ts';
import { unpack } from './unpack.ts';

export interface SceneApp {
  engine: EngineName;
  /** In the guest. */
  data: string;
  log?: string;
  hold?: 'always' | 'never';
}

export interface Scene extends GuestSpec {
  /** Of this machine: the guest's root, and what is mounted in it. */
  root: string;
  volumes?: readonly Volume[];
  apps: readonly SceneApp[];
}

export interface PlayedApp extends SceneApp {
  done: Answers['halt'];
  /** What was committed before it is owed by the archive: the cut, or the last dump that was begun before it. */
  owes: Window;
}

export interface Played extends Backup {
  apps: PlayedApp[];
  /** Where the archive is unpacked. */
  tree: string;
  /** What felhom's programs in the guest said. */
  said: string;
}

const runDir = (engine: EngineName): string => `/run/${engine}`;

/** `1234:M 22 Nov 2026 07:18:16.123 * Background saving started by pid 1240`, in UTC. */
const dumpsIn = (log: string): number[] =>
  [...log.matchAll(/^\d+:\w (.+?) \* Background saving started/gm)].map(([, stamp]) => Date.parse(`${stamp} UTC`));

/** The server does one thing after the other: what it confirmed before it said so is in the dump, and what it began later is not. */
const lastDump = (log: string, { fromMs }: Window): Window => {
  const begun = Math.max(...dumpsIn(log).filter((at) => at < fromMs));
  if (!Number.isFinite(begun)) throw new Error('no dump was begun before the cut');
  return { fromMs: begun, toMs: begun };
};

/** PostgreSQL's checkpoints come when they come; here often, so that one falls wherever it can do harm. */
const CHECKPOINTS = (socketDir: string): string[] => [
  ...['/bin/sh', '-c', 'echo "CHECKPOINT \\\\watch 0.2" | exec psql --quiet --host "$1" --username postgres postgres'],
  ...['checkpoints', socketDir],
];

export const play = async (scope: Scope, node: Node, scene: Scene, dir: string): Promise<Played> => {
  node.addGuest(scene);
  const guest = await startGuest(scope, scene.root, scene.volumes);
  const start = ({ engine, data, log }: SceneApp): Promise<App> =>
    startApp(scope, guest, engine, { data, run: runDir(engine), ...(log === undefined ? {} : { log }) });
  // It has no controller yet: its turn for the backup slot is nobody's until then.
  const [bootstrap, ...apps] = await Promise.all([node.enrol(scene.vmid), ...scene.apps.map(start)]);
  const background = scene.apps.some(({ engine }) => engine === 'postgres') ? [guest.spawn(CHECKPOINTS(runDir('postgres')))] : [];
  for (const one of background) scope.defer(() => void one.kill('SIGKILL'));
  await Promise.all(apps.map((app) => app.write()));

  const entries = scene.apps.map(({ engine, hold }, index) => ({
    name: engine,
    ...apps[index]?.entry,
    ...(hold === undefined ? {} : { hold }),
  }));
  const felhom = await startFelhom(scope, guest, bootstrap, entries);
  const backup = await node.nextBackup(bootstrap, scene.type, felhom.said);

  const [done] = await Promise.all([Promise.all(apps.map((app) => app.halt())), felhom.stop()]);
  const owes = ({ engine }: SceneApp): Window =>
    engine === 'redis-rdb' ? lastDump(guest.run(['/bin/cat', `${runDir(engine)}/redis.log`]), backup.cut) : backup.cut;
  const played = scene.apps.map((app, index) => ({
    ...app,
    done: done[index] ?? { written: [], refused: [] },
    owes: owes(app),
  }));
  for (const one of background) one.kill('SIGKILL');
  await Promise.all(apps.map((app) => app.kill()));
  await guest.close();

  const tree = join(dir, 'restored', String(scene.vmid));
  unpack(backup.archive, tree);
  return { ...backup, apps: played, tree, said: felhom.said() };
};

/** Starts the database on what was restored, has it check itself, and reads all rows. */
export const rowsOf = async (scope: Scope, engine: EngineName, dirs: Omit<EngineDirs, 'run'>, dir: string): Promise<number[]> => {
  mkdirSync(join(dir, 'run'), { recursive: true });
  const restored = await kindOf(engine).start({ ...dirs, run: mkdtempSync(join(dir, 'run', 'e')) });
  scope.defer(() => restored.kill());
  try {
    await restored.check();
    return await restored.rows();
  } finally {
    await restored.kill();
  }
};
