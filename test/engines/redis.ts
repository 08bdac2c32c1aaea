/** Redis as a test runs it: Debian's server on a private directory and socket, never by TCP; with a dump, or with a log as well. */

import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { lstat, mkdir, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { createClient } from '@redis/client';
import type { Engine, EngineDirs, EngineKind } from './engine.ts';
import { findProgram, giveTo, type ServerAccount, serverAccount, startServer, untilReady } from './process.ts';

const PROGRAMS = ['redis-server', 'redis-check-rdb', 'redis-check-aof'] as const;

const program = (name: (typeof PROGRAMS)[number]): string => {
  const path = findProgram(name);
  if (path === null) throw new Error(`${name} is not installed`);
  return path;
};

const LOG_DIR = 'appendonlydir';

/** Redis has its log in a directory of the data directory; a link takes it to a volume of its own. After a restore it is made anew. */
const pointLog = async ({ data, log }: EngineDirs): Promise<void> => {
  const link = join(data, LOG_DIR);
  const linked = await lstat(link).then(
    (found) => found.isSymbolicLink(),
    () => false,
  );
  if (log === undefined && linked) throw new Error('its log lay on a volume of its own, which is not given');
  if (log === undefined) return;
  await rm(link, { force: true });
  await mkdir(join(log, LOG_DIR), { recursive: true });
  await symlink(join(log, LOG_DIR), link);
};

const settings = ({ data, run }: EngineDirs, appendonly: boolean): string[] => [
  ...['--port', '0', '--unixsocket', join(run, 'redis.sock'), '--unixsocketperm', '777'],
  ...['--dir', data, '--appendonly', appendonly ? 'yes' : 'no', '--appendfsync', 'everysec'],
  // Saved when it is ended cleanly, and otherwise only when asked to: a test tells which dump was whose.
  ...['--save', '86400 1000000', '--enable-debug-command', 'local', '--loglevel', 'warning'],
];

const connect = async (path: string) => {
  const client = createClient({ RESP: 2, socket: { path, tls: false, reconnectStrategy: false, connectTimeout: 5000 } });
  // A server that is killed says so on every connection; the next command tells it as well.
  client.on('error', () => undefined);
  await client.connect();
  await client.sendCommand(['PING']);
  return client;
};

type Client = Awaited<ReturnType<typeof connect>>;

const checkFiles = (data: string, appendonly: boolean): void => {
  const quietly = { stdio: 'pipe', timeout: 60_000 } as const;
  const dump = join(data, 'dump.rdb');
  if (existsSync(dump)) execFileSync(program('redis-check-rdb'), [dump], quietly);
  const manifest = join(data, LOG_DIR, 'appendonly.aof.manifest');
  if (appendonly) execFileSync(program('redis-check-aof'), [manifest], quietly);
};

/** @param extra of the server, beside the usual ones: a test of a bad one gives it here */
export const redisWith = (appendonly: boolean, extra: string[] = []): EngineKind => ({
  name: appendonly ? 'redis-aof' : 'redis-rdb',
  lacks: () => {
    const missing = PROGRAMS.filter((name) => findProgram(name) === null);
    if (missing.length > 0) return `Redis: ${missing.join(', ')} is not installed`;
    return serverAccount('redis') === null ? 'Redis: there is no account redis' : null;
  },
  start: async (dirs): Promise<Engine> => {
    const account: ServerAccount | null = serverAccount('redis');
    if (account === null) throw new Error('there is no account redis');
    await giveTo(account, [dirs.data, dirs.run, ...(dirs.log === undefined ? [] : [dirs.log])]);
    if (appendonly) await pointLog(dirs);
    await giveTo(account, [dirs.data, ...(dirs.log === undefined ? [] : [dirs.log])]);
    const argv = [program('redis-server'), ...settings(dirs, appendonly), ...extra] as const;
    const server = await startServer(account, argv, join(dirs.run, 'redis.log'), 'KILL');
    const socket = join(dirs.run, 'redis.sock');
    let client: Client | undefined;
    // PING is refused while the dataset is loaded.
    await untilReady('redis-server', server, async () => {
      client?.destroy();
      client = undefined;
      client = await connect(socket);
    });
    const send = (...args: string[]): Promise<unknown> =>
      client === undefined ? Promise.reject(new Error('not connected')) : client.sendCommand(args);
    const leave = () => {
      if (client?.isOpen) client.destroy();
      client = undefined;
    };
    return {
      pid: server.pid,
      entry: { adapter: 'redis', host: socket, user: account.name },
      /**
       * Acknowledged. Without the log that is in memory only: what a restore of `redis-rdb` has is what the last BGSAVE saw.
       * With it (`everysec`), it is on disk a second later.
       */
      commit: async (row) => void (await send('SET', `row:${row}`, `body of ${row}`)),
      rows: async () => {
        const keys = ((await send('KEYS', 'row:*')) as string[]).sort();
        const rows = keys.map((key) => Number(key.slice(4)));
        const bodies = keys.length === 0 ? [] : ((await send('MGET', ...keys)) as (string | null)[]);
        const torn = rows.find((row, index) => bodies[index] !== `body of ${row}`);
        if (torn !== undefined) throw new Error(`row ${torn} is not what was written`);
        return rows.sort((a, b) => a - b);
      },
      check: async () => checkFiles(dirs.data, appendonly),
      stop: async () => {
        leave();
        await server.end('SIGTERM', 20_000);
      },
      kill: async () => {
        await server.kill();
        leave();
      },
    };
  },
});

export const redisRdb = redisWith(false);
export const redisAof = redisWith(true);
