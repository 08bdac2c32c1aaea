/** `quiesce discover` with real servers: each is found where it listens, and the proposal installs as --help says. */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, test } from 'vitest';
import { parse } from 'yaml';
import { discoverCommand } from '#controller/cli/quiesce-discover';
import { type QuiesceApp, readQuiesce } from '#shared/quiesce/config';
import { composeLabels, startEngine } from '../docker/engine.ts';
import type { Engine, EngineKind } from '../engines/engine.ts';
import { mariadb } from '../engines/mariadb.ts';
import { postgres } from '../engines/postgres.ts';
import { redisRdb } from '../engines/redis.ts';
import { sqlite } from '../engines/sqlite.ts';

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

/** On a disk: what lies in memory, as /tmp may, is rightly called in no backup. */
const makeDir = (): string => {
  const dir = mkdtempSync('/var/tmp/felhom-discover-');
  cleanUps.push(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
};

const discover = async (docker: string, ...more: string[]) => {
  const said = { stdout: '', stderr: '', status: -1 };
  const io = {
    out: (text: string) => {
      said.stdout += text;
    },
    err: (text: string) => {
      said.stderr += text;
    },
    exit: (code: number) => {
      said.status = code;
    },
  };
  await discoverCommand(io).parseAsync(['--docker', docker, ...more], { from: 'user' });
  return said;
};

const appsOf = (yaml: string): QuiesceApp[] => {
  const settled = readQuiesce(parse(yaml));
  if (!settled.ok) throw new Error(JSON.stringify(settled.problems));
  return settled.settings.apps;
};

const started = async (kind: EngineKind, dir: string): Promise<Engine> => {
  const dirs = { data: join(dir, 'data'), run: join(dir, 'run') };
  const engine = await kind.start(dirs);
  cleanUps.push(() => engine.kill());
  return engine;
};

for (const kind of [postgres, mariadb, redisRdb, sqlite]) {
  const lacks = kind.lacks();
  test.skipIf(lacks !== null)(
    `${kind.name} is found where it listens, with its data${lacks ? ` (skipped: ${lacks})` : ''}`,
    async () => {
      const dir = makeDir();
      const { entry } = await started(kind, dir);
      const { stdout } = await discover(join(dir, 'no-docker.sock'));
      const { user: _user, ...place } = entry;
      expect(appsOf(stdout).find((app) => JSON.stringify(app).includes(dir))).toMatchObject(place);
      if (kind !== sqlite) expect(stdout).toContain(join(dir, 'data'));
    },
  );
}

test('Docker is asked by GETs of lists and of single containers only', async () => {
  const socket = join(makeDir(), 'docker.sock');
  const engine = await startEngine(socket);
  cleanUps.push(() => engine.close());
  const mounts = [{ Type: 'volume', Source: '/var/lib/docker/volumes/x/_data', Destination: '/data', RW: true }];
  engine.run({ name: 'shop-db-1', labels: composeLabels('shop', 'db'), mounts });
  engine.run({ name: 'job', autoRemove: true, mounts });
  const { stdout, stderr, status } = await discover(socket);
  expect(appsOf(stdout)).toContainEqual(expect.objectContaining({ adapter: 'docker', containers: ['shop/db'] }));
  expect(stderr).toContain('The container job was started with --rm');
  expect(status).toBe(2);
  expect(engine.calls.length).toBeGreaterThan(0);
  for (const call of engine.calls) expect(call).toMatch(/^GET \/containers\/([0-9a-f]{64}\/)?json$/);
});

test('a Docker that does not answer as it should is said, and the rest is proposed all the same', async () => {
  const socket = join(makeDir(), 'docker.sock');
  const engine = await startEngine(socket);
  cleanUps.push(() => engine.close());
  engine.fault('/containers/json', 500, 'out of order');
  const { stdout, stderr, status } = await discover(socket);
  expect(stderr).toContain(`Docker's containers: ${socket}: it answered HTTP 500.`);
  expect(status).toBe(2);
  appsOf(stdout);
});

test('--json says the same as one document', async () => {
  const { stdout, stderr, status } = await discover('/nonexistent/docker.sock', '--json');
  expect(JSON.parse(stdout)).toMatchObject({ proposed: expect.any(Array), uncovered: expect.any(Array), exit_status: status });
  expect(stderr).toBe('');
});

/** A database of its own in a directory, held open by a process that ends with this one. */
const openDatabase = async (path: string) => {
  const driver = fileURLToPath(new URL('../../node_modules/better-sqlite3', import.meta.url));
  const program = `const db = require(${JSON.stringify(driver)})(process.argv[1]); db.exec('CREATE TABLE t (x)'); process.stdin.resume().on('end', () => process.exit())`;
  const child = spawn(process.execPath, ['-e', program, path], { stdio: ['pipe', 'ignore', 'inherit'] });
  cleanUps.push(() => child.kill('SIGKILL'));
  for (let tries = 0; tries < 200 && !(existsSync(path) && statSync(path).size > 0); tries += 1) await sleep(20);
};

test('what --help says installs the proposal', async () => {
  const dir = makeDir();
  mkdirSync(join(dir, 'felhom'));
  const target = join(dir, 'felhom/quiesce.yaml');
  await openDatabase(join(dir, 'notes and more.db'));
  let help = '';
  const command = discoverCommand({ out: () => undefined, err: () => undefined, exit: () => undefined });
  command.configureOutput({
    writeOut: (text) => {
      help += text;
    },
  });
  command.outputHelp();
  const [, line = ''] = /^ *(sudo felhom-controller quiesce discover \| .*)$/m.exec(help) ?? [];
  expect(line).toContain('felhom-controller quiesce discover | sudo install -m 0644 -o root /dev/stdin /etc/felhom/quiesce.yaml');

  const { stdout } = await discover('/nonexistent/docker.sock');
  // As it stands but for the target, for what a test may not do, and for the program, whose answer is at hand.
  const [, install = ''] = line.split(' | sudo ');
  const asIs = install
    .replace('/etc/felhom/quiesce.yaml', target)
    .replace(' -o root', process.getuid?.() === 0 ? ' -o root' : '');
  expect(spawnSync('sh', ['-c', `cat | ${asIs}`], { input: stdout, encoding: 'utf8' })).toMatchObject({ status: 0, stderr: '' });
  expect(statSync(target).mode & 0o7777).toBe(0o644);
  const path = join(dir, 'notes and more.db');
  expect(appsOf(readFileSync(target, 'utf8'))).toContainEqual(expect.objectContaining({ adapter: 'sqlite', path }));
});

test('nothing is changed: the files that were looked at are as they were', async () => {
  const path = join(makeDir(), 'kept.sqlite');
  await openDatabase(path);
  const before = statSync(path, { bigint: true });
  expect(appsOf((await discover('/nonexistent/docker.sock')).stdout)).toContainEqual(expect.objectContaining({ path }));
  expect(statSync(path, { bigint: true })).toMatchObject({ mtimeNs: before.mtimeNs, ctimeNs: before.ctimeNs, size: before.size });
});
