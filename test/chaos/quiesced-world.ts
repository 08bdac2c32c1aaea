/**
 * A real felhom-quiesced with directories of its own, under a supervisor that starts it again 100 ms after it dies, as its unit
 * does; and applications that are files: there while they run.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { chmod, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { later, scratch } from '../contract/controller-agent.ts';
import { isAlive } from './alive.ts';
import { bundleSources } from './bundle.ts';
import { connectQuiesced, type QuiescedClient } from './quiesced-client.ts';

const ROOT = join(import.meta.dirname, '../..');

let bundle: Promise<string> | null = null;
const bundled = (): Promise<string> => {
  bundle ??= bundleSources('quiesced', { main: 'controller/quiesced/main.ts', child: 'controller/quiesced/child.ts' });
  return bundle;
};
/** felhom-quiesced.service, ExecStart. */
const NODE_FLAGS = ['--max-semi-space-size=1', '--max-old-space-size=32', '--optimize-for-size'];
/** felhom-quiesced.service, RestartSec. */
const RESTART_MS = 100;

export interface WorldOptions {
  /** Entries of quiesce.yaml: of any adapter, or made by `fileApp`. */
  apps?: Record<string, unknown>[];
  holdMax?: string;
  /** What Node is given to run it; the sources, bundled, by default. */
  program?: string[];
  /** On top of this process's own environment, such as LD_PRELOAD. */
  env?: Record<string, string>;
  /** False: it stays dead. */
  restart?: boolean;
}

/** Every process whose command line or environment names this directory. Its own commands have neither shell nor environment of ours. */
const processesOf = (dir: string): number[] =>
  readdirSync('/proc').flatMap((name) => {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) return [];
    try {
      const text = readFileSync(`/proc/${pid}/cmdline`, 'latin1') + readFileSync(`/proc/${pid}/environ`, 'latin1');
      return text.includes(dir) ? [pid] : [];
    } catch {
      return [];
    }
  });

/** As `kill` does, when it may have ended already. */
export const signal = (pid: number, name: NodeJS.Signals): void => {
  try {
    process.kill(pid, name);
  } catch {
    // It has.
  }
};

export const until = async (what: string, holds: () => boolean | Promise<boolean>, ms = 20_000): Promise<void> => {
  for (const end = performance.now() + ms; !(await holds()); ) {
    if (performance.now() > end) throw new Error(`not within ${ms} ms: ${what}`);
    await pause(20);
  }
};
export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

type Started = ChildProcess & { ended: Promise<number | null> };

export const makeQuiescedWorld = async (options: WorldOptions = {}) => {
  const { program = [...NODE_FLAGS, await bundled()], env = {}, restart = true } = options;
  const dir = await scratch();
  const at = (name: string) => join(dir, name);
  await chmod(dir, 0o755);

  const writeConfig = ({ apps = [], holdMax = '30s' }: Pick<WorldOptions, 'apps' | 'holdMax'>) =>
    writeFile(at('quiesce.yaml'), stringify({ hold_max: holdMax, apps }), { mode: 0o644 });
  await mkdir(at('state'), { mode: 0o700 });
  await mkdir(at('run'), { mode: 0o755 });
  await writeConfig(options);

  const argv = (command: string) => [
    ...program,
    command,
    '--config',
    at('quiesce.yaml'),
    '--state-dir',
    at('state'),
    '--runtime-dir',
    at('run'),
  ];
  let log = '';
  /** Under no supervisor. @param before words of another program that runs it */
  const start = (command: string, more: string[] = [], before: string[] = []): Started => {
    const [file, ...args] = [...before, process.execPath, ...argv(command), ...more] as [string, ...string[]];
    const child = spawn(file, args, {
      cwd: ROOT,
      env: { ...process.env, MALLOC_ARENA_MAX: '2', ...env, FELHOM_WORLD: dir },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    child.stderr?.on('data', (chunk: Buffer) => {
      log += chunk;
    });
    const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
    return Object.assign(child, { ended });
  };

  let stopping = false;
  let main: Started | null = null;
  let starts = 0;
  const supervise = () => {
    starts += 1;
    const child = start('serve', ['--listen', at('socket')]);
    main = child;
    child.once('exit', (code) => {
      main = null;
      if (!stopping && restart && code !== 0) setTimeout(() => !stopping && supervise(), RESTART_MS);
    });
  };
  const children = (): { pid: number; app: string }[] =>
    processesOf(dir).flatMap((pid) => {
      try {
        const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
        const index = words.findIndex((word) => /\/quiesced(-\d+)?\/child\.[jt]s$/.test(word));
        return index < 0 || !isAlive(pid) ? [] : [{ pid, app: words[index + 1] ?? '' }];
      } catch {
        return [];
      }
    });

  later(async () => {
    stopping = true;
    if (main !== null) {
      signal(main.pid as number, 'SIGCONT');
      signal(main.pid as number, 'SIGTERM');
      await Promise.race([main.ended, pause(3000)]);
    }
    for (let left = processesOf(dir); left.length > 0; left = processesOf(dir).filter(isAlive)) {
      for (const pid of left) signal(pid, 'SIGKILL');
      await pause(20);
    }
  });

  const client = async (): Promise<QuiescedClient> => {
    const connected = await connectQuiesced(at('socket'));
    later(() => connected.close());
    return connected;
  };
  const answers = async (): Promise<boolean> => {
    try {
      const asked = await connectQuiesced(at('socket'));
      await asked.must('status', {});
      await asked.close();
      return true;
    } catch {
      return false;
    }
  };

  return {
    dir,
    at,
    writeConfig,
    /** Starts it under the supervisor; resolves when it answers. */
    run: async () => {
      supervise();
      await until('felhom-quiesced answers', answers);
    },
    start,
    answers,
    client,
    /** What it has written to its log, over all starts. */
    log: () => log,
    starts: () => starts,
    main: (): number => {
      if (main?.pid === undefined) throw new Error('felhom-quiesced does not run');
      return main.pid;
    },
    isUp: () => main !== null,
    children,
    childOf: (app: string): number => {
      const found = children().find((child) => child.app === app);
      if (found === undefined) throw new Error(`there is no child of ${app}`);
      return found.pid;
    },
    hasLease: () => existsSync(at('state/lease.json')),
    lease: () =>
      JSON.parse(readFileSync(at('state/lease.json'), 'utf8')) as { apps: { app: { name: string }; state: unknown }[] },
    hasMarker: () => existsSync(at('run/marker.json')),
    /** As after a reboot: what was in /run is gone. */
    forgetRuntime: () => rm(at('run/marker.json'), { force: true }),
    /** An application that is a file: there while it runs. @param more of each script, which may use `$D`, the world's directory */
    fileApp: (
      name: string,
      {
        pre = '',
        post = '',
        timeout = '10s',
        ...more
      }: { pre?: string; post?: string; timeout?: string; [key: string]: unknown } = {},
    ) => {
      const step = (script: string) => ({ argv: ['/bin/sh', '-c', `D=${dir}; ${script}`], timeout });
      return {
        name,
        adapter: 'command',
        pre: step(`rm -f $D/${name}.running; echo pre >> $D/${name}.log; ${pre || ':'}`),
        post: step(`${post || ':'}; touch $D/${name}.running; echo post >> $D/${name}.log`),
        provides: 'app',
        data: [dir],
        ...more,
      };
    },
    startApp: (name: string) => writeFile(at(`${name}.running`), ''),
    isRunning: (name: string) => existsSync(at(`${name}.running`)),
    /** `pre` and `post`, in the order they ran. */
    appLog: (name: string) =>
      existsSync(at(`${name}.log`))
        ? readFileSync(at(`${name}.log`), 'utf8')
            .trim()
            .split('\n')
        : [],
    /** The open files of a process, as their paths. */
    openFiles: (pid: number) =>
      readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
        try {
          return [readlinkSync(`/proc/${pid}/fd/${fd}`)];
        } catch {
          return [];
        }
      }),
  };
};
export type QuiescedWorld = Awaited<ReturnType<typeof makeQuiescedWorld>>;

/** A world whose applications are files that run, already started: what most tests begin with. */
export const worldOfFiles = async (
  names: string[],
  { more = {}, ...options }: WorldOptions & { more?: Record<string, Record<string, unknown>> } = {},
): Promise<QuiescedWorld> => {
  const world = await makeQuiescedWorld(options);
  await world.writeConfig({
    apps: names.map((name) => world.fileApp(name, more[name])),
    ...(options.holdMax ? { holdMax: options.holdMax } : {}),
  });
  for (const name of names) await world.startApp(name);
  return world;
};
