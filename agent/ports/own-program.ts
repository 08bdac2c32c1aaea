/**
 * Programs of our own that touch what may hang or be hostile (an archive, a drive), each in a process of its own: agent/archive-check,
 * agent/drive-check. agent/drive-format is started like them and outlives the agent. They say JSON, line by line. There is no deadline for the whole, only for the next line.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import type { Clock } from '#shared/clock';

export type OwnProgram = 'archive-check' | 'drive-check' | 'drive-format';

/** Yields to everything else on the host. ionice(1), nice(1). */
export const AT_IDLE: readonly string[] = ['/usr/bin/ionice', '-c', '3', '/usr/bin/nice', '-n', '19'];

const MAX_LINE = 64 * 1024;
const MAX_WORDS = 2000;

/**
 * What starts it, without its arguments. The bundle (package.json, `bundle`) lays the ports into agent/main.js; tsc keeps them in
 * ports/; vitest and tsx read the source.
 */
export const commandOf = (name: OwnProgram): string[] => {
  const here = import.meta.url;
  if (here.endsWith('/ports/own-program.ts')) {
    const loader = createRequire(here).resolve('tsx');
    return [process.execPath, '--import', loader, '--conditions=source', fileURLToPath(new URL(`../${name}/main.ts`, here))];
  }
  const beside = here.endsWith('/ports/own-program.js') ? `../${name}/main.js` : `./${name}/main.js`;
  return [process.execPath, fileURLToPath(new URL(beside, here))];
};

export interface Ending {
  /** `stalled`: it said nothing for too long. `stopped`: by the caller. */
  how: 'ended' | 'stalled' | 'stopped';
  /** For the log: why it ended, and what it wrote on stderr. */
  words: string;
}

export interface Watch {
  clock: Clock;
  /** Without a line for so long it is given up. */
  stallMs: number;
  signal?: AbortSignal | undefined;
  /** Each line, parsed; null where it is no JSON. */
  onLine: (value: unknown) => void;
}

export interface Running {
  ended: Promise<Ending>;
  /** Resolves when it is really gone with all that it started: what hangs in the kernel outlives its end here. */
  gone: Promise<void>;
}

const parsed = (line: string): unknown => {
  try {
    return JSON.parse(line);
  } catch {
    return null;
  }
};

/** Its whole process group: whatever it started with it. */
const kill = (child: ChildProcess): void => {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // It has ended.
  }
};

const hasMembers = (group: number): boolean => {
  try {
    process.kill(-group, 0);
    return true;
  } catch {
    return false;
  }
};

/** State and process group, behind the name in brackets. proc_pid_stat(5). */
const isLivingMember = async (pid: string, group: number): Promise<boolean> => {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  const [state, , itsGroup] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return Number(itsGroup) === group && state !== 'Z' && state !== 'X';
};

/** Of a group whose first process has ended others may be left, which nobody here is told of. A zombie only waits for the host's init. */
const isGroupThere = async (group: number): Promise<boolean> => {
  if (!hasMembers(group)) return false;
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  return (await Promise.all(pids.map((pid) => isLivingMember(pid, group)))).includes(true);
};

/** What was killed just now is gone in a moment; what hangs may take hours. */
const POLL_MS = { first: 20, longest: 1_000 };

const untilGone = (child: ChildProcess, clock: Clock): Promise<void> =>
  new Promise((resolve) => {
    const look = async (pauseMs: number): Promise<void> => {
      if (child.pid === undefined || !(await isGroupThere(child.pid))) resolve();
      else clock.after(pauseMs, () => void look(Math.min(2 * pauseMs, POLL_MS.longest)));
    };
    child.once('exit', () => void look(POLL_MS.first));
    child.once('error', () => child.pid === undefined && resolve());
  });

/** Starts it, in a process group of its own. Never rejects. */
export const startProgram = (command: readonly string[], { clock, stallMs, signal, onLine }: Watch): Running => {
  if (signal?.aborted) return { ended: Promise.resolve({ how: 'stopped', words: 'before it began' }), gone: Promise.resolve() };
  const [path = '', ...args] = command;
  const child = spawn(path, args, { cwd: '/', env: { LC_ALL: 'C' }, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  const gone = untilGone(child, clock);
  const ended = new Promise<Ending>((resolve) => {
    let line = '';
    let said = '';
    let stalled = () => {};

    /** A child that hangs in the kernel does not die: it is let go, so that nothing here waits for it. */
    const end = (how: Ending['how'], words: string): void => {
      stalled();
      signal?.removeEventListener('abort', abort);
      kill(child);
      child.stdout.destroy();
      child.stderr.destroy();
      child.unref();
      resolve({ how, words });
    };
    const abort = () => end('stopped', 'stopped');
    const watch = (): void => {
      stalled();
      stalled = clock.after(stallMs, () => end('stalled', 'it said nothing for too long'));
    };
    const take = (text: string): void => {
      const lines = (line + text).split('\n');
      line = (lines.pop() ?? '').slice(0, MAX_LINE);
      for (const one of lines) {
        onLine(parsed(one));
        watch();
      }
    };

    signal?.addEventListener('abort', abort, { once: true });
    watch();
    child.stdout.setEncoding('utf8').on('data', take);
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(0, MAX_WORDS);
    });
    child.once('error', (error) => end('ended', String(error)));
    child.once('close', (status, cause) => end('ended', `ended with ${cause ?? status}: ${said.trim()}`));
  });
  return { ended, gone };
};
