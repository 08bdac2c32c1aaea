import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadConfig } from '#controller/config';

let dir = '';
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'felhom-config-'));
});
afterAll(() => rm(dir, { recursive: true }));

const load = async (controller: string, quiesce?: string) => {
  const file = join(dir, 'controller.yaml');
  const apps = join(dir, 'quiesce.yaml');
  await rm(apps, { force: true });
  if (quiesce !== undefined) await writeFile(apps, quiesce);
  await writeFile(file, `${controller}${quiesce === undefined ? '' : `\nquiesce: ${apps}\n`}`);
  return loadConfig(file);
};
const problems = async (controller: string, quiesce?: string): Promise<string[]> => {
  const error = await load(controller, quiesce).then(
    () => new Error('was accepted'),
    (thrown: Error) => thrown,
  );
  return error.message.split('\n').slice(1);
};

test('an empty file and no quiesce.yaml: the defaults', async () => {
  await expect(load('quiesce: /does/not/exist')).resolves.toEqual({
    bootstrap: '/etc/felhom/bootstrap.json',
    stateDir: '/var/lib/felhom-controller',
    runtimeDir: '/run/felhom',
    pollMs: 60_000,
    apps: [],
    holdMaxMs: 60_000,
  });
});

test('the shipped examples are accepted', async () => {
  const example = await loadConfig(join(import.meta.dirname, '../../../systemd/examples/controller.yaml'));
  expect(example.pollMs).toBe(60_000);
  const { readFile } = await import('node:fs/promises');
  const quiesce = await readFile(join(import.meta.dirname, '../../../systemd/examples/quiesce.yaml'), 'utf8');
  const { apps, holdMaxMs } = await load('', quiesce);
  expect(apps).toEqual([
    {
      name: 'notes',
      adapter: 'command',
      pre: { argv: ['/usr/local/lib/notes/hold', '--flush'], timeout: 30_000 },
      post: { argv: ['/usr/local/lib/notes/release'], timeout: 30_000 },
    },
  ]);
  expect(holdMaxMs).toBe(60_000);
});

test.each([
  ['an unknown key', 'pol: 30s', '  pol: there is no such key; did you mean "poll"?'],
  [
    'a key of another file',
    'listen: 1',
    '  listen: there is no such key; known here: bootstrap, quiesce, state_dir, runtime_dir, poll',
  ],
  ['a bare number', 'poll: 60', '  poll: must be a duration from 100ms to 1h, such as 30s or 5m'],
  ['too short', 'poll: 1ms', '  poll: must be a duration from 100ms to 1h, such as 30s or 5m'],
  ['a relative path', 'state_dir: here', '  state_dir: must be an absolute path, such as /etc/felhom/file'],
  ['a list', '- poll', '  the file: must be a mapping of keys to values'],
])('controller.yaml with %s', async (_what, text, sentence) => {
  expect(await problems(text)).toContain(sentence);
});

test.each([
  [
    'a relative program',
    'apps: [{name: a, adapter: command, pre: {argv: [sh]}, post: {argv: [/x]}}]',
    '  apps[0].pre.argv[0]: must be an absolute path, such as /etc/felhom/file',
  ],
  [
    'no argv',
    'apps: [{name: a, adapter: command, pre: {argv: []}, post: {argv: [/x]}}]',
    '  apps[0].pre.argv: must be a list with at least 1 entry',
  ],
  [
    'a shell line',
    'apps: [{name: a, adapter: command, pre: {argv: "/x; y"}, post: {argv: [/x]}}]',
    '  apps[0].pre.argv: must be a list with at least 1 entry',
  ],
  ['no post', 'apps: [{name: a, adapter: command, pre: {argv: [/x]}}]', '  apps[0].post: must be a mapping of keys to values'],
  [
    'no name',
    'apps: [{adapter: command, pre: {argv: [/x]}, post: {argv: [/x]}}]',
    '  apps[0].name: is missing; it must be a name of up to 63 letters, digits, dots, dashes and underscores',
  ],
  [
    'an unknown adapter',
    'apps: [{name: a, adapter: comand, pre: {argv: [/x]}, post: {argv: [/x]}}]',
    '  apps[0].adapter: must be "command"; did you mean "command"?',
  ],
  [
    'one name twice',
    'apps: [&a {name: a, adapter: command, pre: {argv: [/x]}, post: {argv: [/x]}}, *a]',
    '  apps[1].name: "a" is already the name of apps[0]',
  ],
  [
    'a number as argument',
    'apps: [{name: a, adapter: command, pre: {argv: [/x, 5]}, post: {argv: [/x]}}]',
    '  apps[0].pre.argv[1]: must be text',
  ],
  [
    'a bad time-out',
    'apps: [{name: a, adapter: command, pre: {argv: [/x], timeout: 0s}, post: {argv: [/x]}}]',
    '  apps[0].pre.timeout: must be a duration from 100ms to 10m, such as 30s or 5m',
  ],
  ['a bad hold_max', 'hold_max: 1h', '  hold_max: must be a duration from 1s to 10m, such as 30s or 5m'],
])('quiesce.yaml with %s', async (_what, text, sentence) => {
  expect(await problems('', text)).toContain(sentence);
});

test('everything that is wrong is said at once', async () => {
  expect(await problems('poll: x\nstate_dir: y\nbotstrap: z')).toHaveLength(3);
});

test('a file that is not there, or not YAML', async () => {
  await expect(loadConfig('/does/not/exist')).rejects.toThrow('the file: does not exist');
  expect((await problems('a: [')).join()).toContain('is not YAML');
});
