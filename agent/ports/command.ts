/** Programs of the host: absolute path, no shell, empty environment, a deadline, bounded output, one entry each. */
import { spawn } from 'node:child_process';

export interface Program {
  path: string;
  timeoutMs: number;
  /** Exit statuses whose output is whole; 0 only unless told. */
  accepts?: (exit: number) => boolean;
}

const PROGRAMS = {
  // statfs(2) in a child: a hung mount stops only this child. coreutils, stat(1).
  stat: { path: '/usr/bin/stat', timeoutMs: 2_500 },
  // Opens /dev/zfs, never a drive. zfs-list(8).
  zfs: { path: '/usr/sbin/zfs', timeoutMs: 2_500 },
  // syncfs(2) of the file system a path lies on; may take as long as its drive. sync(1).
  sync: { path: '/usr/bin/sync', timeoutMs: 120_000 },
  // Where a path leads, through every link; it may hang with its drive, and then only this child does. realpath(1).
  realpath: { path: '/usr/bin/realpath', timeoutMs: 2_500 },
  // Reads what the kernel knows; `--noflush` keeps it from committing a pool's metadata. dmsetup(8).
  dmsetup: { path: '/usr/sbin/dmsetup', timeoutMs: 5_000 },
  // Runs a program while it holds a lock; with `-n` it gives up at once with exit status 1. flock(1).
  flock: { path: '/usr/bin/flock', timeoutMs: 60_000 },
  // Only ever below a backup storage's dump directory. rm(1).
  rm: { path: '/usr/bin/rm', timeoutMs: 600_000 },
  // Only at its own mount points, and where `ops prepare` takes a backup drive out of use. A journal may be replayed, a cache written
  // out; mount(8), umount(8).
  mount: { path: '/usr/bin/mount', timeoutMs: 120_000 },
  umount: { path: '/usr/bin/umount', timeoutMs: 120_000 },
  // Our own mount units. `start` and `stop` wait for mount(8) and umount(8). systemctl(1).
  systemctl: { path: '/usr/bin/systemctl', timeoutMs: 150_000 },
  // Runs umount(8) as the host's first process sees mounts, whatever the agent's own namespace is. systemd-run(1).
  systemdRun: { path: '/usr/bin/systemd-run', timeoutMs: 60_000 },
  // Has rules read again and one device looked at anew. udevadm(8).
  udevadm: { path: '/usr/bin/udevadm', timeoutMs: 30_000 },
  // The flag of a directory that nothing can be written into. chattr(1), lsattr(1).
  chattr: { path: '/usr/bin/chattr', timeoutMs: 5_000 },
  lsattr: { path: '/usr/bin/lsattr', timeoutMs: 5_000 },
  // Of the root directory of a file system just mounted: its drive has to answer. chown(1).
  chown: { path: '/usr/bin/chown', timeoutMs: 20_000 },
  // The exit status is a bit mask that describes the drive; the JSON on stdout is whole with any of them. smartctl(8), EXIT STATUS.
  smartctl: { path: '/usr/sbin/smartctl', timeoutMs: 30_000, accepts: () => true },
  // Asks systemd's timedated, which asks the kernel. timedatectl(1).
  timedatectl: { path: '/usr/bin/timedatectl', timeoutMs: 10_000 },
  // Both load all of Proxmox's modules first: seconds on a small host. pvesh(1), qm(1).
  pvesh: { path: '/usr/bin/pvesh', timeoutMs: 60_000 },
  qm: { path: '/usr/sbin/qm', timeoutMs: 60_000 },
  // Reads the labels of the devices it is told, and no others. pvs(8).
  pvs: { path: '/usr/sbin/pvs', timeoutMs: 2_500 },
  // Asks the kernel of its imported pools; no drive is read. zpool(8).
  zpool: { path: '/usr/sbin/zpool', timeoutMs: 2_500 },
  // Reads the places where signatures lie: 0 found, 2 nothing (or not readable, without a word), 8 several that exclude each other. blkid(8).
  blkid: { path: '/usr/sbin/blkid', timeoutMs: 10_000, accepts: (exit) => exit === 0 || exit === 2 || exit === 8 },
  // Only ever with `-n`: lists signatures, writes nothing. wipefs(8).
  wipefs: { path: '/usr/sbin/wipefs', timeoutMs: 10_000 },
  // Only ever with `--json`: reads the partition table, writes nothing. sfdisk(8).
  sfdisk: { path: '/usr/sbin/sfdisk', timeoutMs: 10_000 },
  // Only ever to /dev/null: whether a piece of a drive can be read. dd(1).
  dd: { path: '/usr/bin/dd', timeoutMs: 10_000 },
} as const satisfies Record<string, Program>;

const MAX_OUTPUT_BYTES = 1 << 20;

/** What went wrong with a program; for the log, never for a customer. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
  /** `stuck`: an earlier call with the same arguments still runs, killed or not; none is started beside it. */
  readonly reason: 'start' | 'exit' | 'timeout' | 'output' | 'stuck';
  readonly exit: number | null;

  constructor(program: string, reason: CommandError['reason'], detail = '', exit: number | null = null) {
    super(`${program}: ${reason}${detail === '' ? '' : `: ${detail.slice(0, 2000)}`}`);
    this.reason = reason;
    this.exit = exit;
  }
}

/** All that an accepted end of a program tells. */
export interface Outcome {
  exit: number;
  stdout: string;
  stderr: string;
}

type Run<Name extends string, T> = (name: Name, args: readonly string[], timeoutMs?: number) => Promise<T>;

/** It ran into its deadline, or an earlier call still has not ended. */
export const isLate = (error: unknown): boolean =>
  error instanceof CommandError && (error.reason === 'timeout' || error.reason === 'stuck');

/** Resolves to what the program wrote on stdout. The deadline is the table's unless a shorter one is given. */
export type RunCommand<Name extends string = keyof typeof PROGRAMS> = Run<Name, string>;
/** The same, for programs whose exit status or stderr says more. */
export type RunForOutcome<Name extends string = keyof typeof PROGRAMS> = Run<Name, Outcome>;

/** Gathers a stream; calls `full` once when it holds more than the bound. */
const gather = (stream: NodeJS.ReadableStream, full: () => void) => {
  const chunks: Buffer[] = [];
  let bytes = 0;
  stream.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes <= MAX_OUTPUT_BYTES) chunks.push(chunk);
    else full();
  });
  return () => Buffer.concat(chunks).toString('utf8');
};

interface Life {
  started: () => void;
  ended: () => void;
}

const start = ({ path, timeoutMs, accepts = (exit) => exit === 0 }: Program, args: readonly string[], life: Life) =>
  new Promise<Outcome>((resolve, reject) => {
    const child = spawn(path, args, { shell: false, cwd: '/', env: { LC_ALL: 'C' }, stdio: ['ignore', 'pipe', 'pipe'] });
    life.started();
    /** A child in D state does not die: it is let go, so that nothing here waits for it. */
    const abandon = (reason: 'timeout' | 'output') => {
      child.kill('SIGKILL');
      child.stdout.destroy();
      child.stderr.destroy();
      child.unref();
      clearTimeout(timer);
      reject(new CommandError(path, reason));
    };
    const timer = setTimeout(() => abandon('timeout'), timeoutMs);
    const stdout = gather(child.stdout, () => abandon('output'));
    const stderr = gather(child.stderr, () => abandon('output'));
    child.once('exit', life.ended);
    child.once('error', (error) => {
      clearTimeout(timer);
      if (child.pid === undefined) life.ended();
      reject(new CommandError(path, 'start', error.message));
    });
    child.once('close', (exit, signal) => {
      clearTimeout(timer);
      if (exit !== null && accepts(exit)) resolve({ exit, stdout: stdout(), stderr: stderr() });
      else reject(new CommandError(path, 'exit', `${signal ?? exit} ${stderr()}`, exit));
    });
  });

/** One child at a time per program and arguments, so that at most one is ever left behind. */
export const outcomesFrom = <const Table extends Record<string, Program>>(
  programs: Table,
): RunForOutcome<keyof Table & string> => {
  const running = new Set<string>();
  return async (name, args, timeoutMs) => {
    const known = programs[name] as Program;
    const program = { ...known, timeoutMs: Math.min(known.timeoutMs, timeoutMs ?? known.timeoutMs) };
    const key = JSON.stringify([name, args]);
    if (running.has(key)) throw new CommandError(program.path, 'stuck');
    return start(program, args, { started: () => running.add(key), ended: () => running.delete(key) });
  };
};

const textOf =
  <Name extends string>(run: RunForOutcome<Name>): RunCommand<Name> =>
  async (...call) =>
    (await run(...call)).stdout;

export const commandsFrom = <const Table extends Record<string, Program>>(programs: Table): RunCommand<keyof Table & string> =>
  textOf(outcomesFrom(programs));

export const runForOutcome: RunForOutcome = outcomesFrom(PROGRAMS);
export const runCommand: RunCommand = textOf(runForOutcome);
