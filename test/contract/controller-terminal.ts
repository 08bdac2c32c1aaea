/** `felhom-controller disks …` as a program of its own: on a terminal (script(1)), or as a script runs it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { later } from './controller-agent.ts';

export interface Running {
  /** stdout and stderr, as they came. */
  screen(): string;
  /** Resolves when it was printed. */
  shows(text: string): Promise<void>;
  /** As a person does: Enter at the end. */
  types(line: string): void;
  /** Bytes. */
  presses(keys: string): void;
  ended: Promise<number | null>;
}

const follow = (child: ChildProcess): Running => {
  let printed = '';
  const lookers = new Set<() => void>();
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding('utf8').on('data', (text: string) => {
      printed += text;
      for (const look of lookers) look();
    });
  const ended = new Promise<number | null>((resolve) => child.once('close', (status) => resolve(status)));
  later(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  const shows = (text: string): Promise<void> =>
    new Promise((resolve, reject) => {
      const look = () => {
        if (!printed.includes(text)) return;
        lookers.delete(look);
        resolve();
      };
      lookers.add(look);
      look();
      void ended.then(() => reject(new Error(`it ended without "${text}":\n${printed}`)));
    });
  const presses = (keys: string) => void child.stdin?.write(keys);
  return { screen: () => printed, shows, presses, types: (line) => presses(`${line}\r`), ended };
};

const quoted = (words: readonly string[]): string => words.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ');

/** @param main the bundled program. @param config its controller.yaml */
export const controllerAt = (main: string, config: string) => {
  const args = (words: readonly string[]): string[] => [main, 'disks', ...words, '--config', config];
  return {
    /** On a terminal of 80 columns. */
    onTerminal: (...words: string[]): Running => {
      const command = `stty cols 80 rows 24; exec ${quoted([process.execPath, ...args(words)])}`;
      const env = { ...process.env, SHELL: '/bin/sh', TERM: 'xterm' };
      return follow(spawn('/usr/bin/script', ['-q', '-e', '-c', command, '/dev/null'], { env }));
    },
    /** With all of its input there at once. */
    piped: (input: string, ...words: string[]): Running => {
      const child = spawn(process.execPath, args(words));
      const running = follow(child);
      child.stdin.end(input);
      return running;
    },
  };
};
