/** `quiesce.yaml`: the applications of a guest, and how each is held still for a backup and let go again. */
import {
  absolutePath,
  byKey,
  duration,
  integer,
  listOf,
  oneOf,
  optional,
  type Read,
  type Reader,
  readSettings,
  type Settled,
  section,
  text,
} from '../settings.ts';
import { PROVIDES } from './table.ts';

/** Of one guest: each of them is named to the host, or an archive could be called `app` without the last ones. */
export const MOST_APPS = 64;

/** Names an application in logs, answers and on the page. */
export const appName = text('a name of up to 63 letters, digits, dots, dashes and underscores', (value) =>
  /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/.test(value),
);

const argument = text('text', (value) => !value.includes('\0'));

/** A program and its arguments, given to no shell. */
const argv: Reader<[string, ...string[]]> = (value, path, problems) => {
  const [program, ...rest] = listOf(argument, { atLeast: 1 })(value, path, problems);
  return [program === undefined ? '' : absolutePath(program, `${path}[0]`, problems), ...rest];
};

const step = section({ argv, timeout: optional(duration('100ms', '10m'), 30_000) });

/** An account of this system (useradd(8)). Empty: what the adapter takes by itself. */
const account = optional(
  text('the name of an account of this system', (value) => /^[A-Za-z_][A-Za-z0-9_-]{0,31}\$?$/.test(value)),
  '',
);
const LOCAL = 'localhost, 127.0.0.1 or ::1: felhom-quiesced reaches no other machine';
const socketOrHost = text(
  `the absolute path of a directory or socket, or ${LOCAL}`,
  (value) => (value.startsWith('/') && !value.includes('\0')) || ['localhost', '127.0.0.1', '::1'].includes(value),
);
const plainName = (wants: string) => text(wants, (value) => value !== '' && !/[\0\n]/.test(value));

/** Of every application. */
const COMMON = {
  name: appName,
  /** `auto`: only where it makes the backup better. */
  hold: optional(oneOf(['auto', 'always', 'never']), 'auto'),
  /** Making ready, while the application goes on working. */
  prepare_timeout: optional(duration('1s', '10m'), 60_000),
  /** Being held takes no longer than this, or it is let go again. */
  hold_timeout: optional(duration('100ms', '60s'), 5000),
  /** The account that does it; empty: what the adapter takes by itself. */
  user: account,
};

/** Where an application's data lies, for those that cannot be asked. */
const data = optional(listOf(absolutePath), []);

/** Empty: no password. Read before the account is changed; never in the file itself. */
const password_file = optional(absolutePath, '');
const role = optional(plainName('a name of a database user'), '');
const port = (usual: number) => optional(integer(1, 65_535), usual);

/** Each adapter and the keys of its applications. */
const ADAPTERS = {
  postgres: section({
    ...COMMON,
    adapter: oneOf(['postgres']),
    host: optional(socketOrHost, '/var/run/postgresql'),
    port: port(5432),
    database: optional(plainName('a name of a database'), 'postgres'),
    role,
    password_file,
  }),
  mysql: section({
    ...COMMON,
    adapter: oneOf(['mysql']),
    host: optional(socketOrHost, '/run/mysqld/mysqld.sock'),
    port: port(3306),
    role,
    password_file,
  }),
  redis: section({
    ...COMMON,
    adapter: oneOf(['redis']),
    host: optional(socketOrHost, '127.0.0.1'),
    port: port(6379),
    role,
    password_file,
  }),
  sqlite: section({ ...COMMON, adapter: oneOf(['sqlite']), path: absolutePath }),
  docker: section({
    ...COMMON,
    adapter: oneOf(['docker']),
    /** Stopped in this order, started in the opposite one. */
    containers: listOf(
      text('the name of a container, or <project>/<service> of docker compose', (value) =>
        /^[A-Za-z0-9][A-Za-z0-9_.-]*(\/[A-Za-z0-9][A-Za-z0-9_.-]*)?$/.test(value),
      ),
      { atLeast: 1 },
    ),
    /** `pause` flushes nothing, so it never makes an archive `app`. */
    how: optional(oneOf(['stop', 'pause']), 'stop'),
    socket: optional(absolutePath, '/var/run/docker.sock'),
    data,
  }),
  systemd: section({
    ...COMMON,
    adapter: oneOf(['systemd']),
    /** Stopped in this order, started in the opposite one. */
    units: listOf(
      text('the name of a unit, such as notes.service', (value) =>
        /^[A-Za-z0-9:_.\\-][A-Za-z0-9:_.\\@-]*\.(service|socket|timer|path|target)$/.test(value),
      ),
      { atLeast: 1 },
    ),
    data,
  }),
  command: section({
    ...COMMON,
    adapter: oneOf(['command']),
    /** Slow work, while the application goes on. */
    prepare: optional<Read<typeof step> | null>(step, null),
    pre: step,
    /** Ends with 0 while the hold still stands. */
    check: optional<Read<typeof step> | null>(step, null),
    post: step,
    /** What the archive may claim for this application when pre has ended well. */
    provides: optional(oneOf(PROVIDES), 'crash'),
    data,
  }),
} as const;
export type AdapterName = keyof typeof ADAPTERS;
export const ADAPTER_NAMES = Object.keys(ADAPTERS) as AdapterName[];

const app = byKey('adapter', ADAPTERS);

/** No two entries of one name: a name decides whom a release is for. */
const uniqueNames =
  <T extends { name: string }>(reader: Reader<T[]>): Reader<T[]> =>
  (value, path, problems) => {
    const apps = reader(value, path, problems);
    for (const [index, { name }] of apps.entries()) {
      const first = apps.findIndex((one) => one.name === name);
      if (first < index && name !== '')
        problems.push({ path: `${path}[${index}].name`, sentence: `"${name}" is already the name of apps[${first}]` });
    }
    return apps;
  };

const quiesceReader = section({
  apps: optional(uniqueNames(listOf(app, { atMost: MOST_APPS })), []),
  /** The longest that applications are held, whatever happens. */
  hold_max: optional(duration('1s', '10m'), 60_000),
});

export type QuiesceConfig = Read<typeof quiesceReader>;
export type QuiesceApp = QuiesceConfig['apps'][number];
export type AppOf<N extends AdapterName> = Extract<QuiesceApp, { adapter: N }>;

/** @param value the parsed YAML */
export const readQuiesce = (value: unknown): Settled<QuiesceConfig> => readSettings(quiesceReader, value);
