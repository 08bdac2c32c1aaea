/** SQLite as a test runs it: an application in a process of its own, with its own connection, so that its locks are real. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { Engine, EngineKind } from './engine.ts';
import { giveTo, serverAccount } from './process.ts';

const require = createRequire(import.meta.url);

/**
 * What runs in the other process: no loader of TypeScript there. It waits for a lock as an application with a long busy timeout
 * does, but between its tries it answers reads. FULL: what it calls committed is on disk.
 */
const WRITER = `
const [driver, path, mode, uid, gid] = process.argv.slice(1);
const Database = require(driver);
if (process.getuid() === 0) {
  process.setgroups([]);
  process.setgid(Number(gid));
  process.setuid(Number(uid));
}
const db = new Database(path, { timeout: 0 });
const busy = (error) => String(error.code).startsWith('SQLITE_BUSY');
const patiently = async (act) => {
  for (const until = performance.now() + 60_000; ; await new Promise((resolve) => setTimeout(resolve, 5))) {
    try {
      return act();
    } catch (error) {
      if (!busy(error) || performance.now() > until) throw error;
    }
  }
};
const body = (row) => ('body of ' + row + ' ').repeat(20);
const VERBS = {
  open: () => {
    db.pragma('journal_mode = ' + mode);
    db.pragma('synchronous = FULL');
    db.exec('CREATE TABLE IF NOT EXISTS kept (row INTEGER PRIMARY KEY, body TEXT NOT NULL) STRICT');
  },
  commit: (row) => void db.prepare('INSERT INTO kept (row, body) VALUES (?, ?)').run(row, body(row)),
  rows: () =>
    db.prepare('SELECT row, body FROM kept ORDER BY row').all().map((kept) => {
      if (kept.body !== body(kept.row)) throw new Error('row ' + kept.row + ' is not what was written');
      return kept.row;
    }),
  check: () => {
    const said = db.pragma('integrity_check', { simple: true });
    if (said !== 'ok') throw new Error(String(said));
  },
  exec: (sql) => void db.exec(sql),
  close: () => void db.close(),
};
process.on('message', ({ id, verb, value }) =>
  patiently(() => VERBS[verb](value)).then(
    (answer) => process.send({ id, answer }),
    (error) => process.send({ id, error: error.message }),
  ),
);
process.on('disconnect', () => process.exit(0));
`;

interface Answer {
  id: number;
  answer?: unknown;
  error?: string;
}

export interface SqliteEngine extends Engine {
  path: string;
  /** Any statement, by the application's own connection. */
  exec(sql: string): Promise<void>;
}

/** Rejects what is asked of it, and what was, once it has ended. */
const speakTo = (child: ChildProcess) => {
  const waiting = new Map<number, (answer: Answer) => void>();
  let last = 0;
  let said = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  child.on('message', (message) => {
    const answer = message as Answer;
    waiting.get(answer.id)?.(answer);
    waiting.delete(answer.id);
  });
  child.on('error', () => undefined);
  const ended = once(child, 'exit').then(() => {
    for (const tell of waiting.values()) tell({ id: 0, error: `the application has ended: ${said}` });
  });
  const ask = async (verb: string, value?: unknown): Promise<unknown> => {
    last += 1;
    const id = last;
    const { answer, error } = await new Promise<Answer>((resolve) => {
      waiting.set(id, resolve);
      const refused = (problem: Error | null) => problem && resolve({ id, error: `the application has ended: ${said}` });
      if (child.connected) child.send({ id, verb, value }, refused);
      else refused(new Error('gone'));
    });
    if (error !== undefined) throw new Error(error);
    return answer;
  };
  return { ask, ended };
};

/** As the user of this test, or as root as one who is not: SQLite's files then belong to somebody else than root. */
const ACCOUNT = 'nobody';

/** @param mode how its journal is kept: `WAL`, `DELETE` */
export const sqliteWith = (mode: 'WAL' | 'DELETE') =>
  ({
    name: 'sqlite',
    lacks: (): string | null => {
      try {
        require.resolve('better-sqlite3');
        return null;
      } catch {
        return 'SQLite: better-sqlite3 is not installed';
      }
    },
    /** The log lies beside the database, always: `dirs.log` is not used. */
    start: async (dirs: { data: string; run: string }): Promise<SqliteEngine> => {
      const account = serverAccount(ACCOUNT);
      if (account === null) throw new Error(`there is no account ${ACCOUNT}`);
      await giveTo(account, [dirs.data, dirs.run]);
      const path = join(dirs.data, 'app.db');
      // Root keeps no group either: { uid, gid } of spawn drop both.
      const child = spawn(process.execPath, ['-e', WRITER, require.resolve('better-sqlite3'), path, mode], {
        cwd: '/',
        stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
        ...(process.getuid?.() === 0 ? { uid: account.uid, gid: account.gid } : {}),
      });
      const { ask, ended } = speakTo(child);
      const kill = async () => {
        child.kill('SIGKILL');
        await ended;
      };
      try {
        await ask('open');
      } catch (error) {
        await kill();
        throw error;
      }
      return {
        pid: child.pid ?? 0,
        path,
        entry: { adapter: 'sqlite', path },
        commit: async (row) => void (await ask('commit', row)),
        rows: async () => (await ask('rows')) as number[],
        check: async () => void (await ask('check')),
        exec: async (sql) => void (await ask('exec', sql)),
        stop: async () => {
          await ask('close').catch(() => undefined);
          await kill();
        },
        kill,
      };
    },
  }) satisfies EngineKind;

export const sqlite = sqliteWith('WAL');
