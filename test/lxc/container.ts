/**
 * A real container as Proxmox starts them: LXC, from a guest's configuration file, unprivileged where that says so. Its programs are
 * this machine's own /usr, read-only, so that there is no root file system to be made. Nothing of the machine is changed but control
 * groups, and they are taken away.
 */
import { execFile, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { chownSync, existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { mappedRootOf } from '#agent/guests/idmap';
import { parseMountinfo } from '#shared/mountinfo';

/** Why there can be no container here, as a skipped test says it; empty where there can be one. */
export const lxcMissing =
  process.getuid?.() !== 0
    ? 'containers need root'
    : existsSync('/usr/bin/lxc-start')
      ? ''
      : 'LXC is not installed (package lxc)';

export interface Output {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** A process in the container that goes on, and says `ready` first. */
export interface Held {
  /** As the host numbers it. */
  pid: number;
  end(): Promise<void>;
}

export interface Container {
  vmid: number;
  start(): Promise<void>;
  /** All at once. Safe to call when it does not run. */
  stop(): Promise<void>;
  /** As root of the container, to its end. */
  try(...argv: string[]): Promise<Output>;
  /** The same; rejects where it fails. */
  run(...argv: string[]): Promise<string>;
  /** A shell script that goes on in the container until it is ended; it must `echo ready` when it has begun. */
  hold(script: string): Promise<Held>;
}

/** A machine that is not this one: how its files are reached from here, and how a program is run there. */
export interface Machine {
  root: string;
  enter(argv: readonly string[]): [string, ...string[]];
}

export interface ContainerPlace {
  /** A directory for everything, which the containers' root can pass. */
  dir: string;
  /** The guest's configuration file, as Proxmox and the agent see it. Read at every start. */
  config: string;
  vmid: number;
  /** Where both are and the container runs; this machine unless told. */
  machine?: Machine;
}

/** LXC uses newuidmap where it finds it, and that wants /etc/subuid to be changed; as root it can do without. */
const ENV = { PATH: '/nonexistent', LC_ALL: 'C' };
const TIMEOUT_MS = 20_000;

const ask = ([program, ...args]: readonly [string, ...string[]]): Promise<Output> =>
  new Promise((resolve) => {
    execFile(program, args, { env: ENV, timeout: TIMEOUT_MS, killSignal: 'SIGKILL' }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : typeof error.code === 'number' ? error.code : null, stdout, stderr });
    });
  });

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

const cgroupMounts = (): string[] =>
  parseMountinfo(readFileSync('/proc/self/mountinfo', 'utf8'))
    .filter(({ fstype }) => fstype === 'cgroup' || fstype === 'cgroup2')
    .map(({ point }) => point);

/** Guests' numbers of this process, so that no two have the same on one machine: `lxc/<number>` is all that tells whose a process is. */
const FIRST = 100_000_000;
export const guestNumber = (which: number): number => FIRST + process.pid * 10 + which;

/** As Proxmox names them (pve-container:src/PVE/LXC.pm, update_lxc_config). */
const GROUPS = ['lxc', 'lxc.monitor', 'lxc.pivot'];

/** What the agent is told to look below (`root` of the port guest-cgroup): the containers' groups by their numbers. */
export const containerGroups = (): string => {
  const unified = parseMountinfo(readFileSync('/proc/self/mountinfo', 'utf8')).find(({ fstype }) => fstype === 'cgroup2');
  return join(unified?.point ?? '/sys/fs/cgroup', 'lxc');
};

const removeGroups = (path: string): void => {
  for (const entry of readdirSync(path, { withFileTypes: true })) if (entry.isDirectory()) removeGroups(join(path, entry.name));
  rmdirSync(path);
};

/** This process's, and those of processes that were killed, whose containers ended with them. */
const isToLeave = (name: string): boolean => {
  const pid = Math.floor((Number(name) - FIRST) / 10);
  return pid > 0 && (pid === process.pid || !existsSync(`/proc/${pid}`));
};

const leaveGroups = (above: string): void => {
  if (!existsSync(above)) return;
  const names = readdirSync(above, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []));
  for (const name of names) if (isToLeave(name)) removeGroups(join(above, name));
  if (names.every(isToLeave)) rmdirSync(above);
};

/** To be called when the last container has stopped. LXC's own process ends a little later than it says so. */
export const leaveNoGroups = async (): Promise<void> => {
  for (let tries = 0; ; tries += 1) {
    try {
      for (const point of cgroupMounts()) for (const group of GROUPS) leaveGroups(join(point, group));
      return;
    } catch (error) {
      if (tries > 200) throw error;
      await pause(20);
    }
  }
};

/** The raw keys of what is in force, as LXC's own file has them. */
const rawKeys = (config: string): string[] =>
  (config.split(/^\[/m)[0] ?? '').split('\n').flatMap((line) => {
    const [, key, value] = /^(lxc\.[a-z0-9_.-]+)(?::|\s*=)\s*(.*?)\s*$/.exec(line) ?? [];
    return key === undefined || key === 'lxc.idmap' ? [] : [`${key} = ${value}`];
  });

/** What Proxmox makes of it (pve-container:src/PVE/LXC.pm, update_lxc_config), as far as it goes without its own programs. */
const lxcConfig = (vmid: number, root: string, config: string): string => {
  const uid = mappedRootOf({ type: 'lxc', text: config })?.uid ?? 0;
  const maps = uid === 0 ? [] : [`lxc.idmap = u 0 ${uid} 65536`, `lxc.idmap = g 0 ${uid} 65536`];
  return [
    `lxc.uts.name = ct${vmid}`,
    `lxc.rootfs.path = dir:${root}`,
    ...maps,
    'lxc.apparmor.profile = unconfined',
    'lxc.mount.auto = proc:mixed sys:ro',
    'lxc.net.0.type = empty',
    'lxc.console.path = none',
    `lxc.cgroup.dir.container = lxc/${vmid}`,
    'lxc.cgroup.dir.container.inner = ns',
    `lxc.cgroup.dir.monitor = lxc.monitor/${vmid}`,
    `lxc.cgroup.dir.monitor.pivot = lxc.pivot/${vmid}`,
    'lxc.mount.entry = /usr usr none bind,ro 0 0',
    ...rawKeys(config),
    'lxc.init.cmd = /usr/bin/sleep infinity',
    '',
  ].join('\n');
};

const makeRoot = (root: string): void => {
  for (const name of ['', 'usr', 'proc', 'sys', 'dev', 'run', 'tmp', 'mnt', 'etc', 'root'])
    mkdirSync(join(root, name), { recursive: true });
  for (const name of ['bin', 'sbin', 'lib', 'lib64'])
    if (existsSync(`/usr/${name}`)) symlinkSync(`usr/${name}`, join(root, name));
};

/** Unmounted, the machine's /usr is an empty directory of it. */
const ownedBy = (path: string, uid: number): void => {
  for (const name of ['', ...readdirSync(path)]) if (!/^(s?bin|lib(64)?)$/.test(name)) chownSync(join(path, name), uid, uid);
};

export const makeContainer = ({ dir, config, vmid, machine }: ContainerPlace): Container => {
  const { root: machineRoot, enter }: Machine = machine ?? { root: '', enter: ([program = '', ...args]) => [program, ...args] };
  const lxcPath = join(dir, 'lxc');
  const own = join(lxcPath, String(vmid));
  const root = join(own, 'rootfs');
  makeRoot(join(machineRoot, root));
  const lxc = (verb: string, ...args: string[]): [string, ...string[]] =>
    enter([`/usr/bin/lxc-${verb}`, '-P', lxcPath, '-n', String(vmid), ...args]);
  const attach = (argv: readonly string[], token = ''): [string, ...string[]] =>
    lxc('attach', '--clear-env', '-v', 'PATH=/usr/bin:/usr/sbin', '-v', `TOKEN=${token}`, '--', ...argv);

  let monitor: { ended: Promise<null> } | null = null;

  const start = async (): Promise<void> => {
    const text = readFileSync(join(machineRoot, config), 'utf8');
    ownedBy(join(machineRoot, root), mappedRootOf({ type: 'lxc', text })?.uid ?? 0);
    writeFileSync(join(machineRoot, own, 'config'), lxcConfig(vmid, root, text));
    const log = join(own, 'log');
    // Ends with this process: LXC's own is killed, and the container with it.
    const command = ['--pdeathsig', 'KILL', '--', ...lxc('start', '--foreground', '-o', log, '-l', 'INFO')];
    const child = spawn('/usr/bin/setpriv', command, { env: ENV, stdio: 'ignore' });
    monitor = { ended: new Promise((resolve) => child.once('exit', () => resolve(null))) };
    const waiting = ask(lxc('wait', '-s', 'RUNNING', '-t', '15'));
    if ((await Promise.race([waiting, monitor.ended]))?.code !== 0)
      throw new Error(`container ${vmid} did not start: ${readFileSync(join(machineRoot, log), 'utf8').slice(-3000)}`);
  };
  const stop = async (): Promise<void> => {
    if (monitor === null) return;
    await ask(lxc('stop', '-k'));
    await monitor.ended;
    monitor = null;
  };
  const tryRun = (...argv: string[]): Promise<Output> => ask(attach(argv));
  const run = async (...argv: string[]): Promise<string> => {
    const { code, stdout, stderr } = await tryRun(...argv);
    if (code !== 0) throw new Error(`${argv.join(' ')} ended with ${code} in container ${vmid}: ${stderr || stdout}`);
    return stdout.trim();
  };
  const hold = async (script: string): Promise<Held> => {
    const token = randomUUID();
    const [program, ...args] = attach(['/usr/bin/sh', '-c', `echo $$; ${script}`], token);
    const child = spawn(program, args, { env: ENV, stdio: ['pipe', 'pipe', 'inherit'] });
    const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
    let said = '';
    for await (const text of child.stdout.setEncoding('utf8').iterator({ destroyOnReturn: false }) as AsyncIterable<string>) {
      said += text;
      if (said.includes('ready')) break;
    }
    const inside = said.split('\n')[0] ?? '';
    const pid = readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
      .find((one) => {
        try {
          if (!readFileSync(`/proc/${one}/environ`, 'utf8').includes(`TOKEN=${token}`)) return false;
          return new RegExp(`^NSpid:.*\\t${inside}$`, 'm').test(readFileSync(`/proc/${one}/status`, 'utf8'));
        } catch {
          return false;
        }
      });
    if (pid === undefined) throw new Error(`nothing began in container ${vmid}: ${said}`);
    return {
      pid,
      end: () => {
        try {
          process.kill(pid, 'SIGKILL');
        } catch {
          // It has ended.
        }
        return ended;
      },
    };
  };

  return { vmid, start, stop, try: tryRun, run, hold };
};
