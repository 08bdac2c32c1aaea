/** Touches drives and asks who uses them, each time in a process of its own (agent/drive-check): a drive that hangs stops only that one. */
import { type Clock, waitAtMost } from '#shared/clock';
import type { DeviceUser, Found, Line, Zeros } from '../drive-check/protocol.ts';
import { AT_IDLE, commandOf, type Running, startProgram } from './own-program.ts';

export type { DeviceUser, Found, Zeros } from '../drive-check/protocol.ts';

/** A drive could not be touched; for the log, never for a customer. */
export class DriveCheckError extends Error {
  override readonly name = 'DriveCheckError';
  /**
   * `failed`: the drive or the kernel said so. `hung`: no answer in time, the process may still be there. `stuck`: an earlier one is
   * still there, none is started beside it. `stopped`: by the caller.
   */
  readonly reason: 'failed' | 'hung' | 'stuck' | 'stopped';
  /** The system's, such as `EIO`; empty where it has none. */
  readonly code: string;

  constructor(what: string, reason: DriveCheckError['reason'], why: string, code = '') {
    super(`${what}: ${why}`);
    this.reason = reason;
    this.code = code;
  }
}

export interface ReadWhole {
  signal: AbortSignal;
  /** Bytes from the start that have been read and are zero. */
  onProgress: (bytes: number) => void;
  /** Where an earlier reading stopped; a multiple of 1 MiB. Default 0. */
  from?: number;
}

/** Everything rejects with DriveCheckError only. */
export interface DriveCheck {
  /** Whether a whole drive (or partition) could be opened for this process alone. It is closed again at once. */
  exclusive(device: string): Promise<'free' | 'busy'>;
  /** Everything that was written is on the medium, and the kernel keeps nothing of it. */
  flush(device: string): Promise<void>;
  /** Looks into the root of a file system that is not mounted. Nothing is written, no journal is replayed, nobody else sees it. */
  look(device: string, fstype: string): Promise<{ found: Found }>;
  /**
   * The same look by a mount of its whole tree that is there.
   * @param numbers of the file system as mountinfo has them, `8:17`: another one at that place is a failure
   * @param pid a process that sees it; left out: this one does
   */
  lookAt(point: string, numbers: string, pid?: number): Promise<{ found: Found }>;
  /** Reads until the first byte that is not zero, or to the end, past the page cache and at idle priority. */
  zeros(device: string, sizeBytes: number, options: ReadWhole): Promise<Zeros>;
  /**
   * Who has one of these block devices open, or anything in a file system of one of these numbers, in any mount namespace; no file
   * system is touched. Processes of the agent's own that touch drives are left out.
   * @param numbers `8:16` of drives, partitions and file systems; a btrfs has numbers of its own, `0:47`
   * @param mountIds of mounts whose users are to be told too
   * @param except processes that are left out: the one that holds the drive for whoever asks
   */
  users(numbers: readonly string[], mountIds?: readonly string[], except?: readonly number[]): Promise<DeviceUser[]>;
}

export interface DriveCheckOptions {
  clock: Clock;
  /** What starts the program; only tests name another. */
  program?: readonly string[];
  /** Deadlines; a reading of the whole drive has one for each piece. */
  timeoutMs?: Partial<typeof TIMEOUT_MS>;
}

const DYING_MS = 500;

/** The first three within what a customer's call may take; a look may have to wait for a drive that wakes up. */
const TIMEOUT_MS = {
  exclusive: 8_000,
  flush: 8_000,
  users: 8_000,
  look: 20_000,
  'look-at': 20_000,
  zeros: 120_000,
  writable: 8_000,
};

/**
 * A mount namespace of its own, for the time of the look. What the host unmounts meanwhile goes from it too (`slave`), so that a look
 * which hangs keeps no other drive busy. unshare(1), mount_namespaces(7).
 */
const UNSEEN = ['/usr/bin/unshare', '--mount', '--propagation', 'slave'];

type Verb = keyof typeof TIMEOUT_MS;

interface Ask<T> {
  verb: Verb;
  args: readonly string[];
  wrapper?: readonly string[];
  signal?: AbortSignal;
  /** Gives the answer at the line that holds it. */
  take: (line: Line) => T | undefined;
  /** Called when it is really gone, where it gave no answer. */
  clearUp?: () => void;
}

const isLine = (value: unknown): value is Line => typeof value === 'object' && value !== null;

export const createDriveCheck = ({
  clock,
  program = commandOf('drive-check'),
  timeoutMs = {},
}: DriveCheckOptions): DriveCheck => {
  const deadlines = { ...TIMEOUT_MS, ...timeoutMs };
  /** By what they touch: those that were let go and are still there. */
  const left = new Map<string, Promise<void>>();

  const remember = (subject: string, { gone }: Running): void => {
    left.set(subject, gone);
    void gone.then(() => left.delete(subject));
  };

  /** One that was stopped just now is gone in a moment, unless it hangs. */
  const isStuck = async (subject: string): Promise<boolean> => {
    await waitAtMost(clock, DYING_MS, left.get(subject) ?? Promise.resolve());
    return left.has(subject);
  };

  const ask = async <T>({ verb, args, wrapper = [], signal, take, clearUp }: Ask<T>): Promise<T> => {
    const [subject = ''] = args;
    const what = `drive-check ${verb} ${subject}`;
    if (left.has(subject) && (await isStuck(subject))) throw new DriveCheckError(what, 'stuck', 'an earlier one still hangs');
    const stop = new AbortController();
    let answer: { value: T } | null = null;
    let failure: { code: string; why: string } | null = null;
    const onLine = (line: unknown): void => {
      if (!isLine(line)) return;
      if ('failed' in line) failure = line.failed;
      const value = take(line);
      if (value !== undefined) answer = { value };
      // What comes after the answer is not waited for.
      if (value !== undefined || failure !== null) stop.abort();
    };
    const command = [...wrapper, ...program, verb, ...args];
    const running = startProgram(command, {
      clock,
      stallMs: deadlines[verb],
      signal: signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]),
      onLine,
    });
    const { how, words } = await running.ended;
    if (answer === null && failure === null && clearUp !== undefined) void running.gone.then(clearUp);
    if (answer !== null) return (answer as { value: T }).value;
    if (failure !== null) {
      const { code, why } = failure as { code: string; why: string };
      throw new DriveCheckError(what, 'failed', why, code);
    }
    if (how !== 'ended') remember(subject, running);
    throw new DriveCheckError(what, how === 'stalled' ? 'hung' : how === 'stopped' ? 'stopped' : 'failed', words);
  };

  const writable = (device: string) =>
    ask({ verb: 'writable', args: [device], take: (line) => ('writable' in line ? line.writable : undefined) });

  return {
    exclusive: (device) =>
      ask({ verb: 'exclusive', args: [device], take: (line) => ('exclusive' in line ? line.exclusive : undefined) }),

    flush: async (device) => {
      await ask({ verb: 'flush', args: [device], take: (line) => ('flushed' in line ? line.flushed : undefined) });
    },

    look: (device, fstype) => {
      let isReadOnly = false;
      return ask({
        verb: 'look',
        args: [device, fstype],
        wrapper: UNSEEN,
        take: (line) => {
          if ('readOnly' in line) isReadOnly = true;
          return 'found' in line ? { found: line.found } : undefined;
        },
        clearUp: () => {
          if (isReadOnly) void writable(device).catch(() => undefined);
        },
      });
    },

    lookAt: (point, numbers, pid) =>
      ask({
        verb: 'look-at',
        args: [point, numbers, pid === undefined ? 'self' : String(pid)],
        take: (line) => ('found' in line ? { found: line.found } : undefined),
      }),

    zeros: (device, sizeBytes, { signal, onProgress, from = 0 }) =>
      ask({
        verb: 'zeros',
        args: [device, String(sizeBytes), String(from)],
        wrapper: AT_IDLE,
        signal,
        take: (line) => {
          if ('readBytes' in line) onProgress(line.readBytes);
          return 'zeros' in line ? line.zeros : undefined;
        },
      }),

    users: async (numbers, mountIds = [], except = []) => {
      const users: DeviceUser[] = [];
      const args = [numbers.join(','), mountIds.join(','), String(process.pid), except.join(',')];
      return ask({
        verb: 'users',
        args,
        take: (line) => {
          if ('user' in line) users.push(line.user);
          return 'told' in line ? users : undefined;
        },
      });
    },
  };
};
