/**
 * MySQL and MariaDB. InnoDB recovers by itself from files of one instant, so nothing is held for it. Tables without a log of their
 * own rest under FLUSH TABLES WITH READ LOCK, which falls with its connection: that is ours, and the server itself ends it when it
 * has not heard of us until the hold's end.
 */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AppOf } from '#shared/quiesce/config';
import { errorText } from '#shared/quiesce/plain-text';
import type { Adapter, Session, State, Tools } from './adapter.ts';
import { type Connection, connect, type Driver, isNobody, OWNER } from './mysql-connection.ts';
import { dataPlaces } from './mysql-files.ts';
import { demandRights, hasPlainRows, readSettings, unfit } from './mysql-server.ts';

const CONNECT_MS = 5000;
const QUERY_MS = 5000;
/** stillHeld answers within a second. */
const QUICK_MS = 900;
/** While the lock waits for one long statement, writers of all other tables wait behind it: no longer than this. */
const MOST_WAIT_MS = 5000;
/** So much before, the waiting is ended by us, so that the reason is told in time. */
const MARGIN_MS = 250;
/** A connection that was ended is gone from the server after this, or it is ended there. */
const GONE_MS = 1000;
const KILLED_MS = 3000;

/**
 * The server's own end of a silent connection, in whole seconds: never much before the end of the hold, and less than a second after.
 */
const silentSeconds = (leftMs: number): number => Math.max(1, Math.ceil((leftMs - MARGIN_MS) / 1000));

/** What the lease keeps: a lock by name of the holding connection (GET_LOCK), by which any other finds it, whatever has happened. */
const lockName = (state: State): string | null => (typeof state?.lock === 'string' ? state.lock : null);

/** One hold, from its beginning. */
interface Hold {
  name: string;
  connection: Connection;
  /** It stands; before that, the server may still be waiting for it. */
  stands: boolean;
  /** It is to be let go, or was. */
  over: boolean;
}

const createSession = (app: AppOf<'mysql'>, { password, monotonic }: Tools, driver: Driver): Session => {
  let connection: Connection | null = null;
  let kind: 'mysql-innodb' | 'mysql-mixed' | null = null;
  let hold: Hold | null = null;

  const open = (ms = CONNECT_MS): Promise<Connection> => connect(driver, app, password, ms);
  /** Asked on a connection for this only. */
  const apart = async <T>(act: (other: Connection) => Promise<T>, ms = CONNECT_MS): Promise<T> => {
    const other = await open(ms);
    try {
      return await act(other);
    } finally {
      other.destroy();
    }
  };
  const opened = async (): Promise<Connection> => {
    if (connection?.open() !== true) connection = await open();
    return connection;
  };

  const prepare: Session['prepare'] = async () => {
    const used = await opened();
    const why = unfit(await readSettings(used, QUERY_MS));
    if (why !== null) throw new Error(why);
    await demandRights(used, ['SELECT', 'PROCESS'], QUERY_MS);
    kind = (await hasPlainRows(used, app.prepare_timeout)) ? 'mysql-mixed' : 'mysql-innodb';
    const locks = app.hold === 'always' || (app.hold === 'auto' && kind === 'mysql-mixed');
    if (locks) await demandRights(used, ['RELOAD'], QUERY_MS);
    return { kind, running: true };
  };

  /** Why the lock was not to be had: who keeps it busy. Never what it runs, which may hold data. */
  const blockers = async (other: Connection, id: number): Promise<string> => {
    const [longest] = await other.ask(
      `SELECT ID AS id, USER AS user, TIME AS seconds FROM information_schema.PROCESSLIST
       WHERE COMMAND NOT IN ('Sleep', 'Daemon', 'Binlog Dump') AND ID NOT IN (?, CONNECTION_ID()) AND USER <> 'system user'
       ORDER BY TIME DESC LIMIT 1`,
      [id],
      1000,
    );
    if (longest === undefined) return 'a table is in use';
    return `connection ${longest.id} of user ${longest.user} has been busy for ${longest.seconds} s`;
  };

  /** Waits for every writer, and no longer than is bearable for those who wait behind it. */
  const lockAll = async (mine: Hold, other: Connection): Promise<void> => {
    const waitMs = Math.min(app.hold_timeout, MOST_WAIT_MS);
    const began = monotonic();
    try {
      const seconds = Math.max(1, Math.floor(waitMs / 1000));
      await mine.connection.ask(`SET SESSION lock_wait_timeout = ${seconds}`, [], QUERY_MS);
      await mine.connection.ask('FLUSH TABLES WITH READ LOCK', [], Math.max(MARGIN_MS, waitMs - MARGIN_MS));
    } catch (error) {
      const why = await blockers(other, mine.connection.id).catch(() => errorText(error));
      // The server does not notice that a waiting connection has ended: it is told.
      await other.ask(`KILL ${mine.connection.id}`, [], 1000).catch(() => undefined);
      mine.connection.destroy();
      const waited = ((monotonic() - began) / 1000).toFixed(1);
      throw new Error(`its writers did not come to rest within ${waited} s: ${why}`, { cause: error });
    }
  };

  const holdAll: Session['hold'] = async (state, leftMs) => {
    const name = lockName(state);
    if (name === null) throw new Error('there is nothing to hold');
    const began = monotonic();
    const mine: Hold = { name, connection: await opened(), stands: false, over: false };
    hold = mine;
    const end = () =>
      mine.connection.ask(`SET SESSION wait_timeout = ${silentSeconds(leftMs - (monotonic() - began))}`, [], QUERY_MS);
    // The one that can end the waiting is there before the waiting begins.
    await apart(async (other) => {
      await end();
      const [row] = await mine.connection.ask('SELECT GET_LOCK(?, 0) AS got', [name], QUERY_MS);
      if (row?.got !== 1) throw new Error('its name is taken');
      if (!mine.over) await lockAll(mine, other);
    }, 1000);
    await end();
    if (mine.over) {
      mine.connection.destroy();
      throw new Error('it was let go before it was held');
    }
    mine.stands = true;
  };

  const staysSafe = async (used: Connection): Promise<boolean> => unfit(await readSettings(used, QUICK_MS)) === null;

  /** False where that connection has ended: its lock fell with it, and the server may be another one. */
  const onlyWhileOpen = async (used: Connection, looks: () => Promise<boolean>): Promise<boolean> => {
    try {
      return used.open() && (await looks());
    } catch (error) {
      if (!used.open()) return false;
      throw error;
    }
  };

  /** The lock lives as long as its connection: the one that has the name is still that one. */
  const holdStands = ({ connection: used, name, stands, over }: Hold, leftMs: number): Promise<boolean> =>
    onlyWhileOpen(used, async () => {
      if (!stands || over) return false;
      const [, [row], safe] = await Promise.all([
        used.ask(`SET SESSION wait_timeout = ${silentSeconds(leftMs)}`, [], QUICK_MS),
        used.ask('SELECT CONNECTION_ID() AS id, IS_USED_LOCK(?) AS holder', [name], QUICK_MS),
        staysSafe(used),
      ]);
      return safe && Number(row?.id) === used.id && Number(row?.holder) === used.id;
    });

  /** The connection is still the first: so is the server. And nobody has made a table meanwhile that would have to be held. */
  const staysReady = async (): Promise<boolean> => {
    const used = connection;
    if (used === null || kind === null) return false;
    return onlyWhileOpen(used, async () => {
      const [safe, plain] = await Promise.all([staysSafe(used), kind === 'mysql-innodb' && hasPlainRows(used, QUICK_MS)]);
      return safe && !plain;
    });
  };

  /** Whoever has that name is ended, and then has no lock: holds of processes that are gone, or do not answer. */
  const proveFree = (name: string): Promise<void> =>
    apart(async (other) => {
      for (const began = monotonic(); ; await sleep(50)) {
        const [row] = await other.ask('SELECT IS_USED_LOCK(?) AS holder', [name], QUERY_MS);
        if (row?.holder === null) return;
        const waited = monotonic() - began;
        if (waited > KILLED_MS) throw new Error(`connection ${row?.holder} keeps its lock although it was ended`);
        if (waited > GONE_MS) await other.ask(`KILL ${Number(row?.holder)}`, [], QUERY_MS).catch(() => undefined);
      }
    });

  /** By the server's own word. False: another connection has to find out. */
  const letGo = async (mine: Hold): Promise<boolean> => {
    const stood = mine.stands;
    mine.over = true;
    mine.stands = false;
    try {
      // One that still waits for its lock does not hear us.
      if (!stood || !mine.connection.open()) return false;
      await mine.connection.ask('UNLOCK TABLES', [], 1000);
      return true;
    } catch {
      return false;
    } finally {
      mine.connection.destroy();
    }
  };

  const release: Session['release'] = async (state) => {
    const name = lockName(state);
    if (name === null) return;
    const mine = hold?.name === name ? hold : null;
    if (mine !== null && (await letGo(mine))) return;
    await proveFree(name).catch((error: unknown) => {
      if (!isNobody(error)) throw error;
    });
  };

  return {
    prepare,
    look: async () => {
      await (await opened()).ask('SELECT 1', [], QUERY_MS);
      return { lock: `felhom-quiesced-${randomBytes(8).toString('hex')}` };
    },
    hold: holdAll,
    stillHeld: (leftMs) => (hold === null || hold.over ? staysReady() : holdStands(hold, leftMs)),
    release,
    whereDataLies: async () => {
      const used = await opened();
      return dataPlaces(used, await readSettings(used, QUERY_MS), QUERY_MS);
    },
    close: async () => {
      hold?.connection.destroy();
      connection?.destroy();
    },
  };
};

export const mysql: Adapter<'mysql'> = {
  account: async () => OWNER,
  open: async (app, tools) => createSession(app, tools, (await import('mysql2')).default),
};
