/** Runs one command of an application: no shell, a process group of its own, a deadline for the whole group, bounded output. */
import { type ChildProcess, spawn } from 'node:child_process';
import { homedir } from 'node:os';
import type { Readable } from 'node:stream';
import { type Clock, sleep } from '#shared/clock';
import { afterAwake } from '#shared/quiesce/awake';
import { errorText, plainText } from '#shared/quiesce/plain-text';
import { isGroupGone } from './proc.ts';

export interface CommandResult {
  ok: boolean;
  /** Exit status; null where a signal or the time-out ended it, or it never started. */
  code: number | null;
  timedOut: boolean;
  ms: number;
  /** The end of what it printed, or why it could not be started; for the log. */
  tail: string;
  /** What it printed to its standard output, as it is; no more than MOST_OUTPUT_CHARS from its beginning. */
  stdout: string;
}

export type RunCommand = (
  argv: readonly [string, ...string[]],
  options: { timeoutMs: number; signal?: AbortSignal },
) => Promise<CommandResult>;

const TAIL_CHARS = 400;
const MOST_OUTPUT_CHARS = 64 * 1024;
/** For output that is on its way when the command ends. */
const DRAIN_MS = 100;
/** Between SIGTERM and SIGKILL; and as long again for a child that not even that ends. */
const KILL_AFTER_MS = 2000;
/** Its group is looked at so often, once the command itself has been ended. */
const GONE_POLL_MS = 20;

const environment = (): Record<string, string> => ({
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  LC_ALL: 'C.UTF-8',
  HOME: homedir(),
});

const signalGroup = (child: ChildProcess, signal: NodeJS.Signals): void => {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, signal);
  } catch {
    // Nobody of the group is left.
  }
};

/**
 * Keeps the end of the output. A command may leave the application running behind it with this pipe as its output:
 * so it is read to its end, however late, never closed, and does not keep us alive.
 */
const keepTail = (streams: (Readable | null)[]): (() => string) => {
  let tail = '';
  for (const stream of streams) {
    stream?.on('data', (chunk: Buffer) => {
      tail = (tail + chunk.toString('utf8')).slice(-TAIL_CHARS);
    });
    stream?.on('error', () => undefined);
    (stream as (Readable & { unref?: () => void }) | null)?.unref?.();
  }
  return () => plainText(tail);
};

/** Keeps the beginning of the output, for those that read what a program answers. */
const keepOutput = (stream: Readable | null): (() => string) => {
  let text = '';
  stream?.on('data', (chunk: Buffer) => {
    if (text.length < MOST_OUTPUT_CHARS) text = (text + chunk.toString('utf8')).slice(0, MOST_OUTPUT_CHARS);
  });
  return () => text;
};

/** Ends the whole group: SIGTERM, then SIGKILL, and at last left behind (a process in D state cannot be ended). Returns what cancels. */
const endGroup = (clock: Clock, child: ChildProcess, killed: () => void, leftBehind: () => void): (() => void) => {
  signalGroup(child, 'SIGTERM');
  let cancel = clock.after(KILL_AFTER_MS, () => {
    signalGroup(child, 'SIGKILL');
    cancel = clock.after(KILL_AFTER_MS, leftBehind);
    killed();
  });
  return () => cancel();
};

const start = ([program, ...args]: readonly [string, ...string[]]): ChildProcess =>
  spawn(program, args, { cwd: '/', detached: true, env: environment(), shell: false, stdio: ['ignore', 'pipe', 'pipe'] });

/** Some refusals of the kernel (no memory, a busy program, too long arguments) spawn throws instead of telling them by an event. */
const neverStarted = (error: unknown): CommandResult => ({
  ok: false,
  code: null,
  timedOut: false,
  ms: 0,
  tail: errorText(error),
  stdout: '',
});

/**
 * Never rejects.
 * @param clock for deadlines, which a freeze of the guest does not use up
 * @param watch is told of each group that begins and ends, so that it can be ended when this process no longer can do it
 */
export const commandRunner =
  (clock: Clock, watch: (group: number, runs: boolean) => void = () => undefined): RunCommand =>
  (argv, { timeoutMs, signal }) =>
    new Promise<CommandResult>((resolve) => {
      const started = clock.monotonic();
      const child = start(argv);
      const tell = (runs: boolean) => child.pid !== undefined && watch(child.pid, runs);
      tell(true);
      const tail = keepTail([child.stdout, child.stderr]);
      const stdout = keepOutput(child.stdout);
      let timedOut = false;
      let exited = false;
      let settled = false;
      let cancelEnd: (() => void) | null = null;

      const settle = (code: number | null, why?: string) => {
        if (settled) return;
        settled = true;
        cancelTimer();
        cancelEnd?.();
        signal?.removeEventListener('abort', end);
        tell(false);
        const ok = code === 0 && cancelEnd === null;
        const ms = Math.round(clock.monotonic() - started);
        resolve({ ok, code, timedOut, ms, tail: why ?? tail(), stdout: stdout() });
      };
      const end = () => {
        if (exited || cancelEnd !== null) return;
        const killed = () => exited && settle(null);
        cancelEnd = endGroup(clock, child, killed, () => settle(null));
      };
      const cancelTimer = afterAwake(clock, timeoutMs, () => {
        timedOut = !exited;
        end();
      });
      child.once('error', (error) => settle(null, plainText(error.message)));
      child.once('exit', (code) => {
        exited = true;
        if (cancelEnd === null) drain(code);
        else void whenGroupGone();
      });
      /** Of those that the signal reached, the others may need a moment longer than the first. */
      const whenGroupGone = async () => {
        while (!settled && !(await isGroupGone(child.pid as number))) await sleep(clock, GONE_POLL_MS);
        settle(null);
      };
      /** It has ended by itself: its output is read to the end, or for as long as is decent. */
      const drain = (code: number | null) => {
        const cancel = clock.after(DRAIN_MS, () => settle(code));
        child.once('close', () => {
          cancel();
          settle(code);
        });
      };
      if (signal?.aborted) end();
      else signal?.addEventListener('abort', end, { once: true });
    }).catch(neverStarted);
