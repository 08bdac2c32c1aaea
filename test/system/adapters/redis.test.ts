/** Redis, a real server: dumps beside its work, writers that wait, and a pause that ends whoever dies. */

import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, cp, mkdir, mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createClient } from '@redis/client';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Session } from '#controller/quiesced/adapters/adapter';
import { redis } from '#controller/quiesced/adapters/redis';
import { freePort } from '../../demo/ports.ts';
import type { Engine } from '../../engines/engine.ts';
import { redisAof, redisRdb, redisWith } from '../../engines/redis.ts';
import { entryOf, type Holder, holdNow, killHolders, startHolder, waits } from './holder.ts';

const lacks = redisRdb.lacks();
const isRoot = process.getuid?.() === 0;

let dir: string;
let undo: (() => Promise<unknown> | unknown)[];
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'felhom-redis-'));
  undo = [() => rm(dir, { recursive: true, force: true })];
});
afterEach(async () => {
  await killHolders();
  for (const step of undo.reverse()) await step();
});

const dirs = () => ({ data: join(dir, 'data'), run: join(dir, 'run') });
const start = async (kind = redisRdb, log?: string): Promise<Engine> => {
  const engine = await kind.start({ ...dirs(), ...(log === undefined ? {} : { log }) });
  undo.push(() => engine.stop());
  return engine;
};
const open = async (engine: Pick<Engine, 'entry'>, password: string | null = null): Promise<Session> => {
  const run = () => Promise.reject(new Error('no program is run for Redis'));
  const session = await redis.open(entryOf('redis', engine.entry), { run, monotonic: () => performance.now(), password });
  undo.push(() => session.close());
  return session;
};
/** Somebody else's connection. */
const stranger = async (password?: string) => {
  const client = createClient({
    RESP: 2,
    socket: { path: join(dir, 'run', 'redis.sock'), tls: false, reconnectStrategy: false },
    ...(password === undefined ? {} : { password }),
  });
  client.on('error', () => undefined);
  await client.connect();
  undo.push(() => client.isOpen && client.destroy());
  return async (...args: string[]) => (await client.sendCommand(args)) as unknown;
};
const tells = async (send: (...args: string[]) => Promise<unknown>, key: string) =>
  new RegExp(`^${key}:(.*)\\r$`, 'm').exec(String(await send('INFO', 'everything')))?.[1];

describe.skipIf(lacks !== null)(`Redis (skipped without redis-server and an account redis)`, () => {
  describe.each([redisRdb, redisAof])('$name', (kind) => {
    test('is made ready by a dump beside its work: SAVE is never called', async () => {
      const engine = await start(kind);
      for (let row = 0; row < 20; row += 1) await engine.commit(row);
      const session = await open(engine);
      expect(await session.prepare()).toEqual({ kind: kind.name, running: true });
      const send = await stranger();
      expect(await tells(send, 'rdb_changes_since_last_save')).toBe('0');
      expect(await tells(send, 'cmdstat_bgsave')).toMatch(/^calls=1,/);
      expect(await tells(send, 'cmdstat_save')).toBeUndefined();
      expect((await stat(join(dir, 'data', 'dump.rdb'))).size).toBeGreaterThan(100);
      await expect(session.stillHeld(1000)).resolves.toBe(true);
      await engine.check();
    });

    test('writers wait while it is held and readers do not; then the writers go on', async () => {
      const engine = await start(kind);
      await engine.commit(1);
      const session = await open(engine);
      const began = performance.now();
      const { state } = await holdNow(session, 15_000);
      if (kind === redisAof) expect(performance.now() - began).toBeGreaterThan(1100);
      const send = await stranger();
      if (kind === redisAof) {
        expect(await tells(send, 'aof_pending_bio_fsync')).toBe('0');
        expect(await tells(send, 'aof_buffer_length')).toBe('0');
      }
      const [write, script] = [engine.commit(2), send('EVAL', 'return redis.call("INCR", "n")', '0')];
      expect(await waits(Promise.race([write, script]), 500)).toBe(true);
      expect(await (await stranger())('EXISTS', 'row:1', 'row:2')).toBe(1);
      await expect(session.stillHeld(1000)).resolves.toBe(true);

      const asked = performance.now();
      await session.release(state);
      await write;
      await script;
      expect(performance.now() - asked).toBeLessThan(500);
      expect(await engine.rows()).toEqual([1, 2]);
      await session.release(state);
      await engine.commit(3);
    });

    test('a restored copy of what was held has every row', async () => {
      const engine = await start(kind);
      for (let row = 0; row < 200; row += 1) await engine.commit(row);
      const session = await open(engine);
      const { state } = await holdNow(session, 15_000);
      await cp(join(dir, 'data'), join(dir, 'copy'), { recursive: true });
      await session.release(state);
      const restored = await kind.start({ data: join(dir, 'copy'), run: join(dir, 'run2') });
      undo.push(() => restored.stop());
      await restored.check();
      expect(await restored.rows()).toHaveLength(200);
    });
  });

  test('a dump that runs already is waited for, and then ours is made', async () => {
    const engine = await start();
    for (let row = 0; row < 100; row += 1) await engine.commit(row);
    const send = await stranger();
    await send('CONFIG', 'SET', 'rdb-key-save-delay', '5000');
    await send('BGSAVE');
    await engine.commit(1000);
    const session = await open(engine);
    await session.prepare();
    expect(await tells(send, 'rdb_saves')).toBe('2');
    expect(await tells(send, 'rdb_changes_since_last_save')).toBe('0');
  });

  test('a rewrite of the log that runs already is waited for', async () => {
    const engine = await start(redisAof);
    for (let row = 0; row < 100; row += 1) await engine.commit(row);
    const send = await stranger();
    await send('CONFIG', 'SET', 'rdb-key-save-delay', '5000');
    await send('BGREWRITEAOF');
    await (await open(engine)).prepare();
    expect(await tells(send, 'aof_rewrite_in_progress')).toBe('0');
    expect(await tells(send, 'rdb_last_bgsave_status')).toBe('ok');
    expect(await tells(send, 'rdb_saves')).toBe('1');
  });

  test('a dump that fails is told, and what was ready is no longer once a later one failed', async () => {
    const engine = await start(redisRdb);
    await engine.commit(1);
    const session = await open(engine);
    await session.prepare();
    const send = await stranger();
    await send('CONFIG', 'SET', 'rdb-key-save-delay', '2000000');
    const fails = async (act: () => Promise<unknown>) => {
      const done = act();
      for (let tries = 0; tries < 100; tries += 1) {
        const children = String(await (await stranger())('INFO', 'persistence'));
        if (/rdb_bgsave_in_progress:1/.test(children)) break;
        await sleep(20);
      }
      for (const pid of (await readFile(`/proc/${engine.pid}/task/${engine.pid}/children`, 'utf8')).split(' ').filter(Boolean))
        process.kill(Number(pid), 'SIGKILL');
      return done;
    };
    await expect(fails(async () => session.prepare())).rejects.toThrow(/BGSAVE failed/);
    await expect(session.stillHeld(1000)).resolves.toBe(false);
  });

  test('nothing expires while it is held', async () => {
    const engine = await start();
    const send = await stranger();
    await send('SET', 'short', 'life', 'PX', '300');
    const session = await open(engine);
    const { state } = await holdNow(session, 15_000);
    await sleep(800);
    expect(await send('GET', 'short')).toBeNull();
    await expect(session.stillHeld(1000)).resolves.toBe(true);
    expect(await tells(send, 'expired_keys')).toBe('0');
    await session.release(state);
    await sleep(300);
    expect(await tells(send, 'expired_keys')).toBe('1');
  });

  test.each<[string, string[][]]>([
    ['a write', [['SET', 'a', '1']]],
    ['a script that writes', [['EVAL', 'return redis.call("SET", "a", "1")', '0']]],
    ['a write, and a dump after it', [['SET', 'a', '1'], ['BGSAVE']]],
    [
      'a write, and statistics that were reset',
      [
        ['SET', 'a', '1'],
        ['CONFIG', 'RESETSTAT'],
      ],
    ],
    ['another master', [['REPLICAOF', '127.0.0.1', '1']]],
  ])('a pause that somebody else ended, then %s: it is not held', async (_what, commands) => {
    const engine = await start();
    await engine.commit(1);
    const session = await open(engine);
    await holdNow(session, 15_000);
    const send = await stranger();
    await send('CLIENT', 'UNPAUSE');
    for (const command of commands) await send(...command);
    await sleep(500);
    await expect(session.stillHeld(1000)).resolves.toBe(false);
  });

  test('a pause that somebody else ended, then a key that expires: it is not held', async () => {
    const engine = await start();
    const session = await open(engine);
    const send = await stranger();
    await send('SET', 'short', 'life', 'PX', '1000');
    await holdNow(session, 15_000);
    await send('CLIENT', 'UNPAUSE');
    await expect(session.stillHeld(1000)).resolves.toBe(true);
    await sleep(1500);
    expect(await tells(send, 'rdb_changes_since_last_save')).toBe('0');
    await expect(session.stillHeld(1000)).resolves.toBe(false);
  });

  test('a dump that ends while it is held changes nothing: it is still held', async () => {
    const engine = await start();
    const session = await open(engine);
    await session.prepare();
    await engine.commit(1);
    const state = await session.look();
    await session.hold(state, 15_000);
    const send = await stranger();
    await send('BGSAVE');
    await sleep(500);
    expect(await tells(send, 'rdb_changes_since_last_save')).toBe('0');
    await expect(session.stillHeld(1000)).resolves.toBe(true);
  });

  test('a pause that came to its end without a write after it: nothing has changed, so it stands; one write later, not', async () => {
    const engine = await start();
    const session = await open(engine);
    await holdNow(session, 300);
    await sleep(600);
    await expect(session.stillHeld(1000)).resolves.toBe(true);
    await engine.commit(1);
    await expect(session.stillHeld(1000)).resolves.toBe(false);
  });

  test('a server that was started anew is not held, and needs no release', async () => {
    const engine = await start();
    const session = await open(engine);
    const { state } = await holdNow(session, 15_000);
    await engine.kill();
    await expect(session.stillHeld(1000)).rejects.toThrow(/no Redis listens|closed|ended/i);
    // Where nobody listens, nobody is paused.
    await session.release(state);
    const again = await start();
    await (await stranger())('CLIENT', 'PAUSE', '1500', 'WRITE');
    await expect((await open(again)).release(state)).resolves.toBeUndefined();
    // Somebody else's pause of the new server is none of ours.
    const write = again.commit(1);
    expect(await waits(write, 500)).toBe(true);
    await write;
    await expect(session.stillHeld(1000)).resolves.toBe(false);
    await expect(session.hold(state, 1000)).rejects.toThrow(/restarted/);
  });

  test('let go in the middle of being held: nothing is held afterwards', async () => {
    const engine = await start(redisAof);
    const session = await open(engine);
    await session.prepare();
    const state = await session.look();
    const holding = session.hold(state, 15_000);
    const refused = expect(holding).rejects.toThrow(/let go/);
    await sleep(200);
    await session.release(state);
    await refused;
    expect(await waits(engine.commit(1), 300)).toBe(false);
  });

  test('a server that stands still while it is held and let go comes to the release after the hold', async () => {
    const engine = await start();
    const session = await open(engine);
    await session.prepare();
    const state = await session.look();
    process.kill(engine.pid, 'SIGSTOP');
    const holding = session.hold(state, 15_000).catch((error: Error) => error);
    await sleep(200);
    const releasing = session.release(state);
    await sleep(200);
    process.kill(engine.pid, 'SIGCONT');
    await releasing;
    await holding;
    expect(await waits(engine.commit(1), 300)).toBe(false);
  });

  test('a server that does not answer is told within a second', async () => {
    const engine = await start();
    const session = await open(engine);
    await holdNow(session, 15_000);
    process.kill(engine.pid, 'SIGSTOP');
    const asked = performance.now();
    await expect(session.stillHeld(1000)).rejects.toThrow(/did not answer/);
    expect(performance.now() - asked).toBeLessThan(1000);
    process.kill(engine.pid, 'SIGCONT');
  });

  describe('in a process of its own', () => {
    const hold = async (holder: Holder, leftMs: number) => (await holdNow(holder, leftMs)).state;

    test('killed, it leaves a pause that ends by itself, at its time', async () => {
      const engine = await start();
      const holder = startHolder(entryOf('redis', engine.entry));
      await hold(holder, 2000);
      const began = performance.now();
      await holder.kill();
      await engine.commit(1);
      expect(performance.now() - began).toBeGreaterThan(1000);
      expect(performance.now() - began).toBeLessThan(3000);
    });

    test('killed, another one lets go at once what it held', async () => {
      const engine = await start(redisAof);
      const holder = startHolder(entryOf('redis', engine.entry));
      const state = await hold(holder, 30_000);
      await holder.kill();
      const write = engine.commit(1);
      expect(await waits(write, 300)).toBe(true);
      await startHolder(entryOf('redis', engine.entry)).release(state);
      expect(await waits(write, 300)).toBe(false);
    });

    test('takes the account of the socket, and sees the files of the server', async () => {
      const engine = await start();
      const { user: _user, ...entry } = engine.entry;
      const holder = startHolder(entryOf('redis', entry));
      await holder.prepare();
      expect((await stat(`/proc/${holder.pid}`)).uid).toBe((await stat(join(dir, 'run', 'redis.sock'))).uid);
      expect(await holder.whereDataLies()).toEqual([join(dir, 'data')]);
    });
  });

  describe('where its data lies', () => {
    test('its directory, and that of its log where it has one', async () => {
      const log = join(dir, 'log');
      const engine = await start(redisAof, log);
      const session = await open(engine);
      await session.prepare();
      expect(await session.whereDataLies()).toEqual([join(dir, 'data'), join(dir, 'data', 'appendonlydir')]);
    });

    test('is not known where CONFIG is forbidden; it is held all the same', async () => {
      const engine = await start(redisWith(true, ['--rename-command', 'CONFIG', '']));
      const session = await open(engine);
      const { state } = await holdNow(session, 5000);
      expect(await session.whereDataLies()).toBeNull();
      await session.release(state);
    });

    test.skipIf(!isRoot || !existsSync('/usr/bin/unshare'))(
      'is not known of a server that has a name of ours for a directory of its own (skipped without root and unshare)',
      async () => {
        const { data, run } = dirs();
        await Promise.all([data, run, join(dir, 'other')].map((path) => mkdir(path)));
        await chmod(dir, 0o755);
        const socket = join(run, 'redis.sock');
        const program = `mount --bind ${dir}/other ${data} && cd / && exec redis-server --port 0 --unixsocket ${socket} --unixsocketperm 777 --dir ${data}`;
        const child: ChildProcess = spawn('/usr/bin/setpriv', ['--pdeathsig=KILL', 'unshare', '--mount', 'sh', '-c', program], {
          stdio: 'ignore',
        });
        undo.push(async () => {
          child.kill('SIGKILL');
          await sleep(50);
        });
        for (let tries = 0; tries < 100 && !existsSync(socket); tries += 1) await sleep(50);
        const session = await open({ entry: { adapter: 'redis', host: socket } });
        expect(await session.prepare()).toEqual({ kind: 'redis-rdb', running: true });
        expect(existsSync(join(dir, 'other', 'dump.rdb'))).toBe(true);
        expect(await session.whereDataLies()).toBeNull();
      },
    );
  });

  describe('who may', () => {
    const SECRET = 'correct-horse';
    const message = async (session: Session) => session.prepare().then(String, (error: Error) => error.message);

    test('a user with nothing but the rights that are asked for', async () => {
      const engine = await start(redisAof);
      const rights = '+info +bgsave +client|pause +client|unpause +acl|cat +config|get'.split(' ');
      await (await stranger())('ACL', 'SETUSER', 'felhom', 'on', `>${SECRET}`, ...rights);
      const session = await open({ entry: { ...engine.entry, role: 'felhom' } }, SECRET);
      const { state } = await holdNow(session, 15_000);
      await expect(session.stillHeld(1000)).resolves.toBe(true);
      expect(await session.whereDataLies()).not.toBeNull();
      await session.release(state);
      await engine.commit(1);
    });

    test('a missing right, a wrong password and none are told, and no password is', async () => {
      const engine = await start();
      const send = await stranger();
      await send('ACL', 'SETUSER', 'felhom', 'on', `>${SECRET}`, '+info', '+acl|cat', '+config|get');
      expect(await message(await open({ entry: { ...engine.entry, role: 'felhom' } }, SECRET))).toMatch(/refuses BGSAVE/);
      const wrong = await message(await open({ entry: { ...engine.entry, role: 'felhom' } }, 'wrong-horse'));
      expect(wrong).toMatch(/password_file/);
      expect(wrong).not.toMatch(/horse/);
      await send('CONFIG', 'SET', 'requirepass', SECRET);
      const none = await message(await open(engine));
      expect(none).toMatch(/NOAUTH/);
      await expect((await open(engine, SECRET)).prepare()).resolves.toMatchObject({ running: true });
    });
  });

  test('over TCP of this machine', async () => {
    const port = await freePort();
    const engine = await start(redisWith(false, ['--port', String(port), '--bind', '127.0.0.1']));
    const session = await open({ entry: { adapter: 'redis', host: '127.0.0.1', port } });
    const { state } = await holdNow(session, 5000);
    const write = engine.commit(1);
    expect(await waits(write, 200)).toBe(true);
    await session.release(state);
    await write;
  });

  test('a replica and nobody at all are refused with the reason', async () => {
    const nobody = await open({ entry: { adapter: 'redis', host: join(dir, 'none.sock') } });
    await expect(nobody.prepare()).rejects.toThrow(/no Redis listens on/);
    const engine = await start();
    await (await stranger())('REPLICAOF', '127.0.0.1', '1');
    await expect((await open(engine)).prepare()).rejects.toThrow(/replica/);
  });
});
