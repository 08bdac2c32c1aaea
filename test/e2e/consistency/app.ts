/** A database in a guest, with its writer, as the test leads it. */
import type { ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Scope } from '../../bench/scope.ts';
import { stop } from '../../demo/processes.ts';
import type { EngineDirs } from '../../engines/engine.ts';
import type { Guest } from './guest.ts';
import type { Answers, Ask, Told } from './inside.ts';
import type { EngineName } from './kinds.ts';

const INSIDE = [
  process.execPath,
  '--import',
  import.meta.resolve('tsx'),
  '--conditions=source',
  join(import.meta.dirname, 'inside.ts'),
];
const ANSWER_MS = 60_000;

export interface App {
  /** In quiesce.yaml. */
  name: string;
  engine: EngineName;
  dirs: EngineDirs;
  entry: Record<string, unknown>;
  /** Starts the writer, and resolves once it has done some work. */
  write(): Promise<void>;
  /** What the writer did. */
  halt(): Promise<Answers['halt']>;
  kill(): Promise<void>;
}

type ReplyOf<A extends Ask['ask']> = Answers[A];

const callsOf = (child: ChildProcess) => {
  const waiting = new Map<number, (told: Told) => void>();
  let said = '';
  let last = 0;
  child.on('message', (told: Told) => {
    waiting.get(told.id)?.(told);
    waiting.delete(told.id);
  });
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-4000);
    });
  }
  // Without its stack, in whose files Vitest would look for what TypeScript they came from.
  const words = (): string =>
    said
      .split('\n')
      .filter((line) => !/^\s+at |sourceMappingURL/.test(line))
      .join('\n');
  child.once('exit', () => {
    for (const [id, tell] of waiting) tell({ id, error: `the program in the guest ended: ${words()}` });
  });
  return <A extends Ask['ask']>(ask: Extract<Ask, { ask: A }>): Promise<ReplyOf<A>> =>
    new Promise((resolve, reject) => {
      last += 1;
      const timer = setTimeout(() => reject(new Error(`no answer to ${ask.ask}: ${words()}`)), ANSWER_MS);
      waiting.set(last, (told) => {
        clearTimeout(timer);
        if ('error' in told) reject(new Error(told.error));
        else resolve(told.value as ReplyOf<A>);
      });
      child.send({ id: last, ...ask });
    });
};

/** So many rows stand in it before anything is asked of it. */
const ROWS_BEFORE = 50;

export const startApp = async (scope: Scope, guest: Guest, engine: EngineName, dirs: EngineDirs): Promise<App> => {
  const child = guest.spawn(INSIDE, { ipc: true });
  scope.defer(() => stop(child));
  const call = callsOf(child);
  const entry = await call({ ask: 'start', engine, dirs });
  return {
    name: engine,
    engine,
    dirs,
    entry,
    write: async () => {
      await call({ ask: 'write' });
      while ((await call({ ask: 'count' })) < ROWS_BEFORE) await pause(50);
    },
    halt: () => call({ ask: 'halt' }),
    kill: async () => {
      await call({ ask: 'kill' });
      await stop(child);
    },
  };
};
