/** MariaDB, a real server: what is ready without a hold, a lock that stops writers only, and that it falls whatever happens to us. */
import { cp, mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import driver from 'mysql2';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Session, State } from '#controller/quiesced/adapters/adapter';
import { mysql as adapter } from '#controller/quiesced/adapters/mysql';
import type { Engine } from '../../engines/engine.ts';
import { mariadb, mariadbMyisam, mariadbWith } from '../../engines/mariadb.ts';
import { giveTo, serverAccount } from '../../engines/process.ts';
import { entryOf, type Holder, holdNow, killHolders, startHolder, waits } from './holder.ts';

const lacks = mariadb.lacks();
const SECRET = 'correct horse battery staple';
const LEASE_MS = 20_000;

let dir: string;
let undo: (() => Promise<unknown> | unknown)[];
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'felhom-my-'));
  undo = [() => rm(dir, { recursive: true, force: true })];
});
afterEach(async () => {
  await killHolders();
  for (const step of undo.reverse()) await step();
});

const dirs = () => ({ data: join(dir, 'data'), run: join(dir, 'run') });
const start = async (kind = mariadbMyisam, log?: string): Promise<Engine> => {
  const engine = await kind.start({ ...dirs(), ...(log === undefined ? {} : { log }) });
  undo.push(() => engine.stop());
  return engine;
};
const startWith = (settings: Record<string, string>) => start(mariadbWith('mariadb', settings));
/** In this process, which logs in as itself. */
const open = async (engine: Engine, keys: Record<string, unknown> = {}, password: string | null = null): Promise<Session> => {
  const run = () => Promise.reject(new Error('no program is run for MariaDB'));
  const app = entryOf('mysql', { ...engine.entry, role: userInfo().username, ...keys });
  const session = await adapter.open(app, { run, monotonic: () => performance.now(), password });
  undo.push(() => session.close());
  return session;
};
/** In a process of its own, as the server's account. */
const child = (engine: Engine, keys: Record<string, unknown> = {}): Holder =>
  startHolder(entryOf('mysql', { ...engine.entry, ...keys }));
/** The customer's own connection. */
const stranger = async (): Promise<(sql: string) => Promise<Record<string, unknown>[]>> => {
  const connection = driver.createConnection({ socketPath: join(dir, 'run', 'mysqld.sock'), user: userInfo().username });
  connection.on('error', () => undefined);
  undo.push(() => connection.destroy());
  return (sql) =>
    new Promise((resolve, reject) => {
      connection.query(sql, (error, rows) => (error === null ? resolve(rows as Record<string, unknown>[]) : reject(error)));
    });
};
const errorOf = (work: Promise<unknown>): Promise<Error> =>
  work.then(
    () => new Error('it did not fail'),
    (error: Error) => error,
  );
/** So long an insert takes from now on. */
const insertMs = async (engine: Engine, row: number): Promise<number> => {
  const began = performance.now();
  await engine.commit(row);
  return performance.now() - began;
};

describe.skipIf(lacks !== null)('MariaDB (skipped without its server and an account mysql)', () => {
  describe('what kind it is', () => {
    test('InnoDB alone needs no hold: the system’s own Aria tables do not count, nor empty ones', async () => {
      const engine = await start(mariadb);
      const send = await stranger();
      await send('CREATE TABLE kept.empty (id INT) ENGINE=MyISAM');
      await send('CREATE TABLE kept.memory (id INT) ENGINE=MEMORY');
      await send('INSERT INTO kept.memory VALUES (1)');
      await send('CREATE VIEW kept.seen AS SELECT id FROM kept.rows_log');
      const session = await open(engine);
      await expect(session.prepare()).resolves.toEqual({ kind: 'mysql-innodb', running: true });
      await engine.commit(1);
      await expect(session.stillHeld(LEASE_MS)).resolves.toBe(true);
    });

    test.each(['MyISAM', 'Aria', 'CSV', 'ARCHIVE'])('rows in a table of %s make it mixed', async (name) => {
      const engine = await startWith({ 'plugin-maturity': 'gamma' });
      const send = await stranger();
      if (name === 'ARCHIVE') await send("INSTALL SONAME 'ha_archive'");
      await send(`CREATE TABLE kept.other (id INT NOT NULL) ENGINE=${name}`);
      await send('INSERT INTO kept.other VALUES (1)');
      await expect((await open(engine)).prepare()).resolves.toEqual({ kind: 'mysql-mixed', running: true });
    });

    test('a table that would have to be held and is made afterwards is seen', async () => {
      const session = await open(await start(mariadb));
      await session.prepare();
      const send = await stranger();
      await send('CREATE TABLE kept.late (id INT) ENGINE=MyISAM');
      await expect(session.stillHeld(LEASE_MS)).resolves.toBe(true);
      await send('INSERT INTO kept.late VALUES (1)');
      await expect(session.stillHeld(LEASE_MS)).resolves.toBe(false);
    });
  });

  describe('what is not ready', () => {
    test.each([
      [{ 'innodb-flush-log-at-trx-commit': '2' }, /innodb_flush_log_at_trx_commit is not 1/],
      [{ 'innodb-flush-log-at-trx-commit': '0' }, /innodb_flush_log_at_trx_commit is not 1/],
      [{ 'innodb-doublewrite': 'OFF' }, /innodb_doublewrite is off/],
      [{ 'innodb-flush-method': 'nosync' }, /nothing is flushed/],
    ])('%j', async (settings, why) => {
      const session = await open(await startWith(settings));
      await expect(session.prepare()).rejects.toThrow(why);
      await expect(session.stillHeld(LEASE_MS)).resolves.toBe(false);
    });

    test('a setting that is changed afterwards is seen', async () => {
      const session = await open(await start(mariadb));
      await session.prepare();
      await (await stranger())('SET GLOBAL innodb_flush_log_at_trx_commit = 2');
      await expect(session.stillHeld(LEASE_MS)).resolves.toBe(false);
    });

    test('missing rights, with what grants them; RELOAD only where it locks', async () => {
      const engine = await start(mariadb);
      const send = await stranger();
      await send(`CREATE USER 'back@up'@'localhost' IDENTIFIED BY '${SECRET}'`);
      const keys = { role: 'back@up' };
      const session = await open(engine, keys, SECRET);
      await expect(session.prepare()).rejects.toThrow("GRANT SELECT, PROCESS ON *.* TO 'back@up'@'localhost'");
      await send("GRANT SELECT, PROCESS ON *.* TO 'back@up'@'localhost'");
      await expect(session.prepare()).resolves.toMatchObject({ kind: 'mysql-innodb' });
      await expect((await open(engine, { ...keys, hold: 'always' }, SECRET)).prepare()).rejects.toThrow('GRANT RELOAD ON *.*');
      await send("GRANT RELOAD ON *.* TO 'back@up'@'localhost'");
      await expect((await open(engine, { ...keys, hold: 'always' }, SECRET)).prepare()).resolves.toMatchObject({ running: true });
    });

    test('a wrong password, which is in no message', async () => {
      const engine = await start(mariadb);
      await (await stranger())(`CREATE USER guarded@localhost IDENTIFIED BY '${SECRET}'`);
      const error = await errorOf((await open(engine, { role: 'guarded' }, `not ${SECRET}`)).prepare());
      expect(error.message).toMatch(/Access denied for user 'guarded'@'localhost'/);
      expect(`${error.message}${error.stack}${JSON.stringify(error.cause)}`).not.toContain(SECRET);
    });

    test('a server that is not there', async () => {
      const engine = await start(mariadb);
      const session = await open(engine);
      await session.prepare();
      await engine.kill();
      await expect(session.stillHeld(LEASE_MS)).resolves.toBe(false);
      await expect((await open(engine)).prepare()).rejects.toThrow(/cannot be reached/);
    });

    test('another server than the one that was made ready', async () => {
      const engine = await start(mariadb);
      const session = await open(engine);
      await session.prepare();
      await engine.stop();
      await start(mariadb);
      await expect(session.stillHeld(LEASE_MS)).resolves.toBe(false);
    });
  });

  describe('a hold', () => {
    test('stops writers and lets readers go, as the server’s own account, by unix_socket', async () => {
      const engine = await start();
      await engine.commit(1);
      const holder = child(engine);
      const { ready, state } = await holdNow(holder, LEASE_MS);
      expect(ready).toEqual({ kind: 'mysql-mixed', running: true });
      const write = engine.commit(2);
      await expect(waits(write, 500)).resolves.toBe(true);
      await expect(engine.rows()).resolves.toEqual([1]);
      await expect(holder.stillHeld(LEASE_MS)).resolves.toBe(true);
      await holder.release(state);
      await expect(waits(write, 1000)).resolves.toBe(false);
      await expect(holder.stillHeld(LEASE_MS)).resolves.toBe(false);
      await holder.release(state);
    });

    test('a copy that is made under it is whole, and one that is not is broken', async () => {
      const engine = await start();
      for (let row = 1; row <= 100; row += 1) await engine.commit(row);
      // A cut is one instant: nothing is written while it is copied.
      const copy = async (to: string) => {
        process.kill(engine.pid, 'SIGSTOP');
        await cp(join(dir, 'data'), join(dir, to), { recursive: true });
        process.kill(engine.pid, 'SIGCONT');
      };
      await copy('free');
      const session = await open(engine);
      const { state } = await holdNow(session, LEASE_MS);
      await copy('held');
      await session.release(state);

      const held = await mariadbMyisam.start({ data: join(dir, 'held'), run: join(dir, 'run2') });
      undo.push(() => held.stop());
      await held.check();
      await expect(held.rows()).resolves.toHaveLength(100);
      const free = await mariadbMyisam.start({ data: join(dir, 'free'), run: join(dir, 'run3') });
      undo.push(() => free.stop());
      await expect(free.check()).rejects.toThrow();
      await expect(free.rows()).rejects.toThrow();
    });

    test('behind a long write it gives up within 5 s and says why; other writers wait no longer', async () => {
      const engine = await start();
      // However much longer the application itself may be held.
      const holder = child(engine, { hold_timeout: '30s' });
      await holder.prepare();
      const state = await holder.look();
      const busy = await stranger();
      const long = busy('INSERT INTO kept.rows_plain SELECT 1000, SLEEP(8)');
      await sleep(300);
      const began = performance.now();
      const hold = errorOf(holder.hold(state, LEASE_MS));
      await sleep(300);
      const other = (await stranger())('INSERT INTO kept.rows_log VALUES (1001, "")').then(() => performance.now() - began);
      const error = await hold;
      expect(error.message).toMatch(
        /^its writers did not come to rest within [45]\.\d s: connection \d+ of user \w+ has been busy for \d s$/,
      );
      expect(performance.now() - began).toBeLessThan(5500);
      await expect(other).resolves.toBeLessThan(5500);
      await expect(holder.stillHeld(LEASE_MS)).resolves.toBe(false);
      await holder.release(state);
      await long;
    });

    test('that is let go while it still waits for writers stalls nobody any more', async () => {
      const engine = await start();
      const session = await open(engine);
      await session.prepare();
      const state = await session.look();
      const long = (await stranger())('INSERT INTO kept.rows_plain SELECT 1000, SLEEP(4)');
      await sleep(300);
      const hold = errorOf(session.hold(state, LEASE_MS));
      await sleep(300);
      await session.release(state);
      await expect((await stranger())('INSERT INTO kept.rows_log VALUES (1001, "")')).resolves.toBeDefined();
      expect(await waits(long, 0)).toBe(true);
      expect((await hold).message).toMatch(/did not come to rest|let go/);
      await long;
      await expect(insertMs(engine, 1)).resolves.toBeLessThan(1000);
    });

    test('that somebody ended at the server does not stand', async () => {
      const engine = await start();
      const session = await open(engine);
      const { state } = await holdNow(session, LEASE_MS);
      const send = await stranger();
      const [row] = await send(`SELECT IS_USED_LOCK('${String(state?.lock)}') AS id`);
      await send(`KILL ${String(row?.id)}`);
      await expect(session.stillHeld(LEASE_MS)).resolves.toBe(false);
      await session.release(state);
    });

    test('needs a name that the lease knows', async () => {
      const session = await open(await start());
      await session.prepare();
      await expect(session.hold(null, LEASE_MS)).rejects.toThrow();
      await expect(session.release(null)).resolves.toBeUndefined();
    });
  });

  describe('whatever happens to the one who holds', () => {
    const held = async (leftMs: number): Promise<{ engine: Engine; holder: Holder; state: State }> => {
      const engine = await start();
      const holder = child(engine);
      const { state } = await holdNow(holder, leftMs);
      return { engine, holder, state };
    };

    test('stopped and silent, the server itself lets go by the end of the lease and a second', async () => {
      const leaseMs = 4000;
      const engine = await start();
      const holder = child(engine);
      await holder.prepare();
      const state = await holder.look();
      const began = performance.now();
      await holder.hold(state, leaseMs);
      await sleep(1000);
      await expect(holder.stillHeld(leaseMs - (performance.now() - began))).resolves.toBe(true);
      process.kill(holder.pid, 'SIGSTOP');
      await engine.commit(1);
      const freed = performance.now() - began;
      expect(freed).toBeLessThan(leaseMs + 1000);
      expect(freed).toBeGreaterThan(leaseMs - 1000);
      process.kill(holder.pid, 'SIGCONT');
      await expect(holder.stillHeld(leaseMs)).resolves.toBe(false);
    });

    test('killed, writers go on at once, and a process that knows the lease only can say so', async () => {
      const { engine, holder, state } = await held(LEASE_MS);
      await holder.kill();
      const fresh = await open(engine);
      await fresh.release(state);
      await expect(insertMs(engine, 1)).resolves.toBeLessThan(1000);
      await fresh.release(state);
    });

    test('stopped, a process that knows the lease only ends the lock', async () => {
      const { engine, holder, state } = await held(LEASE_MS);
      process.kill(holder.pid, 'SIGSTOP');
      const write = engine.commit(1);
      await expect(waits(write, 300)).resolves.toBe(true);
      await (await open(engine)).release(state);
      await expect(waits(write, 1000)).resolves.toBe(false);
    });

    test('with the server gone, nothing is held', async () => {
      const { engine, holder, state } = await held(LEASE_MS);
      await engine.kill();
      await expect(holder.release(state)).resolves.not.toThrow();
      await expect((await open(engine)).release(state)).resolves.toBeUndefined();
    });

    test('a server that does not answer is not called free', async () => {
      const { engine, holder, state } = await held(LEASE_MS);
      process.kill(engine.pid, 'SIGSTOP');
      undo.push(() => process.kill(engine.pid, 'SIGCONT'));
      await holder.kill();
      await expect((await open(engine)).release(state)).rejects.toThrow(/does not answer/);
    });
  });

  describe('where its data lies', () => {
    test('the redo log, the binary log and tables on other volumes are told', async () => {
      const [log, binlog, other] = [join(dir, 'redo'), join(dir, 'binlog'), join(dir, 'other')];
      const account = serverAccount('mysql');
      await Promise.all([binlog, other].map((path) => mkdir(path)));
      if (account !== null) await giveTo(account, [binlog, other]);
      const engine = await start(mariadbWith('mariadb', { 'log-bin': join(binlog, 'log') }), log);
      const send = await stranger();
      await send(`CREATE TABLE kept.apart (id INT PRIMARY KEY) ENGINE=InnoDB DATA DIRECTORY='${other}'`);
      await send(`CREATE TABLE kept.plain (id INT) ENGINE=MyISAM DATA DIRECTORY='${other}'`);
      const found = await child(engine).whereDataLies();
      expect([...(found ?? [])].sort()).toEqual(
        [join(dir, 'data'), log, binlog, join(other, 'kept'), join(dir, 'data', 'kept', 'plain.MYD')].sort(),
      );
    });

    test('a directory of that name that is not the server’s own is not known', async () => {
      const session = await open(await start(mariadb));
      await expect(session.whereDataLies()).resolves.toEqual([join(dir, 'data')]);
      const [data, away] = [join(dir, 'data'), join(dir, 'away')];
      await rename(data, away);
      await cp(away, data, { recursive: true });
      await expect(session.whereDataLies()).resolves.toBeNull();
      await rm(data, { recursive: true });
      await rename(away, data);
    });

    test.skipIf(process.getuid?.() !== 0)('an account that may not look does not know (skipped without root)', async () => {
      const engine = await start(mariadb);
      await (await stranger())(`CREATE USER nobody@localhost IDENTIFIED VIA unix_socket`);
      await (await stranger())('GRANT SELECT, PROCESS ON *.* TO nobody@localhost');
      const holder = child(engine, { user: 'nobody' });
      await expect(holder.prepare()).resolves.toMatchObject({ kind: 'mysql-innodb' });
      await expect(holder.whereDataLies()).resolves.toBeNull();
    });
  });
});
