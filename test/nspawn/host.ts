/**
 * A guest with systemd as its first process: this machine's own root under an overlay, in systemd-nspawn(1), with a target that
 * starts nothing of this machine. All that is written in it is in memory, and gone with it.
 */
import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { makeCgroup } from './cgroup.ts';

const PROJECT = join(import.meta.dirname, '../..');
const NSPAWN = '/usr/bin/systemd-nspawn';
const NEEDED = [NSPAWN, '/usr/bin/nsenter', '/lib/systemd/systemd', '/usr/bin/systemctl'];
const TARGET = `[Unit]
Description=nothing but what a test starts
Requires=sysinit.target
After=sysinit.target
AllowIsolate=yes
`;

export interface Output {
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface NspawnHost {
  /** Where files of the guest lie for us: `${root}/etc/…`; what is in memory inside (/run, /tmp) is not there. */
  root: string;
  /** The guest's first process, as this machine numbers it. */
  pid(): number;
  /** The same command, run in the guest. */
  enter(argv: readonly string[]): [string, ...string[]];
  /** Runs it in the guest to its end, whatever that is. */
  try(...argv: string[]): Promise<Output>;
  /** The same, and rejects where it fails. */
  run(...argv: string[]): Promise<string>;
  /** Writes a file of the guest, whether it runs or not. */
  write(path: string, text: string, mode?: number): void;
  /** In order; returns when it has ended. */
  powerOff(): Promise<void>;
  /** All at once, as a power cut does. */
  cutPower(): Promise<void>;
  boot(): Promise<void>;
  /** Ends it and takes everything away. Safe to call twice. */
  close(): Promise<void>;
}

const ask = (argv: readonly [string, ...string[]], timeoutMs = 60_000): Promise<Output> =>
  new Promise((resolve) => {
    const [program, ...args] = argv;
    execFile(program, args, { encoding: 'utf8', timeout: timeoutMs, killSignal: 'SIGKILL' }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : typeof error.code === 'number' ? error.code : null, stdout, stderr });
    });
  });
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** The first child of a process, which /proc/<pid>/task/<pid>/children tells only some kernels. */
const childOf = (parent: number): number | undefined =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .find((pid) => {
      try {
        const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
        return Number(text.slice(text.lastIndexOf(')') + 2).split(' ')[1]) === parent;
      } catch {
        return false;
      }
    });

const makeRoot = (directory: string): { root: string; undo: () => void } => {
  const undo: (() => void)[] = [];
  const mount = (...args: string[]) => {
    execFileSync('/bin/mount', args, { stdio: 'pipe' });
    undo.unshift(() => execFileSync('/bin/umount', [args.at(-1) ?? ''], { stdio: 'pipe' }));
  };
  const undoAll = (): void => {
    for (const step of undo.splice(0)) step();
  };
  try {
    mount('-t', 'tmpfs', '-o', 'size=1g,mode=0755', 'felhom-test', directory);
    for (const name of ['upper', 'work', 'root']) mkdirSync(join(directory, name));
    const root = join(directory, 'root');
    mount('-t', 'overlay', '-o', `lowerdir=/,upperdir=${directory}/upper,workdir=${directory}/work`, 'overlay', root);
    const etc = join(root, 'etc');
    writeFileSync(join(etc, 'machine-id'), '0123456789abcdef0123456789abcdef\n');
    writeFileSync(join(etc, 'fstab'), '');
    const units = join(etc, 'systemd/system');
    mkdirSync(units, { recursive: true });
    // What this machine has enabled is not started: no unit of its own, whatever the test's target pulls in.
    for (const name of readdirSync(units))
      if (/\.(wants|requires|upholds)$/.test(name)) rmSync(join(units, name), { recursive: true });
    writeFileSync(join(units, 'felhom-test.target'), TARGET);
    if (!existsSync(join(root, 'usr/bin/node'))) execFileSync('/bin/cp', [process.execPath, join(root, 'usr/bin/node')]);
    return { root, undo: undoAll };
  } catch (error) {
    undoAll();
    throw error;
  }
};

/** Why there can be no such guest here, as a skipped test says it; null: there can. */
export const lacks = (): string | null => {
  if (process.getuid?.() !== 0) return 'root';
  const missing = NEEDED.find((path) => !existsSync(path));
  if (missing !== undefined) return missing;
  const cgroup = makeCgroup(`felhom-probe-${process.pid}`);
  if (cgroup === null) return 'control groups of its own';
  void cgroup.remove();
  const directory = mkdtempSync(join(tmpdir(), 'felhom-nspawn-'));
  try {
    makeRoot(directory).undo();
    return null;
  } catch {
    return 'an overlay of its own root';
  } finally {
    rmdirSync(directory);
  }
};

/** Boots it; rejects, with everything taken away again, where it does not come up. @param options more of systemd-nspawn(1) */
export const bootHost = async (options: readonly string[] = []): Promise<NspawnHost> => {
  const directory = mkdtempSync(join(tmpdir(), 'felhom-nspawn-'));
  const name = `felhom-${process.pid}-${directory.slice(-6).replace(/[^A-Za-z0-9]/g, '0')}`;
  const cgroup = makeCgroup(name);
  if (cgroup === null) throw new Error('no control group could be made');
  const { root, undo } = makeRoot(directory);
  let nspawn: ChildProcess | null = null;
  let ended: Promise<unknown> = Promise.resolve();
  let first = 0;
  let console_ = '';

  const enter = (argv: readonly string[]): [string, ...string[]] => {
    if (first === 0) throw new Error('the guest does not run');
    return ['/usr/bin/nsenter', '-t', String(first), '-m', '-u', '-i', '-n', '-p', '--', ...argv];
  };
  const tryRun = (...argv: string[]) => ask(enter(argv));
  const run = async (...argv: string[]): Promise<string> => {
    const { code, stdout, stderr } = await tryRun(...argv);
    if (code !== 0) throw new Error(`${argv.join(' ')} ended with ${code}: ${stderr || stdout}`);
    return stdout;
  };

  const boot = async (): Promise<void> => {
    const args = ['-q', '--register=no', '--keep-unit', '-D', root, `--machine=${name}`, '--private-network'];
    const seen = [...args, ...options, `--bind-ro=${PROJECT}`, '-b', '--console=pipe', 'systemd.unit=felhom-test.target'];
    // It moves into the group itself, so that nothing that it starts can be elsewhere.
    const enterGroups = cgroup.directories.map((path) => `echo $$ > '${path}/cgroup.procs'`).join('; ');
    const child = spawn('/bin/sh', ['-c', `${enterGroups}; exec ${NSPAWN} "$@"`, 'sh', ...seen], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    nspawn = child;
    ended = new Promise((resolve) => child.once('exit', resolve));
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        console_ = (console_ + text).slice(-4000);
      });
    const deadline = performance.now() + 30_000;
    while (performance.now() < deadline && child.exitCode === null) {
      first = childOf(child.pid ?? 0) ?? 0;
      const state = first === 0 ? '' : (await ask(enter(['/usr/bin/systemctl', 'is-system-running']), 5000)).stdout.trim();
      if (state === 'running' || state === 'degraded') return;
      await pause(30);
    }
    throw new Error(`the guest did not boot: ${console_}`);
  };
  const cutPower = async (): Promise<void> => {
    first = 0;
    await cgroup.kill();
    await ended;
    nspawn = null;
  };
  const powerOff = async (): Promise<void> => {
    if (nspawn === null) return;
    await tryRun('/usr/bin/systemctl', 'poweroff');
    const late = setTimeout(() => void cutPower(), 60_000);
    await ended;
    clearTimeout(late);
    first = 0;
    nspawn = null;
  };
  let closed: Promise<void> | null = null;
  const takeAway = async (): Promise<void> => {
    if (nspawn !== null) await cutPower();
    await cgroup.remove();
    undo();
    rmdirSync(directory);
  };
  const close = (): Promise<void> => {
    closed ??= takeAway();
    return closed;
  };
  const write = (path: string, text: string, mode = 0o644): void => {
    const at = join(root, path);
    mkdirSync(dirname(at), { recursive: true });
    writeFileSync(at, text, { mode });
  };

  try {
    await boot();
  } catch (error) {
    await close();
    throw error;
  }
  return { root, pid: () => first, enter, try: tryRun, run, write, powerOff, cutPower, boot, close };
};
