/** What a MySQL or MariaDB server says of itself: whether its files would recover by themselves, and which tables would not. */
import type { Connection } from './mysql-connection.ts';

/** Variables as SHOW GLOBAL VARIABLES tells them; what a server does not know is missing. */
export type Settings = ReadonlyMap<string, string>;

const SETTINGS = [
  'datadir',
  'innodb_flush_log_at_trx_commit',
  'innodb_doublewrite',
  'innodb_flush_method',
  'innodb_force_recovery',
  'innodb_data_home_dir',
  'innodb_data_file_path',
  'innodb_log_group_home_dir',
  'innodb_undo_directory',
  'innodb_doublewrite_dir',
  'aria_log_dir_path',
  'log_bin_basename',
  'wsrep_on',
] as const;

/** With a status that only MySQL has: its redo log can be switched off. */
export const readSettings = async (connection: Connection, ms: number): Promise<Settings> => {
  const names = SETTINGS.map((name) => `'${name}'`).join(', ');
  const [variables, status] = await Promise.all([
    connection.ask(`SHOW GLOBAL VARIABLES WHERE Variable_name IN (${names})`, [], ms),
    connection.ask("SHOW GLOBAL STATUS LIKE 'Innodb_redo_log_enabled'", [], ms),
  ]);
  return new Map(
    [...variables, ...status].map(({ Variable_name, Value }) => [String(Variable_name).toLowerCase(), String(Value)]),
  );
};

/** MariaDB's 3 flushes more often than 1, never less. */
const FLUSHES = ['1', '3'];
/** MySQL's DETECT_ONLY and MariaDB's `fast` leave out what repairs a page that was cut in half. */
const DOUBLEWRITES = ['ON', 'DETECT_AND_RECOVER'];
const NO_FLUSH = ['nosync', 'littlesync'];

/** Why files of one instant would not do; null: they would. */
export const unfit = (settings: Settings): string | null => {
  const is = (name: string) => settings.get(name) ?? '';
  if (is('wsrep_on') === 'ON') return 'it is a node of a Galera cluster: a lock here would halt the whole cluster';
  if (!FLUSHES.includes(is('innodb_flush_log_at_trx_commit')))
    return 'innodb_flush_log_at_trx_commit is not 1: what was committed may be lost. Set innodb_flush_log_at_trx_commit = 1';
  if (!DOUBLEWRITES.includes(is('innodb_doublewrite').toUpperCase()))
    return 'innodb_doublewrite is off: a page that was cut in half cannot be recovered. Set innodb_doublewrite = ON';
  if (NO_FLUSH.includes(is('innodb_flush_method').toLowerCase()))
    return `innodb_flush_method is ${is('innodb_flush_method')}: nothing is flushed. Set innodb_flush_method = O_DIRECT`;
  if (!['', '0'].includes(is('innodb_force_recovery'))) return 'innodb_force_recovery is set: its tables are being repaired';
  if (is('innodb_redo_log_enabled') === 'OFF') return 'its redo log is off: ALTER INSTANCE ENABLE INNODB REDO_LOG';
  return null;
};

/** Of CURRENT_USER(), as information_schema.USER_PRIVILEGES writes it. The last @ parts name and host. */
const GRANTEE = `CONCAT('''', LEFT(CURRENT_USER(), LENGTH(CURRENT_USER()) - LENGTH(SUBSTRING_INDEX(CURRENT_USER(), '@', -1)) - 1),
  '''@''', SUBSTRING_INDEX(CURRENT_USER(), '@', -1), '''')`;

/**
 * Rejects where a right is missing, with what grants it. Without SELECT everywhere a table that is not seen would count as none;
 * without PROCESS it is not known where tablespaces lie; RELOAD is the right to lock.
 */
export const demandRights = async (connection: Connection, rights: readonly string[], ms: number): Promise<void> => {
  const rows = await connection.ask(
    `SELECT ${GRANTEE} AS grantee, PRIVILEGE_TYPE AS name FROM information_schema.USER_PRIVILEGES WHERE GRANTEE = ${GRANTEE}`,
    [],
    ms,
  );
  const has = new Set(rows.map(({ name }) => name));
  const missing = rights.filter((right) => !has.has(right));
  if (missing.length === 0) return;
  const [who] = await connection.ask(`SELECT ${GRANTEE} AS grantee`, [], ms);
  throw new Error(`the database user lacks rights: GRANT ${missing.join(', ')} ON *.* TO ${who?.grantee}`);
};

/** InnoDB recovers by itself; the others keep no rows in files, or lose them at every restart. */
const NO_PLAIN_FILES = ['InnoDB', 'MEMORY', 'BLACKHOLE', 'MRG_MyISAM', 'PERFORMANCE_SCHEMA', 'FEDERATED', 'SPIDER', 'SEQUENCE'];
/**
 * In the server's own schemas, not counted either: MariaDB keeps its system tables in Aria with a log of its own (`transactional=1`),
 * which it recovers at start as InnoDB does, and both log to CSV tables. MyISAM there (before MySQL 8 and MariaDB 10.4) counts.
 */
const OWN_SCHEMAS = ['mysql', 'sys', 'performance_schema', 'information_schema'];
const OWN_ENGINES = ['Aria', 'CSV'];
const MOST_LOOKED_AT = 200;

/** For names of our own only: nothing is escaped. */
export const list = (names: readonly string[]): string => names.map((name) => `'${name}'`).join(', ');
const quoted = (name: unknown): string => `\`${String(name).replaceAll('`', '``')}\``;

/** Whether a table has rows in an engine whose files are whole only while nobody writes. */
export const hasPlainRows = async (connection: Connection, ms: number): Promise<boolean> => {
  const tables = await connection.ask(
    `SELECT TABLE_SCHEMA AS owner, TABLE_NAME AS name FROM information_schema.TABLES
     WHERE TABLE_TYPE NOT IN ('VIEW', 'SYSTEM VIEW') AND TABLE_SCHEMA <> 'information_schema'
       AND (ENGINE IS NULL OR ENGINE NOT IN (${list(NO_PLAIN_FILES)}))
       AND NOT (TABLE_SCHEMA IN (${list(OWN_SCHEMAS)}) AND ENGINE IN (${list(OWN_ENGINES)}))
     LIMIT ${MOST_LOOKED_AT + 1}`,
    [],
    ms,
  );
  if (tables.length > MOST_LOOKED_AT) return true;
  for (const { owner, name } of tables) {
    // A table that cannot be read is not known to be empty.
    const rows = await connection.ask(`SELECT 1 FROM ${quoted(owner)}.${quoted(name)} LIMIT 1`, [], ms).catch(() => null);
    if (rows === null || rows.length > 0) return true;
  }
  return false;
};
