/** Sessions for tests: an entry of quiesce.yaml as it is read, and a process that holds and can be killed. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readlinkSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Session } from '#controller/quiesced/adapters/adapter';
import { type AdapterName, type AppOf, readQuiesce } from '#shared/quiesce/config';

export const entryOf = <N extends AdapterName>(_adapter: N, keys: Record<string, unknown>): AppOf<N> => {
  const settled = readQuiesce({ apps: [{ name: 'app', ...keys }] });
  if (!settled.ok) throw new Error(JSON.stringify(settled));
  return settled.settings.apps[0] as AppOf<N>;
};

export interface Holder extends Session {
  pid: number;
  kill(): Promise<void>;
  /** What its open descriptors lead to. */
  descriptors(): string[];
  /** Reads a file as a program that knows nothing of locks does. */
  read(path: string): Promise<number>;
}

const PROGRAM = fileURLToPath(new URL('holder-process.ts', import.meta.url));
const PROJECT = fileURLToPath(new URL('../../..', import.meta.url));

const running: ChildProcess[] = [];

export const startHolder = (app: AppOf<AdapterName>, password?: string): Holder => {
  const args = [
    '--conditions=source',
    '--import',
    'tsx',
    PROGRAM,
    JSON.stringify(app),
    ...(password === undefined ? [] : [password]),
  ];
  const child = spawn(process.execPath, args, { cwd: PROJECT, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  running.push(child);
  const waiting = new Map<number, (answer: { value?: unknown; error?: string }) => void>();
  let last = 0;
  child.on('message', (message) => {
    const answer = message as { id: number; value?: unknown; error?: string };
    waiting.get(answer.id)?.(answer);
    waiting.delete(answer.id);
  });
  const ended = once(child, 'exit').then(() => {
    for (const tell of waiting.values()) tell({ error: 'the holder has ended' });
  });
  const ask =
    (call: string) =>
    async (...given: unknown[]): Promise<never> => {
      last += 1;
      const id = last;
      const { value, error } = await new Promise<{ value?: unknown; error?: string }>((resolve) => {
        waiting.set(id, resolve);
        child.send({ id, call, args: given }, (problem) => problem && resolve({ error: problem.message }));
      });
      if (error !== undefined) throw new Error(error);
      return value as never;
    };
  return {
    pid: child.pid ?? 0,
    prepare: ask('prepare'),
    look: ask('look'),
    hold: ask('hold'),
    stillHeld: ask('stillHeld'),
    release: ask('release'),
    whereDataLies: ask('whereDataLies'),
    close: ask('close'),
    read: ask('read'),
    kill: async () => {
      child.kill('SIGKILL');
      await ended;
    },
    descriptors: () =>
      readdirSync(`/proc/${child.pid}/fd`).flatMap((fd) => {
        try {
          return [readlinkSync(`/proc/${child.pid}/fd/${fd}`)];
        } catch {
          return [];
        }
      }),
  };
};

/** For `afterEach`: none is left, also when a test failed. */
export const killHolders = async (): Promise<void> => {
  for (const child of running.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
};

/** Prepared, looked at and held, as far as they come. */
export const holdNow = async (session: Session, leftMs: number) => {
  const ready = await session.prepare();
  const state = await session.look();
  await session.hold(state, leftMs);
  return { ready, state };
};

/** True when the work has not ended within so long. */
export const waits = async (work: Promise<unknown>, ms: number): Promise<boolean> => {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(true), ms);
  });
  return Promise.race([late, work.then(() => false)]).finally(() => clearTimeout(timer));
};
