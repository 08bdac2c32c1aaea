/** One process per lease. The lock lies in /run, so a full disk is no reason, and names a process by number and start time. */
import { randomUUID } from 'node:crypto';
import { link, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Clock, sleep } from '#shared/clock';
import { identify, stateOf } from './proc.ts';

interface Holder {
  pid: number;
  started: string;
  /** `recover` makes way for `serve`, which does the same. */
  command: 'serve' | 'recover';
}

export type LockResult = { held: true; release: () => Promise<void> } | { held: false; by: Holder };

const TRIES = 5;
const WAY_MS = 10_000;

const holderOf = async (path: string): Promise<Holder | null> => {
  try {
    const holder = JSON.parse(await readFile(path, 'utf8')) as Holder;
    return (await stateOf(holder)) === 'gone' ? null : holder;
  } catch {
    return null;
  }
};

/** Links our own file in place: exactly one of several can. */
const linked = (own: string, path: string): Promise<boolean> =>
  link(own, path).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'EEXIST') return false;
      throw error;
    },
  );

/** Puts a stale lock aside, and back again if it turns out that another start has just made it. */
const putAside = async (path: string, aside: string): Promise<void> => {
  await rename(path, aside).catch(() => undefined);
  if ((await holderOf(aside)) !== null) await link(aside, path).catch(() => undefined);
  await rm(aside, { force: true });
};

const take = async (runtimeDir: string, command: Holder['command']): Promise<LockResult> => {
  const path = join(runtimeDir, 'lock');
  const own = join(runtimeDir, `lock.${randomUUID()}`);
  const me = await identify(process.pid);
  await writeFile(own, JSON.stringify({ ...me, command }), { mode: 0o600 });
  try {
    for (let attempt = 0; attempt < TRIES; attempt++) {
      if (await linked(own, path)) return { held: true, release: () => rm(path, { force: true }) };
      const by = await holderOf(path);
      if (by !== null) return { held: false, by };
      await putAside(path, `${own}.aside`);
    }
    throw new Error(`${path} could not be taken`);
  } finally {
    await rm(own, { force: true });
  }
};

/** Ends a `recover` that is at it, since `serve` goes on with it. */
export const takeLock = async (runtimeDir: string, command: Holder['command'], clock: Clock): Promise<LockResult> => {
  const until = clock.monotonic() + WAY_MS;
  for (;;) {
    const result = await take(runtimeDir, command);
    if (result.held || command === 'recover' || result.by.command === 'serve' || clock.monotonic() > until) return result;
    try {
      process.kill(result.by.pid, 'SIGTERM');
    } catch {
      // It has just ended.
    }
    await sleep(clock, 100);
  }
};
