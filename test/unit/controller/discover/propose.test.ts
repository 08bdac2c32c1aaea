/** What `quiesce discover` proposes for what it found, as text that a person reads and felhom-quiesced accepts. */
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import type { Findings } from '#controller/discover/findings';
import { propose } from '#controller/discover/propose';
import { renderWarnings, renderYaml } from '#controller/discover/render';
import { readQuiesce } from '#shared/quiesce/config';
import { container, mount, NOTHING, running, service, volume } from './setup.ts';

const proposalOf = (changes: Partial<Findings>) => propose({ ...NOTHING, ...changes });

/** The applications as felhom-quiesced reads them; throws where it would refuse. */
const accepted = (changes: Partial<Findings>) => {
  const settled = readQuiesce(parse(renderYaml(proposalOf(changes))));
  if (!settled.ok) throw new Error(JSON.stringify(settled.problems));
  return settled.settings.apps;
};
const names = (changes: Partial<Findings>) => accepted(changes).map(({ name }) => name);

const POSTGRES = running('postgres', {
  pid: 411,
  argv: ['/usr/lib/postgresql/15/bin/postgres', '-D', '/var/lib/postgresql/15/main'],
  unit: 'postgresql@15-main.service',
  cwd: '/var/lib/postgresql/15/main',
  listens: [
    { kind: 'unix', path: '/var/run/postgresql/.s.PGSQL.5432' },
    { kind: 'tcp', address: '127.0.0.1', port: 5432 },
  ],
});
const CHECKPOINTER = running('postgres', { pid: 412, ppid: 411, argv: ['postgres: 15/main: checkpointer '] });
const MARIADB = running('mariadbd', {
  pid: 500,
  argv: ['/usr/sbin/mariadbd'],
  unit: 'mariadb.service',
  cwd: '/var/lib/mysql',
  listens: [{ kind: 'unix', path: '/run/mysqld/mysqld.sock' }],
});
const REDIS = running('redis-server', {
  pid: 600,
  argv: ['/usr/bin/redis-server 127.0.0.1:6380'],
  unit: 'redis-server.service',
  cwd: '/srv/cache',
  listens: [{ kind: 'tcp', address: '127.0.0.1', port: 6380 }],
});
const sqlite = (path: string) => ({ path, writable: true, sqlite: true });

const GUEST: Partial<Findings> = {
  mounts: [mount('/', 'ext4'), mount('/srv', 'xfs'), mount('/mnt/photos', 'nfs4')],
  processes: [
    POSTGRES,
    CHECKPOINTER,
    MARIADB,
    REDIS,
    running('notes', { pid: 700, unit: 'notes.service', files: [sqlite('/var/lib/notes/app.db')] }),
    running('mongod', {
      pid: 800,
      unit: 'mongod.service',
      files: [{ path: '/var/lib/mongodb/mongod.lock', writable: true, sqlite: false }],
    }),
    running('sshd', { pid: 801, unit: 'ssh.service', listens: [{ kind: 'tcp', address: '127.0.0.1', port: 22 }] }),
    running('mosquitto', {
      pid: 802,
      unit: 'mosquitto.service',
      files: [{ path: '/var/lib/mosquitto/mosquitto.db.new', writable: true, sqlite: false }],
    }),
  ],
  docker: [
    service('photos', 'db', [], { image: 'postgres:17', mounts: [volume('/var/lib/docker/volumes/photos_db/_data')] }),
    service('photos', 'web', ['db'], { image: 'photos:2', mounts: [volume('/mnt/photos')] }),
    service('photos', 'proxy', [], { image: 'caddy:2' }),
    container('once', { autoRemove: true, mounts: [volume('/srv/once')] }),
  ],
};

test('a whole guest, as the file that is proposed', () => {
  expect(renderYaml(proposalOf(GUEST))).toMatchSnapshot();
  expect(renderWarnings(proposalOf(GUEST))).toMatchSnapshot();
});

test('what is proposed is accepted, in an order in which what is needed comes last', () => {
  expect(accepted(GUEST)).toMatchObject([
    { name: 'photos', adapter: 'docker', containers: ['photos/web', 'photos/db'] },
    { name: 'mongod', adapter: 'systemd', units: ['mongod.service'], data: ['/var/lib/mongodb'] },
    { name: 'postgres', adapter: 'postgres', host: '/var/run/postgresql', port: 5432 },
    { name: 'mariadb', adapter: 'mysql', host: '/run/mysqld/mysqld.sock' },
    { name: 'redis', adapter: 'redis', host: '127.0.0.1', port: 6380 },
    { name: 'notes-app', adapter: 'sqlite', path: '/var/lib/notes/app.db' },
  ]);
});

test('what is shown as a comment is accepted too, once its marks are taken away', () => {
  const text = renderYaml(proposalOf(GUEST)).replaceAll(/^ {2}# {2}/gm, '  ');
  const settled = readQuiesce(parse(text));
  expect(settled.ok && settled.settings.apps.map(({ name }) => name)).toContain('mosquitto');
});

test('an empty guest gives an empty list', () => {
  expect(accepted({})).toEqual([]);
  expect(proposalOf({})).toEqual({ proposed: [], uncovered: [], unseen: [], notes: [] });
});

describe('database servers', () => {
  test('a second one of a kind has a name and a place of its own', () => {
    const second = { ...POSTGRES, pid: 9, listens: [{ kind: 'unix' as const, path: '/srv/pg/.s.PGSQL.5433' }] };
    expect(accepted({ processes: [POSTGRES, second] })).toMatchObject([
      { name: 'postgres', port: 5432 },
      { name: 'postgres-2', host: '/srv/pg', port: 5433 },
    ]);
  });

  test('one of another account than the usual is asked as that one', () => {
    expect(accepted({ processes: [{ ...POSTGRES, user: 'postgres' }] })).toMatchObject([{ user: '' }]);
    expect(accepted({ processes: [{ ...POSTGRES, user: 'shop' }] })).toMatchObject([{ user: 'shop' }]);
  });

  test('one that can be reached only from outside is not covered', () => {
    const { uncovered, proposed } = proposalOf({
      processes: [{ ...MARIADB, listens: [{ kind: 'tcp', address: null, port: 3306 }] }],
    });
    expect(proposed).toEqual([]);
    expect(uncovered).toEqual([expect.stringContaining('MySQL or MariaDB (process 500)')]);
  });

  test('one whose data is on another machine is not covered', () => {
    const mounts = [...NOTHING.mounts, mount('/var/lib/mysql', 'nfs4')];
    const { uncovered, proposed } = proposalOf({ processes: [MARIADB], mounts });
    expect(proposed).toEqual([]);
    expect(uncovered[0]).toContain('on another machine (nfs4 at /var/lib/mysql)');
  });

  test('the X protocol of MySQL is not taken for its socket', () => {
    const listens = ['/run/mysqld/mysqlx.sock', '/srv/sql/mysqld.sock'].map((path) => ({ kind: 'unix' as const, path }));
    expect(accepted({ processes: [{ ...MARIADB, listens }] })).toMatchObject([{ host: '/srv/sql/mysqld.sock' }]);
  });

  test('a sentinel holds no data', () => {
    expect(names({ processes: [{ ...REDIS, argv: ['redis-server *:26379 [sentinel]'] }] })).toEqual([]);
  });

  test("without root, PostgreSQL is told by its socket's name, and what was not seen is said", () => {
    const hidden = { ...POSTGRES, files: null, listens: [], cwd: null, argv: ['postgres'] };
    const changes = {
      processes: [hidden, { ...MARIADB, files: null, listens: [] }],
      sockets: ['/srv/pg/.s.PGSQL.5433'],
      hidden: 2,
    };
    expect(accepted(changes)).toMatchObject([{ host: '/srv/pg', port: 5433 }, { adapter: 'mysql' }]);
    expect(proposalOf(changes).unseen).toEqual([expect.stringContaining('Run it as root.')]);
  });

  test('one in a container of Docker is left to the container', () => {
    const id = 'a'.repeat(64);
    const processes = [{ ...POSTGRES, container: { engine: 'docker' as const, id } }];
    const docker = [container('db', { id, mounts: [volume('/var/lib/docker/volumes/db/_data')] })];
    expect(accepted({ processes, docker })).toMatchObject([{ name: 'db', adapter: 'docker', containers: ['db'] }]);
    expect(proposalOf({ processes, docker }).uncovered).toEqual([]);
  });

  test('one in a container of another engine is not covered', () => {
    const processes = [{ ...POSTGRES, container: { engine: 'podman' as const, id: 'a'.repeat(64) } }];
    expect(proposalOf({ processes }).uncovered).toEqual([expect.stringContaining('postgres in a container of Podman')]);
  });
});

describe("Docker's containers", () => {
  const DB = [volume('/var/lib/docker/volumes/x/_data')];

  test('stopped in the order in which they need each other, also over several steps', () => {
    const docker = [
      service('a', 'cache', []),
      service('a', 'db', [], { mounts: DB }),
      service('a', 'api', ['db']),
      service('a', 'web', ['api', 'cache']),
    ];
    expect(accepted({ docker })).toMatchObject([{ containers: ['a/web', 'a/api', 'a/db'] }]);
    expect(proposalOf({ docker }).notes).toEqual([expect.stringContaining('left running: a-cache-1.')]);
  });

  test('a circle of needs ends', () => {
    const docker = [service('a', 'x', ['y'], { mounts: DB }), service('a', 'y', ['x'])];
    expect(accepted({ docker })).toMatchObject([{ containers: ['a/x', 'a/y'] }]);
  });

  test('two containers of one service go by their own names', () => {
    const docker = [service('a', 'db', [], { mounts: DB }), { ...service('a', 'db', [], { mounts: DB }), name: 'a-db-2' }];
    expect(accepted({ docker })).toMatchObject([{ containers: ['a-db-1', 'a-db-2'] }]);
  });

  test.each([
    ['of a swarm', { labels: { 'com.docker.swarm.task.id': 'x' } }, 'task of a swarm'],
    ['removed when it stops', { autoRemove: true }, '--rm'],
    ['paused by somebody', { paused: true }, 'is paused'],
  ])('one that is %s is not covered, with why', (_what, changes, why) => {
    const { proposed, uncovered } = proposalOf({ docker: [container('one', { mounts: DB, ...changes })] });
    expect(proposed).toEqual([]);
    expect(uncovered).toEqual([expect.stringContaining(why)]);
  });

  test('sockets, the system and memory are not data', () => {
    const mounts = [
      volume('/var/run/docker.sock'),
      volume('/etc/localtime'),
      volume('/proc'),
      { ...volume('/srv'), type: 'tmpfs' },
    ];
    expect(names({ docker: [container('agent', { mounts })] })).toEqual([]);
  });

  test('Docker that cannot be asked is said, never taken for none', () => {
    expect(proposalOf({ docker: 'this user may not ask /var/run/docker.sock; run it as root' }).unseen).toHaveLength(1);
  });

  test('what restarts others is named', () => {
    const { notes } = proposalOf({ docker: [container('tower', { image: 'containrrr/watchtower:latest' })] });
    expect(notes.join('\n')).toContain('tower may start others');
  });
});

describe('names', () => {
  test('any name that is found becomes one that is accepted, and no two are alike', () => {
    const paths = [
      '/srv/a/été ☃.db',
      '/srv/b/été ☃.db',
      '/srv/.hidden.db',
      `/srv/${'x'.repeat(80)}.db`,
      `/srv/y/${'x'.repeat(80)}.db`,
    ];
    const processes = [running('one', { files: paths.map(sqlite) })];
    const found = names({ processes });
    expect(new Set(found).size).toBe(paths.length);
    expect(accepted({ processes }).map((app) => 'path' in app && app.path)).toEqual([...paths].sort());
  });

  test('a line break in a name or a path ends no comment', () => {
    const processes = [running('one\napps: []', { files: [sqlite('/srv/a\n- name: x.db')] })];
    expect(accepted({ processes })).toMatchObject([{ path: '/srv/a\n- name: x.db' }]);
  });
});

test("felhom's own files, caches and memory are no applications", () => {
  const files = ['/var/lib/felhom-controller/x.db', '/home/a/.cache/y.db', '/run/z.db', '/tmp/t.db'].map(sqlite);
  expect(names({ processes: [running('one', { files })] })).toEqual([]);
});

test('a virtual machine inside and an engine that no unit owns are not covered', () => {
  const { uncovered } = proposalOf({ processes: [running('qemu-system-x86'), running('influxd')] });
  expect(uncovered).toEqual([
    expect.stringContaining('InfluxDB'),
    expect.stringContaining('A virtual machine inside this guest'),
  ]);
});

test('of more applications than one file may name, the last are for a person to choose from', () => {
  const files = Array.from({ length: 66 }, (_, index) => sqlite(`/srv/${index}.db`));
  const processes = [running('one', { files })];
  expect(names({ processes })).toHaveLength(64);
  expect(proposalOf({ processes }).uncovered).toEqual([
    'quiesce.yaml may name 64 applications; 2 more are below as comments, to choose from.',
  ]);
});
