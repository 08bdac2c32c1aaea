/** felhom-opsign as an operator has it: its one file, alone in a directory, and a terminal of its own (script(1)). */
import { execFileSync, spawn } from 'node:child_process';
import { chmodSync, copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const PROJECT = join(import.meta.dirname, '../..');
const DEADLINE_MS = 20_000;

/** A file of the command's own directory; empty where there is none. */
type Read = (name: string) => string;

/** A question, as soon as it is on the screen, and what is typed then, or done. */
export type Turn = [question: string, answer: string | ((read: Read) => void)];

export interface Ran {
  read: Read;
  /** Of the shell, and so of its last command. */
  status: number | null;
  /** All that the terminal showed. */
  screen: string;
}

export interface Bench {
  directory: string;
  /** A shell's command line on a terminal, in a directory of its own; `felhom-opsign` is found. Answers are typed in turn. */
  onTerminal: (command: string, ...turns: Turn[]) => Promise<Ran>;
  remove: () => void;
}

/** What is shipped, as package.json makes it of the sources. */
const bundle = (directory: string): void => {
  const { scripts } = JSON.parse(readFileSync(join(PROJECT, 'package.json'), 'utf8')) as { scripts: Record<string, string> };
  const script = (scripts['bundle:opsign'] ?? '').replace('--outdir=dist/opsign', `--outdir=${directory}/built`);
  const env = { PATH: `${join(PROJECT, 'node_modules/.bin')}:${process.env.PATH}`, npm_package_version: '9.8.7' };
  execFileSync('/bin/sh', ['-c', script], { cwd: PROJECT, env, stdio: 'pipe' });
  copyFileSync(join(directory, 'built/main.js'), join(directory, 'felhom-opsign'));
  chmodSync(join(directory, 'felhom-opsign'), 0o755);
};

export const readIn =
  (directory: string): Read =>
  (name) => {
    try {
      return readFileSync(join(directory, name), 'utf8');
    } catch {
      return '';
    }
  };

export const setUpOpsign = (): Bench => {
  const directory = mkdtempSync(join(tmpdir(), 'felhom-opsign-'));
  const env = { PATH: `${directory}:/usr/bin:/bin`, HOME: join(directory, 'home'), SHELL: '/bin/sh', TERM: 'xterm' };
  bundle(directory);

  const onTerminal = (command: string, ...turns: Turn[]): Promise<Ran> =>
    new Promise((resolve, reject) => {
      const cwd = mkdtempSync(join(directory, 'run-'));
      const read = readIn(cwd);
      const child = spawn('/usr/bin/script', ['-qefc', command, '/dev/null'], { cwd, env });
      const deadline = setTimeout(() => child.kill('SIGKILL'), DEADLINE_MS);
      let [screen, seen] = ['', 0];
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        screen += text;
        const [turn] = turns;
        const at = turn === undefined ? -1 : screen.indexOf(turn[0], seen);
        if (turn === undefined || at < 0) return;
        seen = at + turn[0].length;
        turns.shift();
        if (typeof turn[1] === 'string') child.stdin.write(turn[1]);
        else turn[1](read);
      });
      child.stdin.on('error', () => undefined);
      child.once('error', reject);
      child.once('close', (status) => {
        clearTimeout(deadline);
        const open = turns.map(([question]) => question);
        if (open.length > 0) reject(new Error(`never asked: ${open.join(', ')}\n${screen}`));
        else resolve({ read, status, screen: screen.replaceAll('\r\n', '\n') });
      });
    });

  return { directory, onTerminal, remove: () => rmSync(directory, { recursive: true }) };
};
