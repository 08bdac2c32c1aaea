/** The real programs as child processes, stopped by their process id. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export type ProgramName = 'agent' | 'controller' | 'quiesced';

/** The compiled program: the demo and the bench run what would be installed. */
const program = (name: ProgramName): string => {
  const root = new URL(import.meta.url.includes('/dist/') ? '../../' : '../../dist/', import.meta.url);
  return fileURLToPath(new URL(`${name === 'quiesced' ? 'controller/quiesced' : name}/main.js`, root));
};

/** The flags and the environment of the shipped units. */
const HEAP = ['--max-semi-space-size=1', '--max-old-space-size=64'];
export const NODE_FLAGS: Readonly<Record<ProgramName, readonly string[]>> = {
  agent: HEAP,
  controller: [...HEAP, '--optimize-for-size'],
  quiesced: ['--max-semi-space-size=1', '--max-old-space-size=32', '--optimize-for-size'],
};
const UNIT_ENV = { ...process.env, MALLOC_ARENA_MAX: '2' };

/** Ends the child when this process is killed without a chance to do so (prctl(2), PR_SET_PDEATHSIG). */
const SETPRIV = '/usr/bin/setpriv';

/** @param file another program of ours with the flags of this one */
export const start = (
  name: ProgramName,
  args: readonly string[],
  onLine: (line: string) => void,
  file = program(name),
): ChildProcess => {
  const argv = [...NODE_FLAGS[name], file, ...args];
  const [command, commandArgs] = existsSync(SETPRIV)
    ? [SETPRIV, ['--pdeathsig', 'TERM', process.execPath, ...argv]]
    : [process.execPath, argv];
  const child = spawn(command, commandArgs, { stdio: ['ignore', 'pipe', 'pipe'], env: UNIT_ENV });
  for (const stream of [child.stdout, child.stderr]) {
    let rest = '';
    stream?.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) onLine(line);
    });
  }
  return child;
};

/** Runs a program's command to its end; rejects with what it said when it fails. */
export const run = (name: ProgramName, args: readonly string[]): Promise<string> =>
  new Promise((resolve, reject) => {
    execFile(process.execPath, [program(name), ...args], { encoding: 'utf8', timeout: 60_000 }, (error, stdout, stderr) => {
      if (error) reject(new Error(`felhom-${name} ${args[0] ?? ''} failed: ${stderr.trim() || error.message}`));
      else resolve(stdout);
    });
  });

/** Asks the process to end, insists after `graceMs`, and resolves when it has gone. */
export const stop = (child: ChildProcess, graceMs = 10_000): Promise<void> =>
  new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve();
    const insist = setTimeout(() => child.kill('SIGKILL'), graceMs);
    child.once('exit', () => {
      clearTimeout(insist);
      resolve();
    });
    child.kill('SIGTERM');
  });
