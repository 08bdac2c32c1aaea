/** Database servers with an adapter of their own: PostgreSQL, MySQL and MariaDB, Redis and Valkey. Pure. */
import type { Findings, FoundProcess, Listening } from './findings.ts';
import { onAnotherMount, outsideOfBackups } from './places.ts';
import type { Entry, Part } from './proposal.ts';

type Unix = Extract<Listening, { kind: 'unix' }>;

/** Where an adapter reaches it. */
interface Reach {
  host: string;
  port: number | null;
}

interface Server {
  adapter: 'postgres' | 'mysql' | 'redis';
  title: string;
  names: ReadonlySet<string>;
  /** What an adapter takes where nothing is said. */
  usual: { host: string; port: number /** Null: by its socket. */; user: string | null };
  socket: (path: string) => Reach | null;
  /** The option of its command line that names its data. */
  dataOption: RegExp;
}

const SERVERS: readonly Server[] = [
  {
    adapter: 'postgres',
    title: 'PostgreSQL',
    names: new Set(['postgres', 'postmaster']),
    usual: { host: '/var/run/postgresql', port: 5432, user: 'postgres' },
    // The directory and the port are the name: libpq, "unix_socket_directories".
    socket: (path) => {
      const [, directory, port] = /^(.*)\/\.s\.PGSQL\.(\d+)$/.exec(path) ?? [];
      return directory === undefined ? null : { host: directory, port: Number(port) };
    },
    dataOption: /^(?:-D|--data[-_]directory=|data_directory=)(.*)$/,
  },
  {
    adapter: 'mysql',
    title: 'MySQL or MariaDB',
    names: new Set(['mariadbd', 'mysqld']),
    usual: { host: '/run/mysqld/mysqld.sock', port: 3306, user: 'mysql' },
    // mysqlx.sock speaks another protocol.
    socket: (path) => (/mysqlx[^/]*$/.test(path) ? null : { host: path, port: null }),
    dataOption: /^(?:-h|--datadir=)(.*)$/,
  },
  {
    adapter: 'redis',
    title: 'Redis',
    names: new Set(['redis-server', 'valkey-server']),
    usual: { host: '127.0.0.1', port: 6379, user: null },
    socket: (path) => ({ host: path, port: null }),
    dataOption: /^--dir=(.*)$/,
  },
];

/** `/var/run` is a link to `/run`. */
const sameSocket = (one: string, other: string): boolean => {
  const [a, b] = [one, other].map((path) => path.replace(/^\/var\/run\//, '/run/'));
  return a === b;
};

/** The one process of a server that the others are children of. */
const isMain = (process: FoundProcess, all: readonly FoundProcess[]): boolean =>
  !all.some(({ pid, name }) => pid === process.ppid && name === process.name);

/** `-D /var/lib/x`, `-D/var/lib/x`, `--datadir=/var/lib/x`; else its working directory, which all of these make their data's. */
const dataDirectory = ({ argv, cwd }: FoundProcess, { dataOption }: Server): string | null => {
  const named = argv.flatMap((word, index) => {
    const value = dataOption.exec(word)?.[1];
    return value === undefined ? [] : [value === '' ? (argv[index + 1] ?? '') : value];
  });
  const found = named.find((path) => path.startsWith('/')) ?? cwd;
  return found === '/' ? null : found;
};

/** By its usual socket, then another one, then TCP on this machine. */
const reach = (listens: readonly Listening[], server: Server): Reach | null => {
  const sockets = listens.filter((one): one is Unix => one.kind === 'unix').flatMap(({ path }) => server.socket(path) ?? []);
  const usual = sockets.find(({ host }) => sameSocket(host, server.usual.host));
  const [address] = listens.flatMap((one) =>
    one.kind === 'tcp' && one.address !== null ? [{ host: one.address, port: one.port }] : [],
  );
  return server.adapter === 'redis' ? (address ?? sockets[0] ?? null) : (usual ?? sockets[0] ?? address ?? null);
};

/** Only what an adapter would not take by itself. */
const entryOf = (name: string, { user }: FoundProcess, { adapter, usual }: Server, { host, port }: Reach): Entry => ({
  name,
  adapter,
  ...(sameSocket(host, usual.host) ? {} : { host }),
  ...(port === null || port === usual.port ? {} : { port }),
  ...(usual.user === null || user === null || user === usual.user ? {} : { user }),
});

const nameOf = ({ name, argv }: FoundProcess, { adapter }: Server, data: string | null): string => {
  if (adapter === 'mysql') return name === 'mariadbd' || argv[0]?.endsWith('mariadbd') ? 'mariadb' : 'mysql';
  // Debian's clusters lie in <version>/<name>.
  const cluster = adapter === 'postgres' ? /\/postgresql\/\d+\/([^/]+)\/?$/.exec(data ?? '')?.[1] : undefined;
  return cluster === undefined || cluster === 'main' ? adapter : `${adapter}-${cluster}`;
};

const propose = (process: FoundProcess, server: Server, { mounts, sockets }: Findings): Part => {
  const { title } = server;
  const data = dataDirectory(process, server);
  const outside = data === null ? null : outsideOfBackups(mounts, data);
  if (outside !== null)
    return { uncovered: [`${title} (process ${process.pid}): ${outside}, which is in no backup of this guest.`] };
  // Whose files cannot be looked at may still be told by the name of its socket.
  const known: Listening[] =
    process.files === null && server.adapter === 'postgres' ? sockets.map((path) => ({ kind: 'unix', path })) : process.listens;
  const reached = reach(known, server);
  const name = nameOf(process, server, data);
  const why = [
    `${title}, process ${process.pid}${process.unit === null ? '' : ` of ${process.unit}`}, data in ${data ?? 'a place that could not be seen'}.`,
    ...onAnotherMount(mounts, data === null ? [] : [data]),
  ];
  if (reached !== null) return { proposed: [{ entry: entryOf(name, process, server, reached), why, active: true }] };
  if (process.files !== null) {
    return {
      uncovered: [`${title} (process ${process.pid}) listens neither on a Unix socket nor on this machine's own addresses.`],
    };
  }
  const guessed = 'Where it listens could not be seen; these are the usual places.';
  return { proposed: [{ entry: entryOf(name, process, server, { ...server.usual }), why: [...why, guessed], active: true }] };
};

/** `redis-server *:26379 [sentinel]` holds no data. */
const isSentinel = ({ argv }: FoundProcess): boolean => argv.some((word) => /\[sentinel\]|^--sentinel$/.test(word));

/** Which of these servers a process is; null: none. */
export const serverOf = ({ name }: FoundProcess): Server | null => SERVERS.find(({ names }) => names.has(name)) ?? null;

export const databases = (findings: Findings): Part[] =>
  findings.processes.flatMap((process) => {
    const server = serverOf(process);
    if (server === null || process.container !== null || isSentinel(process) || !isMain(process, findings.processes)) return [];
    return [propose(process, server, findings)];
  });
