/**
 * SQLite: as much of its log as can be is put into the database beforehand; where that does not do, the lock that every writer
 * needs is taken, and readers go on. Nothing else of these files is ever opened here: closing any descriptor of one would drop the
 * lock (https://www.sqlite.org/howtocorrupt.html, 2.2); so they are looked at by stat(2) only.
 * What cannot be known: how long the application's own connections wait for a lock before they give up (its busy timeout), and
 * whether they have turned `synchronous` off; both belong to a connection. A `hold_timeout` says how long we try, not they.
 */
import { realpath, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import Database from 'better-sqlite3';
import type { AppOf } from '#shared/quiesce/config';
import { identify, type ProcessId, stateOf } from '../proc.ts';
import { checkTrusted } from '../trust.ts';
import type { Account, Adapter, Ready, Session, State, Tools } from './adapter.ts';
import { NoDatabase, ownerOf } from './sqlite-owner.ts';

/** A lock is asked for again and again instead of being waited for inside SQLite: there, nothing could be let go meanwhile. */
const RETRY_MS = 10;
/** Of the time for being held, kept for saying that it did not work. */
const SPARE_MS = 200;
/** A checkpoint is tried again for as long as others are in its way; what it leaves lies in the log, which the archive has too. */
const CHECKPOINT_MS = 2000;
const PREPARE_MS = 10_000;

const isBusy = (error: unknown): boolean => String((error as { code?: unknown }).code).startsWith('SQLITE_BUSY');

/** The driver's errors, as sentences. */
const problem = (path: string, error: unknown): Error => {
  const code = String((error as { code?: unknown }).code);
  if (isBusy(error)) return new Error(`another process keeps ${path} locked`);
  if (code === 'SQLITE_NOTADB' || code === 'SQLITE_CORRUPT') return new Error(`${path} is no SQLite database, or is damaged`);
  if (code.startsWith('SQLITE_CANTOPEN')) return new Error(`${path} cannot be opened, or no file be made beside it`);
  if (code.startsWith('SQLITE_READONLY')) return new Error(`${path} may not be written by its own account`);
  return error as Error;
};

/** Which file it is; what has been written to it shows in its size and its time. */
const stampOf = async (path: string): Promise<{ file: string; content: string }> => {
  const found = await stat(path, { bigint: true }).catch(() => null);
  if (found === null) return { file: 'none', content: 'none' };
  return { file: `${found.dev} ${found.ino}`, content: `${found.size} ${found.mtimeNs}` };
};

/**
 * What stays the same while nobody writes. With a write-ahead log every write goes there first, and another's checkpoint may copy
 * older ones to the database meanwhile; its index has the locks, so it must not be replaced either.
 */
const fingerprint = async (path: string, wal: boolean): Promise<string> => {
  const database = await stampOf(path);
  if (!wal) return `${database.file} ${database.content}`;
  const [log, index] = [await stampOf(`${path}-wal`), await stampOf(`${path}-shm`)];
  return [database.file, log.file, log.content, index.file].join(' ');
};

const checkAccount = async (path: string): Promise<void> => {
  const [{ uid }, own] = [await stat(path), process.geteuid?.()];
  // Also where quiesce.yaml names root: others could have it open, and make files beside, what they put there.
  if (own === 0) await checkTrusted(path);
  if (own !== 0 && own !== uid)
    throw new Error(
      `${path} belongs to user ${uid}, and files that user ${own} makes beside it might not be for the application to open: ` +
        'leave "user" out, or name its owner there',
    );
};

const sessionOf = (app: AppOf<'sqlite'>, { monotonic }: Tools): Session => {
  let db: Database.Database | null = null;
  let path = app.path;
  let letGo = false;
  /** Which file was made ready. */
  let prepared: string | null = null;
  let held: { fingerprint: string; wal: boolean } | null = null;

  const opened = (): Database.Database => {
    // 0: it never waits inside SQLite.
    db ??= new Database(path, { fileMustExist: true, timeout: 0 });
    return db;
  };

  /** Tries until nobody is in the way. @param ms how long at most */
  const patiently = async <T>(ms: number, act: () => T): Promise<T> => {
    const end = monotonic() + ms;
    for (;;) {
      if (letGo) throw new Error('it was let go before it was held');
      try {
        return act();
      } catch (error) {
        if (!isBusy(error) || monotonic() >= end) throw error;
      }
      await sleep(RETRY_MS);
    }
  };

  const isWal = (): boolean => opened().pragma('journal_mode', { simple: true }) === 'wal';

  /** Never waits for readers or writers; `busy`: another checkpoint runs. https://www.sqlite.org/pragma.html#pragma_wal_checkpoint */
  const checkpoint = async (): Promise<void> => {
    for (const end = monotonic() + CHECKPOINT_MS; monotonic() < end; await sleep(RETRY_MS * 10)) {
      const [row] = opened().pragma('wal_checkpoint(PASSIVE)') as { busy: number; log: number; checkpointed: number }[];
      if (row === undefined || (row.busy === 0 && row.log === row.checkpointed)) return;
    }
  };

  const find = async (): Promise<void> => {
    const found = await realpath(app.path).catch(() => null);
    if (found === null || !(await stat(found)).isFile()) throw new NoDatabase(app.path);
    path = found;
    await checkAccount(path);
  };

  /** Links of its name lead to the same path as before. */
  const isNamed = async (): Promise<boolean> => (await realpath(app.path).catch(() => null)) === path;

  const prepare = async (): Promise<Ready> => {
    await find();
    const before = (await stampOf(path)).file;
    try {
      // Reading the schema's version opens the file, replays what a crash left, and shows whether it is a database.
      await patiently(PREPARE_MS, () => opened().pragma('schema_version'));
      if (await patiently(PREPARE_MS, isWal)) await checkpoint();
    } catch (error) {
      throw problem(path, error);
    }
    if ((await stampOf(path)).file !== before) throw new Error(`${path} was replaced by another file meanwhile`);
    prepared = before;
    return { kind: 'sqlite', running: true };
  };

  const hold = async (state: State): Promise<void> => {
    if (state === null) return;
    letGo = false;
    if (db === null) await prepare();
    const began = monotonic();
    try {
      await patiently(app.hold_timeout - SPARE_MS, () => opened().exec('BEGIN IMMEDIATE'));
    } catch (error) {
      if (!isBusy(error)) throw problem(path, error);
      const seconds = ((monotonic() - began) / 1000).toFixed(1);
      throw new Error(`another writer kept ${path} locked for ${seconds} s, so it could not be held`);
    }
    const wal = isWal();
    const before = await fingerprint(path, wal);
    if (!before.startsWith(`${prepared} `) || !(await isNamed()))
      throw new Error(`${app.path} was replaced by another file meanwhile`);
    if (letGo) throw new Error('it was let go before it was held');
    held = { fingerprint: before, wal };
  };

  const stillHeld = async (): Promise<boolean> => {
    if (!(await isNamed())) return false;
    if (held !== null) return db?.inTransaction === true && (await fingerprint(path, held.wal)) === held.fingerprint;
    return prepared !== null && (await stampOf(path)).file === prepared;
  };

  /** The lock ends with the process that took it, so another process has nothing to do but to see that it has ended. */
  const release = async (state: State): Promise<void> => {
    letGo = true;
    held = null;
    if (db?.inTransaction) db.exec('ROLLBACK');
    db?.close();
    db = null;
    const holder = (state as { holder?: ProcessId | null } | null)?.holder ?? null;
    if (holder === null || holder.pid === process.pid || (await stateOf(holder)) === 'gone') return;
    throw new Error(`the process ${holder.pid} still has the lock of ${app.path}`);
  };

  return {
    prepare,
    look: async () => ({ holder: await identify(process.pid) }),
    hold,
    stillHeld,
    release,
    // Journal, log and index are made beside the file, and come and go: the directory stands for them.
    whereDataLies: async () => {
      const real = await realpath(app.path);
      return [real, dirname(real)];
    },
    close: async () => {
      letGo = true;
      db?.close();
      db = null;
    },
  };
};

/** Of one that is gone nothing is opened: whoever does it sees that its lock has ended. */
const accountOf = async ({ path }: AppOf<'sqlite'>): Promise<string | Account | null> => {
  try {
    return await ownerOf(path);
  } catch (error) {
    if (!(error instanceof NoDatabase)) throw error;
    return process.geteuid?.() === 0 ? 'nobody' : null;
  }
};

export const sqlite: Adapter<'sqlite'> = {
  account: accountOf,
  open: async (app, tools) => sessionOf(app, tools),
};
