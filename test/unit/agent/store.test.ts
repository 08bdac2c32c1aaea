/** The database in its thread: real files, real SQLite. */
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createJobs } from '#agent/backups/jobs';
import { openStore, type Store } from '#agent/ports/store';
import { MIGRATIONS } from '#agent/ports/store-schema';

let directory: string;
let file: string;
const opened: Store[] = [];
const open = async (migrations?: readonly string[]): Promise<Store> => {
  const store = await openStore(file, migrations);
  opened.push(store);
  return store;
};
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'felhom-store-'));
  file = join(directory, 'state', 'felhom.db');
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((store) => store.close()));
  rmSync(directory, { recursive: true });
});

const V1 = 'CREATE TABLE things (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;';
const V2 = 'ALTER TABLE things ADD COLUMN size INTEGER;';

test('the database and its directory are for their owner only, and fully durable', async () => {
  const store = await open();
  await store.write({ sql: "INSERT INTO audit (at, who, what, details) VALUES (1, 'root', 'x', '{}')" });
  expect(statSync(join(directory, 'state')).mode & 0o777).toBe(0o700);
  for (const name of readdirSync(join(directory, 'state')))
    expect(statSync(join(directory, 'state', name)).mode & 0o777).toBe(0o600);
  const pragma = async (name: string) => Object.values((await store.all<Record<string, unknown>>(`PRAGMA ${name}`))[0] ?? {})[0];
  expect([await pragma('journal_mode'), await pragma('synchronous'), await pragma('foreign_keys')]).toEqual(['wal', 2, 1]);
});

test('a directory that others could read is closed to them', async () => {
  await (await open()).close();
  chmodSync(join(directory, 'state'), 0o755);
  chmodSync(file, 0o644);
  await open();
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(statSync(join(directory, 'state')).mode & 0o777).toBe(0o700);
});

test.each([0o755, 0o1777])("somebody else's directory (%o) is refused, and not closed to its users", async (mode) => {
  mkdirSync(join(directory, 'state', 'theirs'), { recursive: true });
  chmodSync(join(directory, 'state'), mode);
  await expect(openStore(file)).rejects.toThrow(/open to others.*Name a directory for the agent alone/);
  expect(statSync(join(directory, 'state')).mode & 0o7777).toBe(mode);
  expect(existsSync(file)).toBe(false);
});

test('statements of one write are all done or none', async () => {
  const store = await open([V1]);
  const insert = (name: string) => ({ sql: 'INSERT INTO things (name) VALUES (?)', values: [name] });
  expect(await store.write(insert('a'), insert('b'))).toEqual([1, 1]);
  await expect(store.write(insert('c'), insert('a'))).rejects.toMatchObject({
    name: 'StoreError',
    code: 'SQLITE_CONSTRAINT_UNIQUE',
  });
  await expect(store.write(insert('d'), { sql: 'nonsense' })).rejects.toThrow(/syntax/);
  expect(await store.all('SELECT name FROM things ORDER BY name')).toEqual([{ name: 'a' }, { name: 'b' }]);
});

test('bytes come back as they went', async () => {
  const store = await open(['CREATE TABLE hashes (hash BLOB PRIMARY KEY) STRICT;']);
  const hash = Buffer.from([0, 1, 254, 255]);
  await store.write({ sql: 'INSERT INTO hashes VALUES (?)', values: [hash] });
  const [row] = await store.all<{ hash: Uint8Array }>('SELECT hash FROM hashes WHERE hash = ?', [hash]);
  expect(Buffer.from(row?.hash ?? [])).toEqual(hash);
});

test('a full disk is told, nothing is half written, and the store goes on when there is room', async () => {
  const store = await open([V1]);
  await store.write({ sql: "INSERT INTO things (name) VALUES ('a')" });
  const [{ page_count: pages = 0 } = {}] = await store.all<{ page_count: number }>('PRAGMA page_count');
  await store.all(`PRAGMA max_page_count = ${pages}`);
  const big = { sql: 'INSERT INTO things (name) VALUES (?)', values: ['x'.repeat(100_000)] };
  await expect(store.write({ sql: "INSERT INTO things (name) VALUES ('b')" }, big)).rejects.toMatchObject({
    code: 'SQLITE_FULL',
  });
  expect(await store.all('SELECT name FROM things')).toEqual([{ name: 'a' }]);
  await store.all('PRAGMA max_page_count = 100000');
  await store.write(big);
});

test('migrations run in order, once, and a copy of the former state is kept', async () => {
  const first = await open([V1]);
  await first.write({ sql: "INSERT INTO things (name) VALUES ('a')" });
  await first.close();
  expect(existsSync(`${file}.before-v1`)).toBe(false);

  const second = await open([V1, V2]);
  expect(await second.all('SELECT name, size FROM things')).toEqual([{ name: 'a', size: null }]);
  expect(statSync(`${file}.before-v2`).mode & 0o777).toBe(0o600);
  await second.close();
  await (await open([V1, V2])).close();
  expect(readdirSync(join(directory, 'state')).filter((name) => name.includes('before'))).toEqual(['felhom.db.before-v2']);

  rmSync(file);
  file = `${file}.before-v2`;
  const copy = await open([V1]);
  expect(await copy.all('SELECT name FROM things')).toEqual([{ name: 'a' }]);
});

test('jobs of an agent that knew nothing of applications are read as they were', async () => {
  const former = await open(MIGRATIONS.slice(0, 2));
  await former.write({
    sql: "INSERT INTO backup_jobs (job_id, vmid, state, storage, created_at, label, consistency_point_at) VALUES ('j1', 101, 'running', 'bak', 1, 'filesystem', 2)",
  });
  await former.close();
  const jobs = createJobs(await open());
  const [job] = await jobs.unfinished();
  expect(job).toMatchObject({ jobId: 'j1', consistencyPointAt: 2, warnings: [], intends: [], heldApps: null, oneInstant: null });
  const apps = [{ app: 'db', held: true, held_ms: 3, covered: false }];
  if (job) await jobs.save({ ...job, intends: ['db'], heldApps: apps, oneInstant: false });
  expect(await jobs.byId(101, 'j1')).toMatchObject({ intends: ['db'], heldApps: apps, oneInstant: false });
  expect(await jobs.byId(102, 'j1')).toBeNull();
});

test('a migration that fails leaves the database as it was', async () => {
  const first = await open([V1]);
  await first.write({ sql: "INSERT INTO things (name) VALUES ('a')" });
  await first.close();
  await expect(openStore(file, [V1, `${V2} CREATE TABLE other (id INTEGER) STRICT; nonsense;`])).rejects.toThrow(/syntax/);
  const again = await open([V1]);
  expect(await again.all('PRAGMA table_info(things)')).toHaveLength(2);
  expect(await again.all("SELECT name FROM sqlite_schema WHERE name = 'other'")).toEqual([]);
});

test('a database of a newer agent is refused with a sentence', async () => {
  await (await open([V1, V2])).close();
  await expect(openStore(file, [V1])).rejects.toThrow(/written by a newer felhom-agent \(schema 2; this one knows 1\).*Install/);
});

test('what is not a database is refused', async () => {
  await (await open([V1])).close();
  const { writeFileSync } = await import('node:fs');
  writeFileSync(file, 'x'.repeat(8192));
  await expect(openStore(file, [V1])).rejects.toThrow(/felhom\.db cannot be used: .*not a database/);
});

test('one agent at a time: another one is refused at once, until the first has closed or was killed', async () => {
  const first = await open([V1]);
  await expect(openStore(file, [V1, V2])).rejects.toThrow(/running already.*felhom\.db.*Stop it/);
  expect(existsSync(`${file}.before-v2`)).toBe(false);
  await first.write({ sql: "INSERT INTO things (name) VALUES ('a')" });
  await first.close();
  const next = await open([V1]);
  expect(await next.all('SELECT name FROM things')).toEqual([{ name: 'a' }]);
});

test('after closing, calls are refused', async () => {
  const store = await open([V1]);
  await store.close();
  await store.close();
  await expect(store.all('SELECT 1')).rejects.toMatchObject({ name: 'StoreError' });
});

test('the event loop goes on while the database is busy', async () => {
  const store = await open([V1]);
  let ticks = 0;
  const timer = setInterval(() => {
    ticks += 1;
  }, 5);
  await store.all('WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1500000) SELECT count(*) FROM n');
  clearInterval(timer);
  expect(ticks).toBeGreaterThan(5);
});
