/** Where the files of a MySQL or MariaDB server lie, and the proof that those which we see under that name are its own. */
import { lstat, readdir, readFile, realpath } from 'node:fs/promises';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { isWithin, mountOf, parseMountinfo } from '#shared/mountinfo';
import type { Connection, Row } from './mysql-connection.ts';
import { list, type Settings } from './mysql-server.ts';

/** Where each version tells the files of tablespaces: MariaDB to 10.5, from 10.6; MySQL 8. */
const TABLESPACES = [
  ['INNODB_SYS_DATAFILES', 'PATH'],
  ['INNODB_SYS_TABLESPACES', 'FILENAME'],
  ['INNODB_DATAFILES', 'PATH'],
] as const;

/** Null: this version does not tell. */
const tablespaceFiles = async (connection: Connection, ms: number): Promise<string[] | null> => {
  const known = await connection.ask(
    `SELECT TABLE_NAME AS view, COLUMN_NAME AS name FROM information_schema.COLUMNS
     WHERE TABLE_SCHEMA = 'information_schema' AND TABLE_NAME IN (${list(TABLESPACES.map(([view]) => view))})`,
    [],
    ms,
  );
  const tells = TABLESPACES.filter(([view, column]) => known.some((one) => one.view === view && one.name === column));
  if (tells.length === 0) return null;
  const rows: Row[][] = [];
  for (const [view, column] of tells)
    rows.push(
      await connection.ask(
        `SELECT DISTINCT ${column} AS path FROM information_schema.${view} WHERE ${column} IS NOT NULL`,
        [],
        ms,
      ),
    );
  return rows.flat().map(({ path }) => String(path));
};

/** What the settings name beside the data directory. The binary log too: recovery asks it what was committed. */
const DIRECTORIES = [
  'innodb_data_home_dir',
  'innodb_log_group_home_dir',
  'innodb_undo_directory',
  'innodb_doublewrite_dir',
  'aria_log_dir_path',
] as const;

const namedDirectories = (settings: Settings, data: string): string[] => {
  const is = (name: string) => settings.get(name) ?? '';
  // "ibdata1:12M:autoextend;/other/ibdata2:1G"
  const files = is('innodb_data_file_path')
    .split(';')
    .map((part) => resolve(data, is('innodb_data_home_dir'), part.split(':')[0] ?? ''));
  const binaryLog = is('log_bin_basename');
  return [
    ...DIRECTORIES.map(is).filter((path) => path !== ''),
    ...files.map((path) => dirname(path)),
    ...(binaryLog === '' ? [] : [dirname(resolve(data, binaryLog))]),
  ].map((path) => resolve(data, path));
};

/** Links in the data directory and in each database's: DATA DIRECTORY of a MyISAM table, or a database that was moved. */
const linksIn = async (directory: string, depth: number): Promise<string[]> => {
  const entries = await readdir(directory, { withFileTypes: true });
  const links = entries.filter((entry) => entry.isSymbolicLink()).map(({ name }) => join(directory, name));
  const below =
    depth === 0
      ? []
      : entries.filter((entry) => entry.isDirectory()).map(({ name }) => linksIn(join(directory, name), depth - 1));
  return [...links, ...(await Promise.all(below)).flat()];
};

/** The server's thread that serves this connection, as the system numbers it. */
const threadOf = async (connection: Connection, ms: number): Promise<number> => {
  const [version] = await connection.ask('SELECT VERSION() AS version', [], ms);
  const sql = String(version?.version).includes('MariaDB')
    ? 'SELECT TID AS tid FROM information_schema.PROCESSLIST WHERE ID = CONNECTION_ID()'
    : 'SELECT THREAD_OS_ID AS tid FROM performance_schema.threads WHERE PROCESSLIST_ID = CONNECTION_ID()';
  const [row] = await connection.ask(sql, [], ms);
  return Number(row?.tid ?? 0);
};

/** Inodes that a process has locked, of one device. proc_locks(5): "1: POSIX ADVISORY WRITE 775 fe:00:2245873 0 EOF". */
const lockedBy = (locks: string, pid: number, device: string): Set<string> => {
  const [major = 0, minor = 0] = device.split(':').map(Number);
  return new Set(
    locks.split('\n').flatMap((line) => {
      const [, kind, , access, holder, file = ''] = line.trim().split(/\s+/);
      const [hexMajor = '', hexMinor = '', inode = ''] = file.split(':');
      const same = Number.parseInt(hexMajor, 16) === major && Number.parseInt(hexMinor, 16) === minor;
      return kind === 'POSIX' && access === 'WRITE' && Number(holder) === pid && same ? [inode] : [];
    }),
  );
};

/**
 * Whether the directory that we see under that name is the one of the server that answers us: it keeps its files there locked (ibdata1,
 * aria_log_control), and the kernel says which process has which file locked. /proc/PID/cwd would say it more simply, but Debian's
 * unit gives the server a capability, and then not even its own account may read that. A server in a container has other numbers.
 */
const isServers = async (connection: Connection, data: string, ms: number): Promise<boolean> => {
  const thread = await threadOf(connection, ms);
  const status = await readFile(`/proc/${thread}/status`, 'utf8').catch(() => '');
  const pid = Number(/^Tgid:\s*(\d+)$/m.exec(status)?.[1] ?? 0);
  if (pid === 0) return false;
  const [locks, mountinfo, place] = await Promise.all([
    readFile('/proc/locks', 'utf8'),
    readFile('/proc/self/mountinfo', 'utf8'),
    realpath(data),
  ]);
  // The device of the mount, not of the file: btrfs gives each subvolume another number, and locks show that of the file system.
  const locked = lockedBy(locks, pid, mountOf(parseMountinfo(mountinfo), place)?.device ?? '');
  for (const entry of await readdir(place, { withFileTypes: true }))
    if (entry.isFile() && locked.has(String((await lstat(join(place, entry.name), { bigint: true })).ino))) return true;
  return false;
};

/** Every place with files that a restore needs; null: not to be known from here. */
export const dataPlaces = async (connection: Connection, settings: Settings, ms: number): Promise<string[] | null> => {
  const named = settings.get('datadir') ?? '';
  if (!isAbsolute(named)) return null;
  const data = resolve(named);
  try {
    if (!(await isServers(connection, data, ms))) return null;
    const files = await tablespaceFiles(connection, ms);
    if (files === null) return null;
    const elsewhere = [...namedDirectories(settings, data), ...files.map((path) => dirname(resolve(data, path)))];
    return [...new Set([data, ...elsewhere.filter((path) => !isWithin(path, data)), ...(await linksIn(data, 1))])];
  } catch (error) {
    // Not even looking is allowed to our account, or the directory is not there.
    if (['EACCES', 'EPERM', 'ENOENT'].includes((error as NodeJS.ErrnoException).code ?? '')) return null;
    throw error;
  }
};
