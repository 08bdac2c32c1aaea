/** How long each kind of application is held, for a copy of a second and for one of a quarter of an hour: it must not matter. */
import { chmodSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { HeldApp } from '#shared/wire/backups';
import { startEngine } from '../../docker/engine.ts';
import type { EngineKind } from '../../engines/engine.ts';
import { mariadbMyisam } from '../../engines/mariadb.ts';
import { postgres } from '../../engines/postgres.ts';
import { redisAof } from '../../engines/redis.ts';
import { sqlite } from '../../engines/sqlite.ts';
import { get } from '../../stranger/client.ts';
import { atLeast, atMost, type Figure } from '../figure.ts';
import { type BenchHost, type RunningController, startController, startHost, until } from '../host.ts';
import type { Measure } from '../measure.ts';
import { childrenOf, residentMegabytes } from '../proc.ts';
import type { Scope } from '../scope.ts';

const MAY_DIFFER_SECONDS = 1;
const CHILD_MEGABYTES = 60;
/** Holding to the end of the long copy would take so many times as long, at least. */
const WORTH_WHILE = 100;

/** Real servers, each held whether it needs it or not. An adapter that this machine has no server for is left out, and that is said. */
const startEngines = async (scope: Scope, say: (line: string) => void): Promise<object[]> => {
  const dir = scope.directory();
  chmodSync(dir, 0o755);
  const kinds: EngineKind[] = [postgres, mariadbMyisam, redisAof, sqlite];
  const entries = await Promise.all(
    kinds.map(async (kind) => {
      const lack = kind.lacks();
      if (lack !== null) {
        say(`${kind.name} is left out: ${lack}`);
        return [];
      }
      const [data, run] = [join(dir, `${kind.name}-d`), join(dir, `${kind.name}-r`)];
      for (const path of [data, run]) mkdirSync(path);
      const engine = await kind.start({ data, run });
      scope.defer(() => engine.kill());
      await engine.commit(1);
      return [{ name: kind.name, ...engine.entry, hold: 'always' }];
    }),
  );
  const socket = join(dir, 'docker.sock');
  const docker = await startEngine(socket);
  scope.defer(() => docker.close());
  docker.run({ name: 'web', onStop: { code: 0, afterMs: 200 }, upperDir: dir });
  say('systemd is left out: this machine was not booted by it');
  return [...entries.flat(), { name: 'docker', adapter: 'docker', containers: ['web'], socket }];
};

interface Status {
  phase: string;
  job_id: string;
  error: string;
  apps: HeldApp[] | null;
}

const said = async ({ address }: BenchHost): Promise<Status> => get(address, '/backup/status');

/** The most that each application's process ever had, by the application's name; what has ended meanwhile is left out. */
const noteMemory = (quiescedPid: number, most: Map<string, number>): void => {
  for (const { pid, argv } of childrenOf(quiescedPid)) {
    try {
      const app = argv.at(-1) ?? '';
      most.set(app, Math.max(most.get(app) ?? 0, residentMegabytes(pid)));
    } catch {
      // It has ended.
    }
  }
};

/** One backup until the guest has told how long each was held. Answers that, once it is seen that the copy goes on. */
const holdAll = async (
  host: BenchHost,
  controller: RunningController,
  copySeconds: number,
  before: string,
  memory = new Map<string, number>(),
): Promise<Status> => {
  host.pve.vzdumpFaults.copyMs = copySeconds * 1000;
  let status: Status = { phase: '', job_id: '', error: '', apps: null };
  const told = async () => {
    status = await said(host);
    noteMemory(controller.quiescedPid, memory);
    if (status.job_id !== before && status.phase === 'failed') throw new Error(`the backup failed: ${status.error}`);
    return status.job_id !== before && status.apps !== null;
  };
  await until(told, { what: 'held and let go', timeoutMs: 120_000, programs: [host.agent, controller], everyMs: 50 });
  if (copySeconds > 5 && (await said(host)).phase !== 'running') throw new Error('the copy has ended before its time');
  return status;
};

const ended = (host: BenchHost, controller: RunningController, timeoutMs: number): Promise<void> =>
  until(async () => (await said(host)).phase !== 'running', {
    what: 'the end of a backup',
    timeoutMs,
    programs: [host.agent, controller],
    everyMs: 250,
  });

export const adapters: Measure = {
  name: 'adapters',
  about: 'seconds that each kind of application is held, for a short and a very long copy',
  run: async ({ scope, quick, say }) => {
    const [short, long] = quick ? [1, 30] : [1, 1000];
    const apps = await startEngines(scope, say);
    const host = await startHost(scope, {
      backup: { max_age: '1s', min_interval: '0s', window: '00:00-23:59' },
      lineDelayMs: 20,
    });
    host.pve.vzdumpFaults.copyMs = short * 1000;
    const controller = await startController(scope, host, '1s', apps);
    // The first one finds every program and file cold.
    const cold = await holdAll(host, controller, short, '');
    await ended(host, controller, 60_000);
    const memory = new Map<string, number>();
    const first = await holdAll(host, controller, short, cold.job_id, memory);
    await ended(host, controller, 60_000);
    say(`now a copy of ${long} s; it is not waited for once everything is let go`);
    const second = await holdAll(host, controller, long, first.job_id);
    return (first.apps ?? []).flatMap(({ app, held, held_ms }): Figure[] => {
      const other = second.apps?.find((one) => one.app === app);
      if (!held || other?.held !== true) throw new Error(`${app} was not held:\n${controller.said.slice(-12).join('\n')}`);
      const seconds = other.held_ms / 1000;
      return [
        { name: `${app} held, copy of ${short} s`, value: held_ms / 1000, unit: 's' },
        { name: `${app} held, copy of ${long} s`, value: seconds, unit: 's' },
        {
          name: `${app}: differs by`,
          value: Math.abs(seconds - held_ms / 1000),
          unit: 's',
          budget: atMost(MAY_DIFFER_SECONDS),
        },
        {
          name: `${app}: memory of its process`,
          value: memory.get(app) ?? Number.NaN,
          unit: 'MB',
          budget: atMost(CHILD_MEGABYTES),
        },
        {
          name: `${app}: holding to the end would take`,
          value: (seconds + long) / seconds,
          unit: 'times',
          ...(quick ? {} : { budget: atLeast(WORTH_WHILE) }),
          note: 'as long; the copy begins when the data is fixed',
        },
      ];
    });
  },
};
