/** The agent's one SQLite database, behind a worker thread: a slow disk never stalls the event loop. */
import { Worker } from 'node:worker_threads';
import { MIGRATIONS } from './store-schema.ts';

export type SqlValue = string | number | bigint | Buffer | null;

/** One statement with its bound values. */
export interface Statement {
  sql: string;
  values?: readonly SqlValue[];
}

export interface Store {
  /** The rows of a query. */
  all<Row>(sql: string, values?: readonly SqlValue[]): Promise<Row[]>;
  /** Writes, all or nothing; durable (fsynced) when it resolves. Answers how many rows each statement changed. */
  write(...statements: Statement[]): Promise<number[]>;
  close(): Promise<void>;
}

export interface OpenRequest {
  file: string;
  migrations: readonly string[];
}

type Ask =
  | { kind: 'all'; sql: string; values?: readonly SqlValue[] }
  | { kind: 'write'; statements: Statement[] }
  | { kind: 'close' };
export type WorkerRequest = Ask & { id: number };

/** `id` 0 tells how opening went. */
export type WorkerAnswer = { id: number; result: unknown } | { id: number; failure: { message: string; code: string } };

/** The database could not do it; `code` is SQLite's or the system's: `SQLITE_FULL`, `ENOSPC`. */
export class StoreError extends Error {
  override readonly name = 'StoreError';
  readonly code: string;

  constructor(message: string, code: string) {
    super(message);
    this.code = code;
  }
}

const FROM_SOURCE = import.meta.url.endsWith('.ts');

/** A thread does not take over its parent's TypeScript loader, so under source it first registers its own. */
const BOOT_FROM_SOURCE = `
  const { workerData } = require('node:worker_threads');
  import('tsx/esm/api').then(({ register }) => { register(); return import(workerData.url); });
`;

/** The bundle (package.json, `bundle`) lays the worker beside the program, tsc beside this file. */
const startWorker = (request: OpenRequest): Worker => {
  if (!FROM_SOURCE) return new Worker(new URL('./store-worker.js', import.meta.url), { workerData: request });
  const url = new URL('./store-worker.ts', import.meta.url).href;
  return new Worker(BOOT_FROM_SOURCE, { eval: true, workerData: { ...request, url }, execArgv: [] });
};

interface Waiting {
  resolve(result: unknown): void;
  reject(error: Error): void;
}

/** Opens the database, made and migrated as needed. */
export const openStore = async (file: string, migrations: readonly string[] = MIGRATIONS): Promise<Store> => {
  const worker = startWorker({ file, migrations });
  const waiting = new Map<number, Waiting>();
  let lastId = 0;
  let gone: Error | null = null;

  const settleAll = (error: Error): void => {
    gone ??= error;
    for (const { reject } of waiting.values()) reject(gone);
    waiting.clear();
  };
  worker.on('message', (answer: WorkerAnswer) => {
    const call = waiting.get(answer.id);
    waiting.delete(answer.id);
    if ('failure' in answer) call?.reject(new StoreError(answer.failure.message, answer.failure.code));
    else call?.resolve(answer.result);
  });
  worker.on('error', (error) => settleAll(new StoreError(`the database thread failed: ${error.message}`, '')));
  worker.on('exit', () => settleAll(new StoreError('the database is closed', '')));

  const expect = (id: number): Promise<unknown> =>
    new Promise((resolve, reject) => {
      if (gone !== null) reject(gone);
      else waiting.set(id, { resolve, reject });
    });
  const ask = (request: Ask): Promise<unknown> => {
    lastId += 1;
    const answer = expect(lastId);
    if (gone === null) worker.postMessage({ ...request, id: lastId });
    return answer;
  };

  await expect(0);
  let closing: Promise<void> | null = null;
  return {
    all: async <Row>(sql: string, values: readonly SqlValue[] = []) => (await ask({ kind: 'all', sql, values })) as Row[],
    write: async (...statements) => (await ask({ kind: 'write', statements })) as number[],
    close: () => {
      closing ??= new Promise((resolve) => {
        worker.once('exit', () => resolve());
        ask({ kind: 'close' }).catch(() => worker.terminate());
      });
      return closing;
    },
  };
};
