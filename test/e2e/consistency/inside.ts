/** In the guest: one database, and one writer that commits row after row and remembers which was confirmed, and when. */
import { setTimeout as pause } from 'node:timers/promises';
import type { Engine, EngineDirs } from '../../engines/engine.ts';
import { type EngineName, kindOf } from './kinds.ts';
import type { Written } from './rows.ts';

export type Ask =
  | { ask: 'start'; engine: EngineName; dirs: EngineDirs }
  /** Answers at once; the writer goes on until `halt`. */
  | { ask: 'write' }
  /** How many rows are confirmed. */
  | { ask: 'count' }
  /** Ends the writer, and answers all that it did. */
  | { ask: 'halt' }
  /** Like a power cut. */
  | { ask: 'kill' };

export interface Answers {
  start: Engine['entry'];
  write: null;
  count: number;
  halt: { written: Written[]; refused: string[] };
  kill: null;
}

export type Told = { id: number; value: unknown } | { id: number; error: string };

/** Beyond any row that the writer comes to. */
const NEVER_COMMITTED = 1_000_000_000;

let engine: Engine | undefined;
const written: Written[] = [];
const refused: string[] = [];
let writing = false;
let halted = Promise.resolve();

const live = (): Engine => {
  if (engine === undefined) throw new Error('not started');
  return engine;
};

/**
 * One row after the other, though no faster than one a millisecond: several writers share a small machine. A held database keeps
 * it waiting, or refuses it; then the next row is tried.
 */
const write = async (): Promise<void> => {
  for (let row = 1; writing; row += 1) {
    const one: Written = { row, begunAt: Date.now(), ackedAt: null };
    written.push(one);
    await live()
      .commit(row)
      .then(
        () => {
          one.ackedAt = Date.now();
        },
        (error: unknown) => refused.push(String(error)),
      );
    await pause(1);
  }
};

const ANSWERS: { [A in Ask['ask']]: (ask: Extract<Ask, { ask: A }>) => Promise<Answers[A]> } = {
  start: async ({ engine: name, dirs }) => {
    engine = await kindOf(name).start(dirs);
    return engine.entry;
  },
  write: async () => {
    await live().leaveOpen?.(NEVER_COMMITTED);
    writing = true;
    halted = write();
    return null;
  },
  count: async () => written.filter(({ ackedAt }) => ackedAt !== null).length,
  halt: async () => {
    writing = false;
    await halted;
    return { written, refused };
  },
  kill: async () => {
    await engine?.kill();
    return null;
  },
};

process.on('message', async ({ id, ...ask }: Ask & { id: number }) => {
  const answer = ANSWERS[ask.ask] as (ask: Ask) => Promise<unknown>;
  const told: Told = await answer(ask).then(
    (value) => ({ id, value }),
    (error: unknown) => ({ id, error: error instanceof Error ? error.message : String(error) }),
  );
  process.send?.(told);
});
process.on('disconnect', () => process.exit(0));
