/** Starts drive-format, which outlives the agent: in a scope of systemd's where that is PID 1, else as a process group of its own. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { access, constants, mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Clock, waitAtMost } from '#shared/clock';
import { MAKERS, whatIsMissing } from '../drive-format/filesystems.ts';
import {
  type FormatFailure,
  type FormatLine,
  type FormatOrder,
  type FormatState,
  PHASES,
  type Phase,
} from '../drive-format/protocol.ts';
import { readBootId } from './boot-id.ts';
import { commandOf } from './own-program.ts';
import { isProcessThere } from './process-start.ts';

export type { FormatFailure, FormatOrder, FormatState, Phase } from '../drive-format/protocol.ts';

/** A drive could not be had; nothing was written. For the log, never for a customer. */
export class DriveFormatError extends Error {
  override readonly name = 'DriveFormatError';
  /** `hung`: no answer in time; the process may still be there, and writes nothing when it wakes up. */
  readonly code: FormatFailure | 'hung';

  constructor(device: string, code: DriveFormatError['code'], why: string) {
    super(`drive-format ${device}: ${code}: ${why}`);
    this.code = code;
  }
}

/** It has the drive and has written nothing. */
export interface HeldDrive {
  /** Of the process: whoever looks for users of the drive leaves it out. */
  pid: number;
  /**
   * Lets it begin; resolves when its state file says so, or when it has not been heard of in time. From then on only that file tells.
   * Rejects (DriveFormatError): nothing was written.
   */
  go(): Promise<void>;
  /** Ends it; nothing was written. Does nothing once it was let begin. */
  letGo(): Promise<void>;
}

export interface DriveFormat {
  /** Rejects (DriveFormatError) where the drive cannot be had, or is not the one that is meant. */
  hold(order: Omit<FormatOrder, 'stateFile'>): Promise<HeldDrive>;
  /**
   * What the state file of a job says, and whether its process is there; null: it was never made. One that cannot be understood is a job
   * that has ended without an outcome, and may have written.
   */
  state(jobId: string): Promise<{ state: FormatState; alive: boolean } | null>;
  /** The file of a job whose end is recorded elsewhere. */
  forget(jobId: string): Promise<void>;
  /** Why this host cannot make one of these; empty where it can: `mkfs.xfs is not installed (package xfsprogs).` */
  missing(fstype: FormatOrder['fstype']): Promise<string>;
  /** Bytes that a drive must have at least. */
  minBytes(fstype: FormatOrder['fstype']): number;
}

export interface DriveFormatOptions {
  clock: Clock;
  /** The agent's; the files are in `formats` below it. */
  stateDir: string;
  /** Whether systemd is PID 1 (`systemdRuns`). */
  byScope: boolean;
  /** What starts the program; only tests name another. */
  program?: readonly string[];
  /** How long it may take to have the drive. Default 20 s: 10 s of them are for the drive's lock. */
  holdMs?: number;
  /** How long it is waited for when it was let begin. */
  beginMs?: number;
}

const HOLD_MS = 20_000;
/** It has to write to the host's own disk before it says so. Whoever waits for it keeps all others waiting. */
const BEGIN_MS = 10_000;
const LETTING_GO_MS = 2_000;
const MAX_WORDS = 2_000;

/** systemd-run(1), --scope: starts it as a child of ours with our standard streams, and systemd does not end it with the agent's service. */
const inScope = (jobId: string): string[] => [
  ...['/usr/bin/systemd-run', '--scope', '--quiet', '--collect', '--no-ask-password'],
  ...[`--unit=felhom-format-${jobId}`, '--'],
];

/** Part of a file's and of a unit's name. */
const assertName = (jobId: string): string => {
  if (!/^[A-Za-z0-9][A-Za-z0-9-]{0,99}$/.test(jobId)) throw new Error('a job id that is none');
  return jobId;
};

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
};

const outcomeIn = (value: unknown): FormatState['outcome'] => {
  if (!isRecord(value)) return null;
  const { ok, uuid, partition, code, why } = value;
  if (ok === true && typeof uuid === 'string' && typeof partition === 'string') return { ok, uuid, partition };
  return ok === false && typeof code === 'string' && typeof why === 'string' ? { ok, code: code as FormatFailure, why } : null;
};

const isPhase = (value: unknown): value is Phase => (PHASES as readonly unknown[]).includes(value);

/** Of what cannot be understood: nobody's process, and it may have written. */
const UNKNOWN = { pid: 0, startTime: '', bootId: '', phase: 'wiping', outcome: null } as const;

const stateIn = (jobId: string, text: string): FormatState => {
  const value = parsed(text);
  if (!isRecord(value) || value.jobId !== jobId || !isPhase(value.phase)) return { jobId, ...UNKNOWN };
  const { pid, startTime, bootId, phase } = value;
  if (!Number.isInteger(pid) || typeof startTime !== 'string' || typeof bootId !== 'string') return { jobId, ...UNKNOWN };
  return { jobId, pid: Number(pid), startTime, bootId, phase, outcome: outcomeIn(value.outcome) };
};

const isMissing = (error: unknown): boolean => error instanceof Error && 'code' in error && error.code === 'ENOENT';

type Child = ChildProcessWithoutNullStreams;

/** Its whole process group. Only ever before `go`. */
const kill = (child: Child): void => {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
  } catch {
    // It has ended.
  }
};

/** What it says: each line as it comes, and its end. */
interface Talk {
  /** The next line; a failure where it ends without one. */
  next(): Promise<FormatLine>;
  ended: Promise<void>;
}

const talkOf = (child: Child): Talk => {
  const lines: FormatLine[] = [];
  let rest = '';
  let words = '';
  let told = () => {};
  let isOver = false;
  const ended = new Promise<void>((resolve) => {
    const over = (why: string): void => {
      if (!isOver) lines.push({ failed: { code: 'internal', why: `${why}: ${words.trim()}` } });
      isOver = true;
      told();
      resolve();
    };
    child.once('close', (exit, signal) => over(`ended with ${signal ?? exit}`));
    child.once('error', (error) => over(String(error)));
  });
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const whole = (rest + text).split('\n');
    rest = (whole.pop() ?? '').slice(0, MAX_WORDS);
    lines.push(...whole.map(parsed).filter((line): line is FormatLine => isRecord(line)));
    told();
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    words = (words + text).slice(0, MAX_WORDS);
  });
  return {
    ended,
    next: async () => {
      while (lines.length === 0) await new Promise<void>((resolve) => (told = resolve));
      return lines.shift() as FormatLine;
    },
  };
};

const failureIn = (device: string, line: FormatLine): DriveFormatError => {
  const { code, why } = 'failed' in line ? line.failed : { code: 'internal' as const, why: 'it said something else' };
  return new DriveFormatError(device, code, why);
};

/** From here on it is nobody's: it goes on when the agent ends. */
const leaveAlone = (child: Child): void => {
  for (const stream of [child.stdin, child.stdout, child.stderr]) stream.destroy();
  child.unref();
};

const isExecutable = (path: string): Promise<boolean> =>
  access(path, constants.X_OK).then(
    () => true,
    () => false,
  );

export const createDriveFormat = ({
  clock,
  stateDir,
  byScope,
  program = commandOf('drive-format'),
  holdMs = HOLD_MS,
  beginMs = BEGIN_MS,
}: DriveFormatOptions): DriveFormat => {
  const directory = join(stateDir, 'formats');
  const fileOf = (jobId: string): string => join(directory, `${assertName(jobId)}.json`);
  /** Devices of which one that was given up is still there: none is started beside it. */
  const stuck = new Set<string>();

  const read = async (jobId: string): Promise<FormatState | null> => {
    try {
      return stateIn(jobId, await readFile(fileOf(jobId), 'utf8'));
    } catch (error) {
      if (isMissing(error)) return null;
      throw error;
    }
  };

  const isThere = async ({ pid, startTime, bootId }: FormatState): Promise<boolean> =>
    bootId === (await readBootId()) && (await isProcessThere(pid, startTime));

  const state: DriveFormat['state'] = async (jobId) => {
    const found = await read(jobId);
    if (found === null) return null;
    if (await isThere(found)) return { state: found, alive: true };
    // It may have written its outcome and ended between the two looks.
    const last = await read(jobId);
    return last === null ? null : { state: last, alive: false };
  };

  const start = async (order: Omit<FormatOrder, 'stateFile'>): Promise<Child> => {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const { jobId } = order;
    const whole: FormatOrder = { ...order, stateFile: fileOf(jobId) };
    const [path = '', ...args] = [...(byScope ? inScope(jobId) : []), ...program, JSON.stringify(whole)];
    // The second variable tells it from what the agent runs to look at drives (drive-check, users.ts): for others it is a user of the drive.
    return spawn(path, args, {
      cwd: '/',
      env: { LC_ALL: 'C', FELHOM_FORMAT: jobId },
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true,
    });
  };

  /** A child that hangs in the kernel does not die: it is left behind. It never hears `go`. */
  const giveUp = (device: string, child: Child): void => {
    kill(child);
    stuck.add(device);
    child.once('exit', () => stuck.delete(device));
    leaveAlone(child);
  };

  /** Null: it said nothing in time. */
  const nextWithin = async (talk: Talk, ms: number): Promise<FormatLine | null> => {
    const heard: FormatLine[] = [];
    await waitAtMost(
      clock,
      ms,
      talk.next().then((line) => {
        heard.push(line);
      }),
    );
    return heard[0] ?? null;
  };

  const letGo = async (child: Child, talk: Talk): Promise<void> => {
    child.stdin.end();
    await waitAtMost(clock, LETTING_GO_MS, talk.ended);
    kill(child);
    await waitAtMost(clock, LETTING_GO_MS, talk.ended);
  };

  const go = async ({ jobId, device }: Omit<FormatOrder, 'stateFile'>, child: Child, talk: Talk): Promise<void> => {
    child.stdin.write('go\n');
    const line = await nextWithin(talk, beginMs);
    // Ended by force, it may have begun without having said so: its file knows.
    const begun = line === null || 'begun' in line || ((await read(jobId))?.phase ?? 'holding') !== 'holding';
    leaveAlone(child);
    if (!begun) throw failureIn(device, line);
  };

  return {
    hold: async (order) => {
      const { device } = order;
      if (stuck.has(device)) throw new DriveFormatError(device, 'hung', 'an earlier one still hangs');
      const child = await start(order);
      child.stdin.on('error', () => {
        // It has ended; `ended` says so.
      });
      const talk = talkOf(child);
      const answer = await nextWithin(talk, holdMs);
      if (answer === null) {
        giveUp(device, child);
        throw new DriveFormatError(device, 'hung', `no answer within ${holdMs / 1000} s`);
      }
      if (!('held' in answer) || child.pid === undefined) {
        await letGo(child, talk);
        throw failureIn(device, answer);
      }
      let isLetBegin = false;
      return {
        pid: child.pid,
        go: () => {
          isLetBegin = true;
          return go(order, child, talk);
        },
        letGo: async () => {
          if (!isLetBegin) await letGo(child, talk);
        },
      };
    },
    state,
    forget: async (jobId) => {
      await rm(fileOf(jobId), { force: true });
    },
    missing: (fstype) => whatIsMissing(fstype, isExecutable),
    minBytes: (fstype) => MAKERS[fstype].minDriveBytes,
  };
};
