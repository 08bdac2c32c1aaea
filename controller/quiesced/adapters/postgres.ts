/**
 * PostgreSQL. It recovers by itself from files of one instant, so nothing is ever held: it is asked whether that is true of this
 * server, and told to write a checkpoint, so that little is left to recover. `pg_backup_start` would not help: its label file and
 * stop record come after the cut.
 */
import { stat } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join } from 'node:path';
import type { Client } from 'pg';
import type { AppOf } from '#shared/quiesce/config';
import { errorText } from '#shared/quiesce/plain-text';
import type { Adapter, Session, Tools } from './adapter.ts';
import { within } from './within.ts';

/** The account that owns the server on Debian, and the role that it logs in as by peer authentication. */
const OWNER = 'postgres';
const CONNECT_MS = 5000;
const QUERY_MS = 5000;
/** stillHeld answers within a second, a new connection included. */
const QUICK_MS = 450;

const NO_ANSWER = 'PostgreSQL does not answer';
/** insufficient_privilege: https://www.postgresql.org/docs/current/errcodes-appendix.html */
const NOT_ALLOWED = '42501';

const FACTS = `SELECT extract(epoch FROM pg_postmaster_start_time())::text AS started, pg_backend_pid() AS pid,
  current_setting('fsync') AS fsync, current_setting('full_page_writes') AS full_page_writes, pg_is_in_recovery() AS follows`;
const PLACES = `SELECT current_setting('data_directory') AS path
  UNION ALL SELECT pg_tablespace_location(oid) FROM pg_tablespace WHERE pg_tablespace_location(oid) <> ''`;

type Driver = typeof import('pg')['default'];

interface Facts {
  /** Tells one server from the one that was started after it. */
  started: string;
  /** Of the process that serves this connection, as the server's own namespace numbers it. */
  pid: number;
  fsync: string;
  full_page_writes: string;
  follows: boolean;
}

/** Why files of one instant would not do; null: they would. https://www.postgresql.org/docs/current/runtime-config-wal.html */
const unfit = ({ fsync, full_page_writes, follows }: Facts): string | null => {
  if (fsync !== 'on') return 'fsync is off: after a restore its files may be broken beyond repair. Set fsync = on';
  if (full_page_writes !== 'on')
    return 'full_page_writes is off: a page that was cut in half cannot be recovered. Set full_page_writes = on';
  if (follows) return 'it is a standby that follows another server: what it has not received yet is not in its files';
  return null;
};

const roleOf = (app: AppOf<'postgres'>): string => app.role || app.user || OWNER;

/** A socket is named by its directory and port: the driver wants these. */
const addressOf = ({ host, port }: AppOf<'postgres'>): { host: string; port: number } => {
  const socket = /^\.s\.PGSQL\.(\d+)$/.exec(basename(host));
  return socket === null ? { host, port } : { host: dirname(host), port: Number(socket[1]) };
};

/** Rights that take more than logging in. */
const grantSentence = (role: string): string => {
  const quoted = `"${role.replaceAll('"', '""')}"`;
  return `the role ${quoted} lacks rights: GRANT pg_checkpoint, pg_read_all_settings TO ${quoted} (before PostgreSQL 15 it must be a superuser)`;
};

/** Whether two paths are one directory; false where that cannot be seen. */
const sameDirectory = async (one: string, other: string): Promise<boolean> => {
  try {
    const [a, b] = await Promise.all([stat(one, { bigint: true }), stat(other, { bigint: true })]);
    return a.dev === b.dev && a.ino === b.ino;
  } catch {
    return false;
  }
};

const createSession = (app: AppOf<'postgres'>, tools: Tools, driver: Driver): Session => {
  let client: Client | null = null;
  /** What was true when it was made ready, or held. */
  let seen: Facts | null = null;

  const connect = async (ms: number): Promise<Client> => {
    const made = new driver.Client({
      ...addressOf(app),
      database: app.database,
      user: roleOf(app),
      ...(tools.password === null ? {} : { password: tools.password }),
      application_name: 'felhom-quiesced',
      // Nobody else's functions are called by our role.
      options: '-c search_path=pg_catalog',
      ssl: false,
    });
    const forget = () => {
      if (client === made) client = null;
    };
    made.on('error', forget).on('end', forget);
    try {
      await within(ms, made.connect(), NO_ANSWER);
    } catch (error) {
      void made.end().catch(() => undefined);
      throw new Error(`PostgreSQL cannot be reached: ${errorText(error)}`, { cause: error });
    }
    client = made;
    return made;
  };

  /** On a new connection where the last has ended: which server answers is told by its facts, not by the connection. */
  const ask = async <T extends object>(sql: string, ms: number): Promise<T[]> => {
    const used = client ?? (await connect(Math.min(ms, CONNECT_MS)));
    try {
      return (await within(ms, used.query<T>(sql), NO_ANSWER)).rows;
    } catch (error) {
      // A refusal has a code; anything else leaves a connection that cannot be used any more.
      if (!(error instanceof driver.DatabaseError)) {
        if (client === used) client = null;
        void used.end().catch(() => undefined);
      }
      throw error;
    }
  };

  const facts = async (ms: number): Promise<Facts> => {
    const [found] = await ask<Facts>(FACTS, ms);
    if (found === undefined) throw new Error(NO_ANSWER);
    return found;
  };

  const askByRight = async <T extends object>(sql: string, ms: number): Promise<T[]> => {
    try {
      return await ask<T>(sql, ms);
    } catch (error) {
      if ((error as { code?: unknown }).code === NOT_ALLOWED) throw new Error(grantSentence(roleOf(app)), { cause: error });
      throw error;
    }
  };

  const prepare: Session['prepare'] = async () => {
    const found = await facts(QUERY_MS);
    const why = unfit(found);
    if (why !== null) throw new Error(why);
    // A role that may not ask for its directory could never be told to be in the archive.
    await askByRight(PLACES, QUERY_MS);
    await askByRight('CHECKPOINT', app.prepare_timeout);
    seen = found;
    return { kind: 'postgres', running: true };
  };

  const still = async (): Promise<boolean> => {
    if (seen === null) return false;
    const found = await facts(QUICK_MS);
    return found.started === seen.started && unfit(found) === null;
  };

  /** Its processes work in the data directory (PostmasterMain, ChangeToDataDir): only if ours is that one do we see its files. */
  const whereDataLies: Session['whereDataLies'] = async () => {
    const { pid } = await facts(QUERY_MS);
    const [data, ...spaces] = await askByRight<{ path: string }>(PLACES, QUERY_MS);
    if (data === undefined || !(await sameDirectory(`/proc/${pid}/cwd`, data.path))) return null;
    const beside = spaces.map(({ path }) => (isAbsolute(path) ? path : join(data.path, path)));
    return [data.path, join(data.path, 'pg_wal'), ...beside];
  };

  return {
    prepare,
    whereDataLies,
    look: async () => ({ started: (await facts(QUERY_MS)).started }),
    /** Nothing is stopped. With `hold: always` it stands as long as the server that was seen goes on, safely set. */
    hold: async (state) => {
      const found = await facts(QUERY_MS);
      const why = unfit(found);
      if (why !== null) throw new Error(why);
      if (found.started !== state?.started) throw new Error('the server was started anew');
      seen = found;
    },
    stillHeld: still,
    /** Nothing was stopped, so there is nothing to undo, and no reason to wait for a server that somebody else has ended. */
    release: async () => undefined,
    close: async () => {
      const open = client;
      client = null;
      if (open !== null) await within(1000, open.end(), NO_ANSWER);
    },
  };
};

export const postgres: Adapter<'postgres'> = {
  account: async () => OWNER,
  open: async (app, tools) => createSession(app, tools, (await import('pg')).default),
};
