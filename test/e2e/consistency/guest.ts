/**
 * A guest as its own programs see it: a mount namespace whose root is a real btrfs subvolume, with other volumes mounted where its
 * configuration says. Its programs come from this machine, read-only; processes, network and clock are this machine's.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { appendFileSync, cpSync, existsSync, mkdirSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Scope } from '../../bench/scope.ts';

const ROOT = join(import.meta.dirname, '../../..');

/** Folders of Debian's that lie in /usr. */
const MERGED = ['bin', 'sbin', 'lib', 'lib64'];
const SYSTEM_FILES = ['passwd', 'group', 'nsswitch.conf', 'ld.so.cache', 'localtime', 'hosts', 'ssl/openssl.cnf'];

/** The controller's account, as its package makes it. */
export const CONTROLLER = { uid: 64_101, gid: 64_101 };

const furnish = (root: string): void => {
  for (const folder of ['usr', 'dev', 'proc', 'sys', 'run', 'tmp', 'etc/felhom', 'var/lib', 'srv']) {
    mkdirSync(join(root, folder), { recursive: true });
  }
  for (const name of MERGED) symlinkSync(`usr/${name}`, join(root, name));
  for (const name of SYSTEM_FILES.filter((one) => existsSync(join('/etc', one)))) {
    cpSync(join('/etc', name), join(root, 'etc', name), { recursive: true, dereference: true });
  }
  const { uid, gid } = CONTROLLER;
  appendFileSync(join(root, 'etc/passwd'), `felhom:x:${uid}:${gid}::/var/lib/felhom-controller:/usr/sbin/nologin\n`);
  appendFileSync(join(root, 'etc/group'), `felhom:x:${gid}:\n`);
};

/** What the programs of a guest come from. */
const PROGRAMS = ['/usr', ROOT, ...(process.execPath.startsWith('/usr/') ? [] : [dirname(dirname(process.execPath))])];

/** `$1`: the root; then pairs: what to mount, and where in the guest. Ends when its standard input does. */
const BOOT = `
set -eu
mount --bind "$1" "$1"
cd "$1"
shift
mount --rbind /dev dev
mount -t proc proc proc
mount --bind -o ro /sys sys
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
for folder in ${PROGRAMS.map((folder) => `'${folder}'`).join(' ')}; do
  mkdir -p ".$folder"
  mount --bind -o ro "$folder" ".$folder"
done
while [ $# -gt 0 ]; do mount --bind "$1" ".$2"; shift 2; done
exec chroot . /bin/sh -c 'echo up; exec cat'
`;

export interface Volume {
  /** Of this machine: a subvolume, or for a bind any directory. */
  directory: string;
  /** In the guest. */
  at: string;
}

export interface Guest {
  /** Of this machine. */
  root: string;
  /** Starts a program in the guest, as root unless told; it ends when this process does. */
  spawn(argv: readonly string[], options?: { asController?: boolean; ipc?: boolean }): ChildProcess;
  /** Runs one to its end. */
  run(argv: readonly string[]): string;
  close(): Promise<void>;
}

const ended = (child: ChildProcess): Promise<void> =>
  new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) resolve();
    else child.once('exit', () => resolve());
  });

const ENV = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C.UTF-8', TZ: 'UTC', MALLOC_ARENA_MAX: '2' };

const boot = async (root: string, volumes: readonly Volume[]): Promise<ChildProcess> => {
  const pairs = volumes.flatMap(({ directory, at }) => [directory, at]);
  const argv = ['--mount', '--propagation', 'private', '/bin/sh', '-c', BOOT, 'boot', root, ...pairs];
  const init = spawn('/usr/bin/unshare', argv, { stdio: ['pipe', 'pipe', 'pipe'], env: ENV });
  let said = '';
  init.stderr?.on('data', (text: Buffer) => {
    said += text;
  });
  await new Promise<void>((resolve, reject) => {
    init.stdout?.once('data', () => resolve());
    init.once('exit', () => reject(new Error(`the guest did not come up: ${said}`)));
  });
  return init;
};

export const startGuest = async (scope: Scope, root: string, volumes: readonly Volume[] = []): Promise<Guest> => {
  furnish(root);
  for (const { at } of volumes) mkdirSync(join(root, at), { recursive: true });
  const init = await boot(root, volumes);
  const enter = (argv: readonly string[], asController = false): [string, string[]] => {
    const account = asController ? [`--reuid=${CONTROLLER.uid}`, `--regid=${CONTROLLER.gid}`, '--init-groups'] : [];
    const into = [`--target=${init.pid}`, '--mount', '--root', '--wd'];
    return ['/usr/bin/nsenter', [...into, '/usr/bin/setpriv', '--pdeathsig=KILL', ...account, ...argv]];
  };
  const guest: Guest = {
    root,
    spawn: (argv, { asController = false, ipc = false } = {}) => {
      const [program, args] = enter(argv, asController);
      return spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe', ...(ipc ? ['ipc' as const] : [])], env: ENV });
    },
    run: (argv) => {
      const [program, args] = enter(argv);
      return execFileSync(program, args, { encoding: 'utf8', env: ENV, stdio: ['ignore', 'pipe', 'pipe'], timeout: 30_000 });
    },
    close: async () => {
      init.stdin?.end();
      await ended(init);
    },
  };
  scope.defer(guest.close);
  return guest;
};

/** Where a file of the guest lies on this machine, if it lies on its root file system. */
export const onRoot = ({ root }: Pick<Guest, 'root'>, path: string): string => {
  const outside = join(root, path);
  mkdirSync(dirname(outside), { recursive: true });
  return outside;
};
