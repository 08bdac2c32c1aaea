/** SQLite, with an application in a process of its own and a holder in another: locks are real, and end with their process. */
import { chmodSync, chownSync, existsSync, lchownSync, renameSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { cp, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { sqlite as adapter } from '#controller/quiesced/adapters/sqlite';
import { type SqliteEngine, sqlite, sqliteWith } from '../../engines/sqlite.ts';
import { entryOf, type Holder, holdNow, killHolders, startHolder, waits } from './holder.ts';

const isRoot = process.getuid?.() === 0;

let dir: string;
let undo: (() => unknown)[];
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'felhom-sqlite-'));
  undo = [() => rm(dir, { recursive: true, force: true })];
});
afterEach(async () => {
  await killHolders();
  for (const step of undo.reverse()) await step();
});

const start = async (kind = sqlite, data = 'data'): Promise<SqliteEngine> => {
  const engine = await kind.start({ data: join(dir, data), run: join(dir, 'run') });
  undo.push(() => engine.stop());
  return engine;
};
const entry = (engine: { entry: Record<string, unknown> }, more: Record<string, unknown> = {}) =>
  entryOf('sqlite', { ...engine.entry, ...more });
const open = (engine: SqliteEngine, more?: Record<string, unknown>): Holder => startHolder(entry(engine, more));
const rowsIn = (path: string): unknown => {
  const db = new Database(path);
  try {
    return db.prepare('SELECT count(*) FROM kept').pluck().get();
  } finally {
    db.close();
  }
};

describe.skipIf(sqlite.lacks() !== null)('SQLite (skipped without better-sqlite3)', () => {
  describe.each([
    ['a write-ahead log', sqliteWith('WAL')],
    ['a rollback journal', sqliteWith('DELETE')],
  ])('with %s', (_what, kind) => {
    test('writers wait while it is held and readers do not; then the writers go on', async () => {
      const engine = await start(kind);
      await engine.commit(1);
      const holder = open(engine);
      const { ready, state } = await holdNow(holder, 15_000);
      expect(ready).toEqual({ kind: 'sqlite', running: true });
      const write = engine.commit(2);
      expect(await waits(write, 400)).toBe(true);
      expect(await engine.rows()).toEqual([1]);
      expect(await holder.stillHeld(1000)).toBe(true);

      const asked = performance.now();
      await holder.release(state);
      await write;
      expect(performance.now() - asked).toBeLessThan(500);
      await holder.release(state);
      expect(await engine.rows()).toEqual([1, 2]);
    });

    test('killed, the holder lets go at once; another one sees that it has', async () => {
      const engine = await start(kind);
      const holder = open(engine);
      const { state } = await holdNow(holder, 15_000);
      const [write, other] = [engine.commit(1), open(engine)];
      expect(await waits(write, 300)).toBe(true);
      await expect(other.release(state)).rejects.toThrow(/still has the lock/);
      await holder.kill();
      expect(await waits(write, 500)).toBe(false);
      await other.release(state);
      await other.release(null);
    });

    test('one descriptor of each file, and only of its own', async () => {
      const engine = await start(kind);
      await engine.commit(1);
      const holder = open(engine);
      await holdNow(holder, 15_000);
      await holder.stillHeld(1000);
      await holder.whereDataLies();
      const files = holder.descriptors().filter((path) => path.startsWith(dir));
      expect(new Set(files).size).toBe(files.length);
      expect(files).toContain(engine.path);
    });

    test('a lock that was lost shows with the first write', async () => {
      const engine = await start(kind);
      await engine.commit(1);
      const holder = open(engine);
      await holdNow(holder, 15_000);
      expect(await holder.stillHeld(1000)).toBe(true);
      // Reading a file and closing it drops every lock that the process has on it.
      for (const path of [engine.path, `${engine.path}-shm`]) if (existsSync(path)) await holder.read(path);
      await engine.commit(2);
      expect(await holder.stillHeld(1000)).toBe(false);
    });

    test('a copy of what is held has every row', async () => {
      const engine = await start(kind);
      for (let row = 0; row < 50; row += 1) await engine.commit(row);
      await holdNow(open(engine), 15_000);
      await cp(join(dir, 'data'), join(dir, 'copy'), { recursive: true, filter: (path) => !path.endsWith('-shm') });
      const restored = await start(kind, 'copy');
      await restored.check();
      expect(await restored.rows()).toHaveLength(50);
    });

    test('a database that was replaced is neither ready nor held', async () => {
      const engine = await start(kind);
      const [ready, held] = [open(engine), open(engine)];
      await ready.prepare();
      expect(await ready.stillHeld(1000)).toBe(true);
      const { state } = await holdNow(held, 15_000);
      await cp(engine.path, `${engine.path}.new`);
      renameSync(`${engine.path}.new`, engine.path);
      expect(await ready.stillHeld(1000)).toBe(false);
      expect(await held.stillHeld(1000)).toBe(false);
      await held.release(state);
      await expect(ready.hold(await ready.look(), 1000)).rejects.toThrow(/replaced/);
    });
  });

  test('made ready, what the log held is in the database itself', async () => {
    const engine = await start();
    for (let row = 0; row < 20; row += 1) await engine.commit(row);
    await open(engine).prepare();
    await cp(engine.path, join(dir, 'alone.db'));
    expect(rowsIn(join(dir, 'alone.db'))).toBe(20);
  });

  test('a reader in the way of the checkpoint does not prevent it: the log has what is missing', async () => {
    const engine = await start();
    await engine.commit(1);
    await engine.exec('PRAGMA wal_checkpoint(TRUNCATE)');
    const reader = new Database(engine.path);
    undo.push(() => reader.close());
    reader.exec('BEGIN');
    reader.prepare('SELECT count(*) FROM kept').get();
    for (let row = 2; row <= 20; row += 1) await engine.commit(row);
    const holder = open(engine);
    const { state } = await holdNow(holder, 15_000);
    await mkdir(join(dir, 'copy'));
    await cp(engine.path, join(dir, 'alone.db'));
    expect(rowsIn(join(dir, 'alone.db'))).toBe(1);

    for (const end of ['', '-wal']) await cp(engine.path + end, join(dir, 'copy', `app.db${end}`));
    // Somebody else's checkpoint moves what was written before, and writes nothing new.
    reader.exec('COMMIT');
    reader.pragma('wal_checkpoint(PASSIVE)');
    await cp(engine.path, join(dir, 'later.db'));
    expect(rowsIn(join(dir, 'later.db'))).toBe(20);
    expect(await holder.stillHeld(1000)).toBe(true);
    await holder.release(state);
    expect(await (await start(sqlite, 'copy')).rows()).toHaveLength(20);
  });

  test('a writer that keeps the lock for longer than hold_timeout: told in time, and nothing is held', async () => {
    const engine = await start();
    const holder = open(engine, { hold_timeout: '1s' });
    await holder.prepare();
    const state = await holder.look();
    await engine.exec('BEGIN IMMEDIATE');
    const began = performance.now();
    await expect(holder.hold(state, 15_000)).rejects.toThrow(/another writer kept .* locked for/);
    expect(performance.now() - began).toBeLessThan(1000);
    await engine.exec('COMMIT');
    await engine.commit(1);
  });

  test('let go in the middle of being held: at once, and nothing is held afterwards', async () => {
    const engine = await start();
    const holder = open(engine);
    await holder.prepare();
    const state = await holder.look();
    await engine.exec('BEGIN IMMEDIATE');
    const refused = expect(holder.hold(state, 15_000)).rejects.toThrow(/let go/);
    const began = performance.now();
    await holder.release(state);
    await refused;
    expect(performance.now() - began).toBeLessThan(500);
    await engine.exec('COMMIT');
    await engine.commit(1);
  });

  test('where its data lies: the file with links followed, and the directory of its log', async () => {
    const engine = await start();
    symlinkSync(join(dir, 'data'), join(dir, 'link'));
    const holder = startHolder(entry({ entry: { adapter: 'sqlite', path: join(dir, 'link', 'app.db') } }));
    expect(await holder.whereDataLies()).toEqual([engine.path, join(dir, 'data')]);
  });

  test.each<[string, (path: string) => unknown, RegExp]>([
    ['is not there', () => undefined, /there is no database/],
    ['is a directory', (path) => mkdir(path), /there is no database/],
    ['is something else', (path) => writeFileSync(path, 'x'.repeat(5000)), /no SQLite database/],
  ])('a file that %s is refused with the reason', async (_what, make, sentence) => {
    const path = join(dir, 'some.db');
    await make(path);
    await expect(startHolder(entryOf('sqlite', { adapter: 'sqlite', path })).prepare()).rejects.toThrow(sentence);
  });

  test('files that are made beside the database are the application’s', async () => {
    const engine = await start();
    await engine.commit(1);
    const owner = statSync(engine.path).uid;
    // Nobody has it open now, so there is neither log nor index.
    await engine.stop();
    expect(existsSync(`${engine.path}-wal`)).toBe(false);
    const holder = open(engine);
    const { state } = await holdNow(holder, 15_000);
    for (const end of ['-wal', '-shm']) expect(statSync(engine.path + end).uid).toBe(owner);
    expect(statSync(`/proc/${holder.pid}`).uid).toBe(owner);
    await holder.release(state);
    const again = await start();
    await again.commit(2);
  });

  describe.skipIf(!isRoot)('whose account (skipped without root)', () => {
    const NOBODY = 65_534;
    const OTHER = 65_533;
    const account = (path: string) => adapter.account(entryOf('sqlite', { adapter: 'sqlite', path }));
    const file = (name: string, uid: number): string => {
      const path = join(dir, name);
      writeFileSync(path, '');
      chownSync(path, uid, uid);
      return path;
    };
    const link = (name: string, to: string, uid: number): string => {
      const path = join(dir, name);
      symlinkSync(to, path);
      lchownSync(path, uid, uid);
      return path;
    };

    test('the owner’s; by a link only of root’s or of the owner’s own', async () => {
      const path = file('app.db', NOBODY);
      const owner = { uid: NOBODY, gid: NOBODY, name: null };
      expect(await account(path)).toEqual(owner);
      expect(await account(link('by-root', path, 0))).toEqual(owner);
      expect(await account(link('by-owner', path, NOBODY))).toEqual(owner);
      await expect(account(link('by-other', path, OTHER))).rejects.toThrow(/belongs neither to root/);
      await expect(account(link('round', join(dir, 'round'), 0))).rejects.toThrow(/circle/);
    });

    test('root’s only where nobody else could have put the file there', async () => {
      const path = file('root.db', 0);
      expect(await account(path)).toEqual({ uid: 0, gid: 0, name: null });
      await expect(account(link('to-root', path, NOBODY))).rejects.toThrow(/belongs neither to root/);
      chownSync(dir, NOBODY, NOBODY);
      await expect(account(path)).rejects.toThrow(/chown root/);
      chownSync(dir, 0, 0);
      chmodSync(path, 0o666);
      await expect(account(path)).rejects.toThrow(/chmod 644/);
    });

    test('root’s, which quiesce.yaml names, is refused as well where others could have put the file there', async () => {
      const engine = await start();
      await engine.stop();
      chownSync(engine.path, NOBODY, NOBODY);
      await expect(open(engine, { user: 'root' }).prepare()).rejects.toThrow(/must belong to root/);
      expect(existsSync(`${engine.path}-wal`)).toBe(false);
    });

    test('another one that quiesce.yaml names is refused, before it leaves files behind', async () => {
      const engine = await start();
      await engine.stop();
      chmodSync(join(dir, 'data'), 0o777);
      chmodSync(engine.path, 0o666);
      await expect(open(engine, { user: 'daemon' }).prepare()).rejects.toThrow(/leave "user" out/);
      expect(existsSync(`${engine.path}-wal`)).toBe(false);
    });
  });
});
