/** The agent's database without its thread, which takes a while to start, and without fsync, which no killed process misses. */
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import Database from 'better-sqlite3';
import { type SqlValue, type Statement, type Store, StoreError } from '#agent/ports/store';
import { MIGRATIONS } from '#agent/ports/store-schema';

const attempt = async <T>(act: () => T): Promise<T> => {
  try {
    return act();
  } catch (error) {
    const { message, code = '' } = error as Error & { code?: string };
    throw new StoreError(message, code);
  }
};

export const openPlainStore = (file: string): Store => {
  mkdirSync(dirname(file), { recursive: true });
  const db = new Database(file);
  for (const pragma of ['journal_mode = WAL', 'synchronous = OFF', 'foreign_keys = ON']) db.pragma(pragma);
  const have = db.pragma('user_version', { simple: true }) as number;
  for (const sql of MIGRATIONS.slice(have)) db.exec(sql);
  db.pragma(`user_version = ${MIGRATIONS.length}`);
  const write = db.transaction((statements: readonly Statement[]) =>
    statements.map(({ sql, values = [] }) => db.prepare(sql).run(...values).changes),
  );
  return {
    all: <Row>(sql: string, values: readonly SqlValue[] = []) => attempt(() => db.prepare(sql).all(...values) as Row[]),
    write: (...statements) => attempt(() => write.immediate(statements)),
    close: async () => void db.close(),
  };
};
