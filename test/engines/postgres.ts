/** PostgreSQL as a test runs it: Debian's server on a private directory and socket, never by TCP, never the system's cluster. */
import { readdirSync } from 'node:fs';
import { chmod, lstat, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import type { Engine, EngineDirs, EngineKind } from './engine.ts';
import {
  fillFromTemplate,
  findProgram,
  giveTo,
  isEmpty,
  runAs,
  type ServerAccount,
  serverAccount,
  startServer,
  untilReady,
} from './process.ts';

/** Debian keeps each version apart; the newest is taken. */
const BINARIES = (() => {
  try {
    const versions = readdirSync('/usr/lib/postgresql').sort((a, b) => Number(b) - Number(a));
    return versions.map((version) => `/usr/lib/postgresql/${version}/bin`);
  } catch {
    return [];
  }
})();

const PROGRAMS = ['postgres', 'initdb', 'pg_amcheck', 'pg_dump'] as const;

const program = (name: (typeof PROGRAMS)[number]): string => {
  const path = findProgram(name, BINARIES);
  if (path === null) throw new Error(`${name} is not installed`);
  return path;
};

const QUERY_MS = 30_000;
/** Long enough that rows fill pages, and made from the row so that a reader can tell whether it is right. */
const BODY = `repeat(md5(row::text), 16)`;
const INSERT = `INSERT INTO kept SELECT row, ${BODY} FROM (SELECT $1::bigint AS row) AS new`;

/** A separate volume for pg_wal is a link, as initdb --waldir makes it. After a restore it names the old place. */
const pointWal = async (data: string, log: string | undefined): Promise<void> => {
  const link = join(data, 'pg_wal');
  if (!(await lstat(link)).isSymbolicLink()) return;
  if (log === undefined) throw new Error('its pg_wal lay on a volume of its own, which is not given');
  await rm(link);
  await symlink(log, link);
};

/** True: made anew. False: what lay there is opened. */
const prepareFiles = async (account: ServerAccount, { data, log, run }: EngineDirs): Promise<boolean> => {
  await giveTo(account, [data, run, ...(log === undefined ? [] : [log])]);
  if (!(await isEmpty(data))) {
    // A copy carries the pid of the server that it was taken from, which may still run here.
    await rm(join(data, 'postmaster.pid'), { force: true });
    await pointWal(data, log);
    return false;
  }
  // With checksums, a page that was torn is an error and never a row.
  const options = ['--auth=trust', '--data-checksums', '--encoding=UTF8', '--locale=C.UTF-8', `--username=${account.name}`];
  const make = async (directory: string, waldir: string[] = []): Promise<void> => {
    await giveTo(account, [directory]);
    runAs(account, [program('initdb'), `--pgdata=${directory}`, ...options, ...waldir]);
  };
  if (log === undefined) await fillFromTemplate('postgres', data, make);
  else await make(data, [`--waldir=${log}`]);
  return true;
};

/** Few connections and small buffers: several servers run beside each other in a test. */
const SETTINGS = {
  listen_addresses: '',
  max_connections: '30',
  shared_buffers: '16MB',
  log_checkpoints: 'on',
  // In its own directory: in /dev/shm a server that is killed leaves it behind.
  dynamic_shared_memory_type: 'mmap',
};

const connect = async (run: string, account: ServerAccount): Promise<pg.Client> => {
  const client = new pg.Client({
    host: run,
    user: account.name,
    database: 'postgres',
    connectionTimeoutMillis: 5000,
    query_timeout: QUERY_MS,
  });
  // A server that is killed says so on every connection; the next query tells it as well.
  client.on('error', () => undefined);
  await client.connect();
  return client;
};

/** @param settings of the server, beside the usual ones: a test of a bad one gives it here */
export const postgresWith = (settings: Record<string, string> = {}): EngineKind => ({
  name: 'postgres',
  lacks: () => {
    const missing = PROGRAMS.filter((name) => findProgram(name, BINARIES) === null);
    if (missing.length > 0) return `PostgreSQL: ${missing.join(', ')} is not installed`;
    return serverAccount('postgres') === null ? 'PostgreSQL: there is no account postgres' : null;
  },
  start: async (dirs): Promise<Engine> => {
    const account = serverAccount('postgres');
    if (account === null) throw new Error('there is no account postgres');
    const fresh = await prepareFiles(account, dirs);
    const all = { ...SETTINGS, unix_socket_directories: dirs.run, ...settings };
    const options = Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const argv = [program('postgres'), '-D', dirs.data, ...options] as const;
    const server = await startServer(account, argv, join(dirs.run, 'postgres.log'), 'QUIT');
    const open: pg.Client[] = [];
    let client: pg.Client | undefined;
    await untilReady('postgres', server, async () => {
      client = await connect(dirs.run, account);
      open.push(client);
    });
    // Others that a test lets in, such as felhom-quiesced as another account, pass through it.
    await chmod(dirs.run, 0o755);
    const query = async (text: string, values: unknown[] = []) => {
      if (client === undefined) throw new Error('not connected');
      return (await client.query<Record<string, unknown>>(text, values)).rows;
    };
    const leave = async () => void (await Promise.allSettled(open.map((one) => one.end())));

    try {
      // Never in files that were there: a table that a restore lost must be missed.
      if (fresh) await query('CREATE TABLE kept (row bigint PRIMARY KEY, body text NOT NULL)');
    } catch (error) {
      await server.kill();
      throw error;
    }
    return {
      pid: server.pid,
      entry: { adapter: 'postgres', host: dirs.run, user: account.name },
      commit: async (row) => void (await query(INSERT, [row])),
      leaveOpen: async (row) => {
        const other = await connect(dirs.run, account);
        open.push(other);
        await other.query('BEGIN');
        await other.query(INSERT, [row]);
      },
      rows: async () => {
        const found = await query(`SELECT row::text AS row, body = ${BODY} AS whole FROM kept ORDER BY 1`);
        const torn = found.find(({ whole }) => whole !== true);
        if (torn !== undefined) throw new Error(`row ${torn.row} is not what was written`);
        return found.map(({ row }) => Number(row)).sort((a, b) => a - b);
      },
      check: async () => {
        const at = ['--host', dirs.run, '--username', account.name];
        // Every page of every table against its index, then every row of every table as a backup would read it.
        runAs(account, [program('pg_amcheck'), ...at, '--all', '--install-missing', '--heapallindexed', '--parent-check']);
        runAs(account, [program('pg_dump'), ...at, '--file=/dev/null', 'postgres']);
      },
      stop: async () => {
        await leave();
        await server.end('SIGINT', 20_000);
      },
      kill: async () => {
        await server.kill();
        await leave();
      },
    };
  },
});

export const postgres = postgresWith();
