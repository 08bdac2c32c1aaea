/** One connection to MySQL or MariaDB, asked one thing at a time, each with a deadline of its own. */
import type { Connection as DriverConnection } from 'mysql2';
import type { AppOf } from '#shared/quiesce/config';
import { errorText } from '#shared/quiesce/plain-text';
import { within } from './within.ts';

export type Driver = typeof import('mysql2');
export type Row = Readonly<Record<string, unknown>>;

/** The account that owns the server on Debian. MariaDB makes a user of that name who logs in by unix_socket. */
export const OWNER = 'mysql';
export const roleOf = (app: AppOf<'mysql'>): string => app.role || app.user || OWNER;

const NO_ANSWER = 'the database server does not answer';
/** A server may be set to end idle connections early. Ours waits for other applications between two questions. */
const IDLE_SECONDS = 900;

export interface Connection {
  /** As the server numbers it. */
  id: number;
  /** False once it has ended, by whomever. */
  open(): boolean;
  ask(sql: string, values: readonly (string | number)[], ms: number): Promise<Row[]>;
  /** At once, without a word; the server lets go what it held. */
  destroy(): void;
}

/** No server is there, so nothing is held there: connections and locks end with it. */
export const isNobody = (error: unknown): boolean => {
  const { code } = (error instanceof Error && error.cause !== undefined ? error.cause : error) as { code?: unknown };
  return code === 'ECONNREFUSED' || code === 'ENOENT';
};

const opened = (connection: DriverConnection): Promise<void> =>
  new Promise((resolve, reject) => {
    connection.connect((error) => (error === null ? resolve() : reject(error)));
  });

const answered = (connection: DriverConnection, sql: string, values: readonly (string | number)[]): Promise<Row[]> =>
  new Promise((resolve, reject) => {
    connection.query(sql, [...values], (error, rows) =>
      error === null ? resolve(Array.isArray(rows) ? (rows as Row[]) : []) : reject(error),
    );
  });

/** @param ms for all of it */
export const connect = async (driver: Driver, app: AppOf<'mysql'>, password: string | null, ms: number): Promise<Connection> => {
  const socket = app.host.startsWith('/');
  const connection = driver.createConnection({
    ...(socket ? { socketPath: app.host } : { host: app.host, port: app.port }),
    user: roleOf(app),
    ...(password === null ? {} : { password }),
    // The driver's own deadline would not survive a freeze of the guest.
    connectTimeout: 0,
    charset: 'utf8mb4',
  });
  let ended = false;
  const end = () => {
    ended = true;
  };
  connection.on('error', end).on('end', end);
  const destroy = () => {
    ended = true;
    connection.destroy();
  };

  const ask: Connection['ask'] = async (sql, values, within_ms) => {
    if (ended) throw new Error('the connection to the database has ended');
    try {
      return await within(within_ms, answered(connection, sql, values), NO_ANSWER);
    } catch (error) {
      // As the driver marks what leaves no connection; its event comes later.
      if ((error as { fatal?: unknown }).fatal === true) ended = true;
      throw error;
    }
  };
  const begin = async (): Promise<number> => {
    await opened(connection);
    await answered(connection, `SET SESSION wait_timeout = ${IDLE_SECONDS}`, []);
    const [row] = await answered(connection, 'SELECT CONNECTION_ID() AS id', []);
    return Number(row?.id);
  };
  try {
    const id = await within(ms, begin(), NO_ANSWER);
    return { id, open: () => !ended, ask, destroy };
  } catch (error) {
    destroy();
    throw new Error(`the database server cannot be reached: ${errorText(error)}`, { cause: error });
  }
};
