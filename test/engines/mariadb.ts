/** MariaDB as a test runs it: Debian's server on a private directory and socket, never by TCP, never the system's data. */
import { chmod, rm } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import mysql from 'mysql2';
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

const PROGRAMS = ['mariadbd', 'mariadb-install-db', 'mariadb-check'] as const;

const program = (name: (typeof PROGRAMS)[number]): string => {
  const path = findProgram(name);
  if (path === null) throw new Error(`${name} is not installed`);
  return path;
};

/** Also for a writer that waits for the end of a hold. */
const QUERY_MS = 120_000;
/** Long enough that rows fill pages, and made from the row so that a reader can tell whether it is right. */
const BODY = (row: string): string => `REPEAT(MD5(${row}), 16)`;

type Row = Record<string, unknown>;

/** One connection, used one query at a time. */
const connect = (socketPath: string): Promise<mysql.Connection> =>
  new Promise((resolve, reject) => {
    const connection = mysql.createConnection({ socketPath, user: userInfo().username, connectTimeout: 5000 });
    connection.on('error', () => undefined);
    connection.connect((error) => (error === null ? resolve(connection) : reject(error)));
  });

const ask = (connection: mysql.Connection, sql: string, values: unknown[] = []): Promise<Row[]> =>
  new Promise((resolve, reject) => {
    connection.query({ sql, values, timeout: QUERY_MS }, (error, rows) =>
      error === null ? resolve(rows as Row[]) : reject(error),
    );
  });

/** Small, so that several lie on one small volume. Given at each start: a log of another size would be made anew. */
const SIZES = ['--innodb-log-file-size=8M', '--innodb-buffer-pool-size=16M', '--key-buffer-size=1M'];

/** True: made anew. False: what lay there is opened. */
const prepareFiles = async (account: ServerAccount, { data, log, run }: EngineDirs): Promise<boolean> => {
  await giveTo(account, [data, run, ...(log === undefined ? [] : [log])]);
  if (!(await isEmpty(data))) return false;
  const options = ['--no-defaults', '--skip-test-db', '--auth-root-authentication-method=socket', ...SIZES];
  // Accounts by unix_socket for the server's own account, as Debian makes them, and for root.
  const who = [`--auth-root-socket-user=${account.name}`, ...(process.getuid?.() === 0 ? [`--user=${account.name}`] : [])];
  const makes = process.getuid?.() === 0 ? { name: 'root', uid: 0, gid: 0 } : account;
  const make = async (directory: string, logDir: string[] = []): Promise<void> => {
    await giveTo(account, [directory]);
    // A server that starts removes what looks like left-over temporary tables: those of another one in the same directory as well.
    const where = [`--datadir=${directory}`, `--tmpdir=${run}`];
    runAs(makes, [program('mariadb-install-db'), ...options, ...logDir, ...who, ...where]);
  };
  if (log === undefined) await fillFromTemplate('mariadb', data, make);
  else await make(data, [`--innodb-log-group-home-dir=${log}`]);
  await giveTo(account, [data, ...(log === undefined ? [] : [log])]);
  return true;
};

const serverArgs = ({ data, log, run }: EngineDirs, settings: Record<string, string>): string[] => [
  '--no-defaults',
  `--datadir=${data}`,
  `--socket=${join(run, 'mysqld.sock')}`,
  `--pid-file=${join(run, 'mysqld.pid')}`,
  `--tmpdir=${run}`,
  '--skip-networking',
  ...SIZES,
  ...(log === undefined ? [] : [`--innodb-log-group-home-dir=${log}`]),
  // A table that is broken is to be seen as such: by default the server would repair it, silently and with loss of rows.
  '--myisam-recover-options=OFF',
  '--aria-recover-options=OFF',
  ...Object.entries(settings).map(([name, value]) => `--${name}=${value}`),
];

/** Where the rows go. A table beside the other, with index blocks in memory until it is closed, is what a hold must bring to rest. */
const TABLES = {
  mariadb: [`CREATE TABLE kept.rows_log (id BIGINT PRIMARY KEY, body BLOB NOT NULL) ENGINE=InnoDB`],
  'mariadb-myisam': [
    `CREATE TABLE kept.rows_log (id BIGINT PRIMARY KEY, body BLOB NOT NULL) ENGINE=InnoDB`,
    `CREATE TABLE kept.rows_plain (id BIGINT PRIMARY KEY, body BLOB NOT NULL) ENGINE=MyISAM DELAY_KEY_WRITE=1`,
  ],
} as const;
const NAMES = { mariadb: ['rows_log'], 'mariadb-myisam': ['rows_log', 'rows_plain'] } as const;

/** @param settings of the server, beside the usual ones: a test of a bad one gives it here */
export const mariadbWith = (name: keyof typeof TABLES, settings: Record<string, string> = {}): EngineKind => ({
  name,
  lacks: () => {
    const missing = PROGRAMS.filter((one) => findProgram(one) === null);
    if (missing.length > 0) return `MariaDB: ${missing.join(', ')} is not installed`;
    return serverAccount('mysql') === null ? 'MariaDB: there is no account mysql' : null;
  },
  start: async (dirs): Promise<Engine> => {
    const account = serverAccount('mysql');
    if (account === null) throw new Error('there is no account mysql');
    const fresh = await prepareFiles(account, dirs);
    const socket = join(dirs.run, 'mysqld.sock');
    await rm(socket, { force: true });
    const argv = [program('mariadbd'), ...serverArgs(dirs, settings)] as const;
    const server = await startServer(account, argv, join(dirs.run, 'mariadb.log'), 'KILL');
    // Writers wait while the server is held; readers do not, so they have a connection of their own.
    const connections: mysql.Connection[] = [];
    await untilReady(name, server, async () => {
      while (connections.length < 2) connections.push(await connect(socket));
    });
    const [writer, reader] = connections;
    // Others that a test lets in, such as felhom-quiesced as another account, pass through it.
    await chmod(dirs.run, 0o755);
    const on =
      (connection: mysql.Connection | undefined) =>
      async (sql: string, values: unknown[] = []) => {
        if (connection === undefined) throw new Error('not connected');
        return ask(connection, sql, values);
      };
    const [write, query] = [on(writer), on(reader)];
    const leave = () => {
      for (const connection of connections) connection.destroy();
    };

    try {
      // Never in files that were there: a table that a restore lost must be missed.
      if (fresh) for (const sql of ['CREATE DATABASE kept', ...TABLES[name]]) await query(sql);
    } catch (error) {
      await server.kill();
      throw error;
    }

    /** By a scan of the table itself, and then through its index: both must say the same. */
    const rowsOf = async (table: string): Promise<number[]> => {
      const found = await query(`SELECT id, body = ${BODY('id')} AS whole FROM kept.${table} IGNORE INDEX (PRIMARY) ORDER BY id`);
      const torn = found.find(({ whole }) => whole !== 1);
      if (torn !== undefined) throw new Error(`row ${torn.id} of ${table} is not what was written`);
      const [indexed] = await query(`SELECT COUNT(*) AS count FROM kept.${table} FORCE INDEX (PRIMARY) WHERE id > -1`);
      if (indexed?.count !== found.length) throw new Error(`${table} has ${found.length} rows, its index ${indexed?.count}`);
      return found.map(({ id }) => Number(id));
    };

    /** CHECK TABLE tells in rows, never by an error: https://mariadb.com/kb/en/check-table/ */
    const checkTable = async (table: string): Promise<void> => {
      const said = await query(`CHECK TABLE ${table} EXTENDED`);
      const bad = said.find(({ Msg_type, Msg_text }) => Msg_type !== 'note' && !(Msg_type === 'status' && Msg_text === 'OK'));
      if (bad !== undefined) throw new Error(`${table}: ${bad.Msg_text}`);
      if (said.length === 0) throw new Error(`${table}: was not checked`);
    };

    return {
      pid: server.pid,
      entry: { adapter: 'mysql', host: socket, user: account.name },
      commit: async (row) => {
        for (const table of NAMES[name]) await write(`INSERT INTO kept.${table} VALUES (?, ${BODY('?')})`, [row, row]);
      },
      leaveOpen: async (row) => {
        const other = await connect(socket);
        connections.push(other);
        await ask(other, 'START TRANSACTION');
        await ask(other, `INSERT INTO kept.rows_log VALUES (?, ${BODY('?')})`, [row, row]);
      },
      // Committed is what lies in each of its tables: one after the other is written.
      rows: async () => {
        const [first = [], ...others] = await Promise.all(NAMES[name].map(rowsOf));
        const sets = others.map((rows) => new Set(rows));
        return first.filter((row) => sets.every((rows) => rows.has(row)));
      },
      check: async () => {
        const tables = await query(
          `SELECT CONCAT('\`', TABLE_SCHEMA, '\`.\`', TABLE_NAME, '\`') AS name FROM information_schema.TABLES
           WHERE TABLE_TYPE = 'BASE TABLE' AND TABLE_SCHEMA NOT IN ('information_schema', 'performance_schema', 'mysql', 'sys')`,
        );
        for (const table of tables) await checkTable(String(table.name));
        // The system's own tables, and everything once more by the program that a person would use.
        runAs(account, [
          program('mariadb-check'),
          '--no-defaults',
          `--socket=${socket}`,
          '--all-databases',
          '--extended',
          '--silent',
        ]);
        await Promise.all(NAMES[name].map(rowsOf));
      },
      stop: async () => {
        leave();
        await server.end('SIGTERM', 30_000);
      },
      kill: async () => {
        await server.kill();
        leave();
      },
    };
  },
});

export const mariadb = mariadbWith('mariadb');
export const mariadbMyisam = mariadbWith('mariadb-myisam');
