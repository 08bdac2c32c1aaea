/** SQLite's application: a process of its own that writes a row every 20 ms, and says when it no longer can and when it can again. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

const PROGRAM = `
const [driver, path] = process.argv.slice(1);
const Database = require(driver);
const db = new Database(path, { timeout: 0 });
db.pragma('journal_mode = WAL');
db.pragma('synchronous = OFF');
db.exec('CREATE TABLE IF NOT EXISTS kept (row INTEGER PRIMARY KEY) STRICT');
const insert = db.prepare('INSERT INTO kept DEFAULT VALUES');
let writes = null;
let inLong = false;
const say = (able) => {
  if (able === writes) return;
  writes = able;
  process.send({ writes, at: Number(process.hrtime.bigint()) / 1e6 });
};
const tick = () => {
  if (inLong) return;
  try {
    insert.run();
    say(true);
  } catch (error) {
    if (!String(error.code).startsWith('SQLITE_BUSY')) throw error;
    say(false);
  }
};
setInterval(tick, 20);
process.on('message', (long) => {
  if (long === inLong) return;
  db.exec(long ? 'BEGIN IMMEDIATE' : 'COMMIT');
  inLong = long;
  process.send({ long, at: 0 });
});
process.on('disconnect', () => process.exit(0));
`;

export interface Writer {
  kill(): Promise<void>;
  /** A transaction of its own that lasts: nobody else gets the lock. */
  begin(): Promise<void>;
  commit(): Promise<void>;
}

/** @param changed it can write from this moment on, or cannot */
export const startWriter = async (path: string, changed: (writes: boolean, at: number) => void): Promise<Writer> => {
  const child = spawn(process.execPath, ['-e', PROGRAM, require.resolve('better-sqlite3'), path], {
    cwd: '/',
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  let long = false;
  let told = (): void => undefined;
  const first = new Promise<void>((resolve) => {
    child.on('message', (message: { writes?: boolean; at: number }) => {
      if (message.writes === undefined) return told();
      changed(message.writes, message.at);
      resolve();
    });
  });
  const ended = once(child, 'exit');
  await Promise.race([first, ended]);
  const set = async (wanted: boolean): Promise<void> => {
    if (long === wanted) return;
    long = wanted;
    const done = new Promise<void>((resolve) => {
      told = resolve;
    });
    child.send(wanted);
    await done;
  };
  return {
    kill: async () => {
      child.kill('SIGKILL');
      await ended;
    },
    begin: () => set(true),
    commit: () => set(false),
  };
};
