/** The thread that holds the database: opens and migrates it, then runs one request after the other. */
import { chmodSync, closeSync, fsyncSync, openSync, renameSync, rmSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import type BetterSqlite3 from 'better-sqlite3';
import { ownDirectory } from './own-directory.ts';
import type { OpenRequest, SqlValue, Statement, WorkerAnswer, WorkerRequest } from './store.ts';

const port = parentPort;
if (port === null) throw new Error('store-worker.ts runs as a worker thread only');

const loadDriver = async (): Promise<typeof BetterSqlite3> => {
  try {
    const driver = (await import('better-sqlite3')).default;
    // The addon itself is loaded by the first database.
    new driver(':memory:').close();
    return driver;
  } catch (cause) {
    throw new Error(
      `The SQLite addon (better-sqlite3) does not load in Node.js ${process.version}. ` +
        'Reinstall felhom with this Node.js, or run "npm rebuild better-sqlite3" in its directory.',
      { cause },
    );
  }
};

/** A former agent may be about to end. */
const LOCK_MS = 1000;

const openDatabase = (Database: typeof BetterSqlite3, { file, migrations }: OpenRequest): BetterSqlite3.Database => {
  ownDirectory(dirname(file), basename(file));
  // Made here, not by SQLite, so that it is never readable by others; its WAL takes its mode.
  closeSync(openSync(file, 'a', 0o600));
  chmodSync(file, 0o600);
  const db = new Database(file, { timeout: LOCK_MS });
  try {
    // Held until the end of the process, however it ends: two agents would follow, and end, the same jobs. sqlite.org/pragma.html
    db.pragma('locking_mode = EXCLUSIVE');
    db.pragma('journal_mode = WAL');
    db.pragma('synchronous = FULL');
    db.pragma('foreign_keys = ON');
    migrate(db, file, migrations);
    return db;
  } catch (error) {
    db.close();
    throw explained(file, error);
  }
};

const explained = (file: string, error: unknown): unknown => {
  const { code, message } = describe(error);
  if (code === 'SQLITE_BUSY')
    return new Error(
      `An agent is running already: it holds the database ${file}. Stop it first ("systemctl stop felhom-agent").`,
    );
  return code.startsWith('SQLITE_') ? new Error(`The database ${file} cannot be used: ${message}.`, { cause: error }) : error;
};

const migrate = (db: BetterSqlite3.Database, file: string, migrations: readonly string[]): void => {
  const have = db.pragma('user_version', { simple: true }) as number;
  if (have > migrations.length) {
    throw new Error(
      `The database ${file} was written by a newer felhom-agent (schema ${have}; this one knows ${migrations.length}). ` +
        'Install that version again, or put back the copy that it made before it migrated.',
    );
  }
  if (have > 0 && have < migrations.length) copyDurably(db, `${file}.before-v${migrations.length}`);
  for (const [index, sql] of migrations.entries()) {
    if (index < have) continue;
    db.transaction(() => {
      db.exec(sql);
      db.pragma(`user_version = ${index + 1}`);
    })();
  }
};

/** Whole under its name, or not there. */
const copyDurably = (db: BetterSqlite3.Database, copy: string): void => {
  const partial = `${copy}.partial`;
  rmSync(partial, { force: true });
  closeSync(openSync(partial, 'wx', 0o600));
  db.prepare('VACUUM INTO ?').run(partial);
  syncPath(partial);
  renameSync(partial, copy);
  syncPath(dirname(copy));
};

const syncPath = (path: string): void => {
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
};

/** Buffers arrive as plain byte arrays: structured cloning knows no Buffer. */
const bound = (values: readonly SqlValue[] = []): unknown[] =>
  values.map((value) => (value instanceof Uint8Array ? Buffer.from(value.buffer, value.byteOffset, value.byteLength) : value));

const serve = (db: BetterSqlite3.Database): void => {
  const prepared = new Map<string, BetterSqlite3.Statement<unknown[]>>();
  const statement = (sql: string): BetterSqlite3.Statement<unknown[]> => {
    const known = prepared.get(sql);
    if (known !== undefined) return known;
    const fresh = db.prepare<unknown[]>(sql);
    prepared.set(sql, fresh);
    return fresh;
  };
  const write = db.transaction((statements: Statement[]) =>
    statements.map(({ sql, values }) => statement(sql).run(...bound(values)).changes),
  );
  const run = (request: WorkerRequest): unknown => {
    if (request.kind === 'all') return statement(request.sql).all(...bound(request.values));
    if (request.kind === 'write') return write.immediate(request.statements);
    db.close();
    return null;
  };
  port.on('message', (request: WorkerRequest) => {
    try {
      answer({ id: request.id, result: run(request) });
    } catch (error) {
      answer({ id: request.id, failure: describe(error) });
    }
    if (request.kind === 'close') port.close();
  });
};

const describe = (error: unknown): { message: string; code: string } => ({
  message: error instanceof Error ? error.message : String(error),
  code: error instanceof Error && 'code' in error ? String(error.code) : '',
});

const answer = (message: WorkerAnswer): void => port.postMessage(message);

try {
  const db = openDatabase(await loadDriver(), workerData as OpenRequest);
  serve(db);
  answer({ id: 0, result: null });
} catch (error) {
  answer({ id: 0, failure: describe(error) });
  port.close();
}
