/** Runs the compiled demo as a user would, for the tests that look at it from outside. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

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

export const startDemo = (args: readonly string[] = []): RunningDemo => {
  const dir = mkdtempSync(join(tmpdir(), 'felhom-'));
  const child = spawn(process.execPath, [MAIN, '--state', join(dir, 'd'), ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
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

export const removeDemo = (demo: RunningDemo): void => rmSync(join(demo.dir, '..'), { recursive: true, force: true });
