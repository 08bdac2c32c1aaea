/**
 * Reads an archive to its end, in a process of its own that yields to everything else on the host: agent/archive-check. There is no
 * deadline for the whole, which may take hours, only for the next piece.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import type { Clock } from '#shared/clock';
import type { Finding } from '../archive-check/finding.ts';

export type CheckResult = Finding;

export interface ArchiveCheck {
  /** Never rejects. An abort ends the check with nothing known: `unreadable`. */
  check(path: string, format: string, signal: AbortSignal): Promise<CheckResult>;
}

export interface ArchiveCheckOptions {
  clock: Clock;
  /** Without a byte read for so long the check is given up. */
  stallMs?: number;
}

const STALL_MS = 10 * 60_000;
const MAX_LINE = 64 * 1024;
const IONICE = '/usr/bin/ionice';
const IDLE = ['-c', '3', '/usr/bin/nice', '-n', '19'];

/** The bundle (package.json, `bundle`) lays the port into agent/main.js; tsc keeps it in ports/; vitest and tsx read the source. */
const programArgs = (): string[] => {
  const here = import.meta.url;
  if (here.endsWith('/ports/archive-check.ts')) {
    const loader = createRequire(here).resolve('tsx');
    return ['--import', loader, '--conditions=source', fileURLToPath(new URL('../archive-check/main.ts', here))];
  }
  const beside = here.endsWith('/ports/archive-check.js') ? '../archive-check/main.js' : './archive-check/main.js';
  return [fileURLToPath(new URL(beside, here))];
};

const unknown = (detail: string): CheckResult => ({
  verdict: 'unreadable',
  error: 'The check could not be carried out.',
  detail,
  members: 0,
  bytes: 0,
});

/** Its whole process group: the decompressor with it. */
const kill = (child: ChildProcess): void => {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // It has ended.
  }
};

const isFinding = (value: unknown): value is CheckResult => typeof value === 'object' && value !== null && 'verdict' in value;

const parsed = (line: string): unknown => {
  try {
    return JSON.parse(line);
  } catch {
    return null;
  }
};

export const createArchiveCheck = ({ clock, stallMs = STALL_MS }: ArchiveCheckOptions): ArchiveCheck => ({
  check: (path, format, signal) =>
    new Promise((resolve) => {
      if (signal.aborted) return resolve(unknown('stopped before it began'));
      const child = spawn(IONICE, [...IDLE, process.execPath, ...programArgs(), format, path], {
        cwd: '/',
        env: { LC_ALL: 'C' },
        stdio: ['ignore', 'pipe', 'pipe'],
        detached: true,
      });
      let found: CheckResult | null = null;
      let line = '';
      let words = '';
      let stalled = () => {};

      /** A child that hangs in the kernel does not die: it is let go, so that nothing here waits for it. */
      const end = (result: CheckResult): void => {
        stalled();
        signal.removeEventListener('abort', abort);
        kill(child);
        child.stdout.destroy();
        child.stderr.destroy();
        child.unref();
        resolve(result);
      };
      const abort = () => end(unknown('stopped'));
      const watch = (): void => {
        stalled();
        stalled = clock.after(stallMs, () => end(unknown('nothing could be read for too long')));
      };
      const take = (text: string): void => {
        const lines = (line + text).split('\n');
        line = (lines.pop() ?? '').slice(0, MAX_LINE);
        for (const one of lines) {
          const value = parsed(one);
          if (isFinding(value)) found = value;
          watch();
        }
      };

      signal.addEventListener('abort', abort, { once: true });
      watch();
      child.stdout.setEncoding('utf8').on('data', take);
      child.stderr.setEncoding('utf8').on('data', (text: string) => {
        words = (words + text).slice(0, 2000);
      });
      child.once('error', (error) => end(unknown(String(error))));
      child.once('close', (status, cause) => end(found ?? unknown(`ended with ${cause ?? status}: ${words.trim()}`)));
    }),
});
