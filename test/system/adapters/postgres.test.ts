/** PostgreSQL, a real server: what makes it ready, what makes that untrue again, and where its data lies. */
import { cp, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Session } from '#controller/quiesced/adapters/adapter';
import { postgres as adapter } from '#controller/quiesced/adapters/postgres';
import type { Engine } from '../../engines/engine.ts';
import { postgres, postgresWith } from '../../engines/postgres.ts';
import { giveTo, serverAccount } from '../../engines/process.ts';
import { entryOf, killHolders, startHolder } from './holder.ts';

const lacks = postgres.lacks();
const SECRET = 'correct horse battery staple';

let dir: string;
let undo: (() => Promise<unknown> | unknown)[];
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'felhom-pg-'));
  undo = [() => rm(dir, { recursive: true, force: true })];
});
afterEach(async () => {
  await killHolders();
  for (const step of undo.reverse()) await step();
});

const dirs = () => ({ data: join(dir, 'data'), run: join(dir, 'run') });
const start = async (settings: Record<string, string> = {}, log?: string): Promise<Engine> => {
  const engine = await postgresWith(settings).start({ ...dirs(), ...(log === undefined ? {} : { log }) });
  undo.push(() => engine.stop());
  return engine;
};
const entry = (engine: Engine, keys: Record<string, unknown> = {}) => entryOf('postgres', { ...engine.entry, ...keys });
const open = async (engine: Engine, keys: Record<string, unknown> = {}, password: string | null = null): Promise<Session> => {
  const run = () => Promise.reject(new Error('no program is run for PostgreSQL'));
  const session = await adapter.open(entry(engine, keys), { run, monotonic: () => performance.now(), password });
  undo.push(() => session.close());
  return session;
};
/** The customer's own connection, as the owner of the server. */
const sql = async (text: string): Promise<Record<string, unknown>[]> => {
  const user = serverAccount('postgres')?.name ?? '';
  const client = new pg.Client({ host: join(dir, 'run'), user, database: 'postgres' });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(text)).rows;
  } finally {
    await client.end();
  }
};
const checkpoints = async (): Promise<number> => Number((await sql('SELECT checkpoints_req AS n FROM pg_stat_bgwriter'))[0]?.n);
const took = async (work: Promise<unknown>): Promise<number> => {
  const began = performance.now();
  await work.catch(() => undefined);
  return performance.now() - began;
};

describe.skipIf(lacks !== null)('PostgreSQL (skipped without its server and an account postgres)', () => {
  test('it is made ready by a checkpoint, and stays so while it goes on working', async () => {
    const engine = await start();
    const before = await checkpoints();
    const session = await open(engine);
    await expect(session.prepare()).resolves.toEqual({ kind: 'postgres', running: true });
    await expect.poll(checkpoints).toBeGreaterThan(before);
    await engine.commit(1);
    await expect(session.stillHeld(10_000)).resolves.toBe(true);
    await expect(engine.rows()).resolves.toEqual([1]);
  });

  test('where a hold is asked for all the same, nothing is stopped, and nothing has to be let go', async () => {
    const engine = await start();
    const session = await open(engine, { hold: 'always' });
    await session.prepare();
    const state = await session.look();
    await session.hold(state, 10_000);
    await engine.commit(1);
    await expect(session.stillHeld(10_000)).resolves.toBe(true);
    await session.release(state);
    await engine.stop();
    // Also for one who only has the lease, and a server that somebody ended meanwhile.
    await expect((await open(engine)).release(state)).resolves.toBeUndefined();
  });

  test('as its own account, by peer authentication and the path of a socket', async () => {
    const engine = await start();
    await writeFile(join(dir, 'data', 'pg_hba.conf'), 'local all all peer\n');
    await sql('SELECT pg_reload_conf()');
    const holder = startHolder(entry(engine, { host: join(dir, 'run', '.s.PGSQL.5432') }));
    await expect(holder.prepare()).resolves.toEqual({ kind: 'postgres', running: true });
    await expect(holder.whereDataLies()).resolves.toEqual([join(dir, 'data'), join(dir, 'data', 'pg_wal')]);
    await expect(holder.stillHeld(10_000)).resolves.toBe(true);
  });

  describe('settings that make its files worthless', () => {
    test.each([
      ['fsync', /fsync is off/],
      ['full_page_writes', /full_page_writes is off/],
    ])('%s = off is not ready', async (name, why) => {
      const session = await open(await start({ [name]: 'off' }));
      await expect(session.prepare()).rejects.toThrow(why);
      await expect(session.stillHeld(10_000)).resolves.toBe(false);
    });

    test.each(['fsync', 'full_page_writes'])('%s switched off after it was made ready is seen', async (name) => {
      const session = await open(await start());
      await session.prepare();
      await sql(`ALTER SYSTEM SET ${name} = off`);
      await sql('SELECT pg_reload_conf()');
      await expect.poll(() => session.stillHeld(10_000)).toBe(false);
    });

    test('a standby is not ready', async () => {
      const first = await start();
      await first.stop();
      await writeFile(join(dir, 'data', 'standby.signal'), '');
      const session = await open(await start());
      await expect(session.prepare()).rejects.toThrow(/standby/);
    });
  });

  test('without the rights, the sentence names what grants them; with them it is ready', async () => {
    const engine = await start();
    await sql('CREATE ROLE "back-up" LOGIN');
    const session = await open(engine, { role: 'back-up' });
    await expect(session.prepare()).rejects.toThrow('GRANT pg_checkpoint, pg_read_all_settings TO "back-up"');
    await sql('GRANT pg_read_all_settings TO "back-up"');
    await expect(session.prepare()).rejects.toThrow('GRANT pg_checkpoint');
    await sql('GRANT pg_checkpoint TO "back-up"');
    await expect(session.prepare()).resolves.toEqual({ kind: 'postgres', running: true });
    await expect(session.whereDataLies()).resolves.toContain(join(dir, 'data'));
  });

  describe('another server than the one that was made ready', () => {
    test('one that was started anew is told apart', async () => {
      const first = await start();
      const session = await open(first);
      await session.prepare();
      const state = await session.look();
      await first.stop();
      await start();
      await expect(session.stillHeld(10_000)).resolves.toBe(false);
      await expect(session.hold(state, 10_000)).rejects.toThrow(/started anew/);
    });

    test('one that is gone is not held, and cannot be made ready', async () => {
      const engine = await start();
      const session = await open(engine);
      await session.prepare();
      await engine.kill();
      await expect(session.stillHeld(10_000)).rejects.toThrow(/cannot be reached/);
      await expect((await open(engine)).prepare()).rejects.toThrow(/cannot be reached/);
    });

    test('one that does not answer is given up soon', async () => {
      const engine = await start();
      const session = await open(engine);
      await session.prepare();
      const [row] = await sql("SELECT pid FROM pg_stat_activity WHERE application_name = 'felhom-quiesced'");
      process.kill(Number(row?.pid), 'SIGSTOP');
      undo.push(() => process.kill(Number(row?.pid), 'SIGCONT'));
      await expect(took(session.stillHeld(10_000))).resolves.toBeLessThan(1500);
      // The next question is asked on a new connection.
      await expect(session.stillHeld(10_000)).resolves.toBe(true);
    });
  });

  test('a password opens, and a wrong one is in no message', async () => {
    const engine = await start();
    await sql(`CREATE ROLE guarded LOGIN SUPERUSER PASSWORD '${SECRET}'`);
    const owner = serverAccount('postgres')?.name;
    await writeFile(join(dir, 'data', 'pg_hba.conf'), `local all "${owner}" trust\nlocal all all scram-sha-256\n`);
    await sql('SELECT pg_reload_conf()');
    await expect((await open(engine, { role: 'guarded' }, SECRET)).prepare()).resolves.toMatchObject({ kind: 'postgres' });
    const refused = await open(engine, { role: 'guarded' }, `not ${SECRET}`);
    const error: Error = await refused.prepare().then(
      () => new Error('let in'),
      (thrown: Error) => thrown,
    );
    expect(error.message).toMatch(/password authentication failed for user "guarded"/);
    expect(`${error.message}${error.stack}${JSON.stringify(error.cause)}`).not.toContain(SECRET);
  });

  describe('where its data lies', () => {
    test('the log on another volume and tablespaces are told', async () => {
      const [log, space] = [join(dir, 'wal'), join(dir, 'space')];
      const session = await open(await start({}, log));
      await mkdir(space);
      const account = serverAccount('postgres');
      if (account !== null) await giveTo(account, [space]);
      await sql(`CREATE TABLESPACE beside LOCATION '${space}'`);
      // pg_wal is a link to the other volume: whoever joins places with mounts follows it.
      await expect(session.whereDataLies()).resolves.toEqual([join(dir, 'data'), join(dir, 'data', 'pg_wal'), space]);
    });

    test('a directory of that name that is not the server’s own is not known', async () => {
      const session = await open(await start());
      await expect(session.whereDataLies()).resolves.toContain(join(dir, 'data'));
      const [data, away] = [join(dir, 'data'), join(dir, 'away')];
      await rename(data, away);
      await cp(away, data, { recursive: true });
      await expect(session.whereDataLies()).resolves.toBeNull();
      await rm(data, { recursive: true });
      await rename(away, data);
    });

    test.skipIf(process.getuid?.() !== 0 || userInfo().username !== 'root')(
      'an account that may not look does not know (skipped without root)',
      async () => {
        const engine = await start();
        // Trusted by the server, but not the owner of its processes.
        const holder = startHolder(entryOf('postgres', { ...engine.entry, user: 'nobody', role: 'postgres' }));
        await expect(holder.prepare()).resolves.toMatchObject({ kind: 'postgres' });
        await expect(holder.whereDataLies()).resolves.toBeNull();
      },
    );
  });
});
