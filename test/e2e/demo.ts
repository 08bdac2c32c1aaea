/** Runs the compiled demo as a user would, for the tests that look at it from outside. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { chmodSync, chownSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isWithin } from '#shared/mountinfo';
import { takeDown } from '../demo/take-down.ts';

const MAIN = fileURLToPath(new URL('../../dist/test/demo/main.js', import.meta.url));

export interface RunningDemo {
  child: ChildProcess;
  dir: string;
  /** All it has printed. */
  output(): string;
  /** Resolves when the text has been printed; rejects when the demo ends before. */
  printed(text: string): Promise<void>;
  /** Exit status, once it ended. */
  ended: Promise<number | null>;
}

/** Debian's account without rights, nobody. */
const NOBODY = { uid: 65_534, gid: 65_534 };

/** Why no demo can be started as an ordinary user here; empty where one can. */
export const ordinaryUserMissing = (): string => {
  if (process.getuid?.() !== 0) return '';
  const { status } = spawnSync(process.execPath, ['-e', `require('fs').accessSync(${JSON.stringify(MAIN)})`], NOBODY);
  return status === 0 ? '' : `the account nobody cannot read ${MAIN}`;
};

export interface StartOptions {
  /** Left out: a new one. */
  dir?: string;
  /** Without root's rights, also where the tests have them. */
  ordinary?: boolean;
}

export const startDemo = (args: readonly string[] = [], options: StartOptions = {}): RunningDemo => {
  const dir = options.dir === undefined ? mkdtempSync(join(tmpdir(), 'felhom-')) : join(options.dir, '..');
  chmodSync(dir, 0o711);
  const who = options.ordinary === true && process.getuid?.() === 0 ? NOBODY : null;
  if (who) chownSync(dir, who.uid, who.gid);
  const child = spawn(process.execPath, [MAIN, '--state', join(dir, 'd'), ...args], {
    ...who,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let printed = '';
  const listeners = new Set<() => void>();
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      printed += text;
      for (const listener of listeners) listener();
    });
  }
  const ended = new Promise<number | null>((resolve) => child.once('close', (code) => resolve(code)));
  return {
    child,
    dir: join(dir, 'd'),
    output: () => printed,
    printed: (text) =>
      new Promise((resolve, reject) => {
        const look = () => {
          if (!printed.includes(text)) return;
          listeners.delete(look);
          resolve();
        };
        listeners.add(look);
        look();
        void ended.then((code) => reject(new Error(`the demo ended with status ${code}:\n${printed}`)));
      }),
    ended,
  };
};

/** Also what one that was killed has left on this machine. */
export const removeDemo = async (demo: RunningDemo): Promise<void> => {
  await takeDown(demo.dir);
  rmSync(join(demo.dir, '..'), { recursive: true, force: true });
};

/** Loop devices on files below a directory, and mounts below it or of such a loop device: all that a demo may have on this machine. */
export const leftOf = (dir: string): string[] => {
  const loops = readdirSync('/sys/block').filter((name) => {
    try {
      return isWithin(readFileSync(`/sys/block/${name}/loop/backing_file`, 'utf8').trim(), dir);
    } catch {
      return false;
    }
  });
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => line.includes(` ${dir}/`) || loops.some((name) => new RegExp(`/dev/${name}(p\\d+)? `).test(line)));
  return [...loops, ...mounts];
};
