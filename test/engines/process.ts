/** A server as a process of a test: under an account that it accepts, dying with the test, watched until it answers. */
import { execFileSync, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const asRoot = (): boolean => process.getuid?.() === 0;

/** Where Debian keeps servers; several versions of one may be installed. */
const FOLDERS = ['/usr/bin', '/usr/sbin', '/usr/local/bin', '/usr/local/sbin'];

/** The whole path of a program, the newest version of it; null: not installed. @param folders searched before the usual ones */
export const findProgram = (name: string, folders: string[] = []): string | null =>
  [...folders, ...FOLDERS].map((folder) => join(folder, name)).find((path) => existsSync(path)) ?? null;

export interface ServerAccount {
  name: string;
  uid: number;
  gid: number;
}

/** The account that a server runs as: database servers refuse root. Null: this system has no such account. */
export const serverAccount = (name: string): ServerAccount | null => {
  if (!asRoot()) {
    const { username, uid, gid } = userInfo();
    return { name: username, uid, gid };
  }
  try {
    const [, , uid, gid] = execFileSync('/usr/bin/getent', ['passwd', name], { encoding: 'utf8' }).split(':');
    return { name, uid: Number(uid), gid: Number(gid) };
  } catch {
    return null;
  }
};

/** What an account needs before it reaches a directory: each one above that is private to root is opened for passing through. */
const openTheWay = async (path: string): Promise<void> => {
  for (let above = dirname(path); above !== dirname(above); above = dirname(above)) {
    const { mode, uid } = await stat(above);
    if (uid === 0 && (mode & 0o001) === 0) await chmod(above, (mode & 0o7777) | 0o011);
  }
};

/** Makes the directories, the account's own with all that lies in them, also after an archive was restored there. */
export const giveTo = async (account: ServerAccount, paths: readonly string[]): Promise<void> => {
  for (const path of paths) {
    await mkdir(path, { recursive: true, mode: 0o700 });
    if (asRoot()) {
      execFileSync('/bin/chown', ['-R', '--no-dereference', `${account.uid}:${account.gid}`, path]);
      await openTheWay(path);
    }
    await chmod(path, 0o700);
  }
};

export const isEmpty = async (path: string): Promise<boolean> => (await readdir(path)).length === 0;

/** setpriv(1): another account where we are root. @param dies the signal that ends it when this very process ends, however */
const asAccount = (account: ServerAccount, dies: string | null): string[] => [
  ...(asRoot() ? [`--reuid=${account.uid}`, `--regid=${account.gid}`, '--init-groups'] : []),
  ...(dies === null ? [] : [`--pdeathsig=${dies}`]),
];

const ENV = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C.UTF-8', TZ: 'UTC' };

/** A program that ends by itself, such as what makes a new data directory. Throws with the end of what it printed. */
export const runAs = (account: ServerAccount, [program, ...args]: readonly [string, ...string[]]): void => {
  try {
    execFileSync('/usr/bin/setpriv', [...asAccount(account, 'KILL'), '--', program, ...args], {
      cwd: '/',
      env: ENV,
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: 60_000,
    });
  } catch (error) {
    const { stdout, stderr } = error as { stdout?: Buffer; stderr?: Buffer };
    throw new Error(`${program} failed: ${`${stdout ?? ''}${stderr ?? ''}`.trim().slice(-1000)}`, { cause: error });
  }
};

/**
 * Fills an empty directory as `make` does, which takes seconds of processor time: in a run of all tests it is done once, and copied
 * from then on.
 */
export const fillFromTemplate = async (
  name: string,
  target: string,
  make: (directory: string) => Promise<void>,
): Promise<void> => {
  const templates = process.env.FELHOM_TEST_TEMPLATES;
  if (templates === undefined) return make(target);
  const template = join(templates, name);
  if (!existsSync(template)) {
    const own = await mkdtemp(`${template}-`);
    await make(own);
    // Another test may have been quicker.
    await rename(own, template).catch(() => rm(own, { recursive: true, force: true }));
  }
  execFileSync('/bin/cp', ['-a', '--reflink=auto', `${template}/.`, target]);
};

export interface Server {
  pid: number;
  /** Resolves once the process has ended, with what it printed last. */
  ended: Promise<string>;
  /** Asks it to end with this signal; with SIGKILL when it has not within `withinMs`. */
  end(signal: NodeJS.Signals, withinMs: number): Promise<void>;
  /** Like a power cut of this server: all of its processes, at once. */
  kill(): Promise<void>;
}

/** Direct children, such as PostgreSQL's backends. */
const childrenOf = async (pid: number): Promise<number[]> => {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '');
  return text.split(' ').filter(Boolean).map(Number);
};

const signalAll = (pids: number[], signal: NodeJS.Signals): void => {
  for (const pid of pids) {
    try {
      process.kill(pid, signal);
    } catch {
      // It has ended already.
    }
  }
};

/** A zombie counts as ended: who is to collect it is not ours to say. proc_pid_stat(5): the state follows the name. */
const lives = async (pid: number): Promise<boolean> => {
  const line = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  return !['', 'Z', 'X'].includes(line.slice(line.lastIndexOf(')') + 2).charAt(0));
};

const gone = async (pids: number[]): Promise<void> => {
  for (const pid of pids) while (await lives(pid)) await sleep(10);
};

/**
 * Starts a server in the foreground. It ends when this process ends, so that a killed test leaves none behind.
 * @param log where its output goes
 */
export const startServer = async (
  account: ServerAccount,
  argv: readonly [string, ...string[]],
  log: string,
  dies: 'QUIT' | 'KILL',
): Promise<Server> => {
  const output = await open(log, 'a');
  const child = spawn('/usr/bin/setpriv', [...asAccount(account, dies), '--', ...argv], {
    cwd: '/',
    env: ENV,
    stdio: ['ignore', output.fd, output.fd],
  });
  const ended = new Promise<string>((resolve) => {
    const tell = () => void readFile(log, 'utf8').then((text) => resolve(text.trim().slice(-1500)), String);
    child.once('error', tell);
    child.once('exit', tell);
  });
  await output.close();
  const pid = child.pid;
  if (pid === undefined) throw new Error(`${argv[0]} could not be started`);

  const kill = async () => {
    // Stopped first, so that the one process makes no further children while they are counted.
    signalAll([pid], 'SIGSTOP');
    const all = [pid, ...(await childrenOf(pid))];
    signalAll(all, 'SIGKILL');
    await ended;
    await gone(all);
  };
  const end = async (signal: NodeJS.Signals, withinMs: number) => {
    const all = [pid, ...(await childrenOf(pid))];
    signalAll([pid], 'SIGCONT');
    signalAll([pid], signal);
    const timer = new AbortController();
    const late = sleep(withinMs, null, { signal: timer.signal }).catch(() => 'ended');
    if ((await Promise.race([ended, late])) === null) await kill();
    timer.abort();
    await gone(all);
  };
  return { pid, ended, end, kill };
};

/** Waits until the server answers. Rejects when it ends before, or after 60 s, with what it said. */
export const untilReady = async (name: string, server: Server, answers: () => Promise<void>): Promise<void> => {
  let over: string | null = null;
  void server.ended.then((said) => {
    over = said;
  });
  const deadline = performance.now() + 60_000;
  for (;;) {
    const refused = await answers().then(
      () => null,
      (error: unknown) => error,
    );
    if (over !== null) throw new Error(`${name} did not come up: ${over}`);
    if (refused === null) return;
    if (performance.now() > deadline) {
      await server.kill();
      throw new Error(`${name} does not answer: ${String(refused)}`, { cause: refused });
    }
    await sleep(50);
  }
};
