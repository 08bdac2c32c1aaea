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

const load = async (text: string) => {
  const file = join(dir, 'controller.yaml');
  await writeFile(file, text);
  return loadConfig(file);
};
const problems = async (text: string): Promise<string[]> => {
  const error = await load(text).then(
    () => new Error('was accepted'),
    (thrown: Error) => thrown,
  );
  return error.message.split('\n').slice(1);
};

test('an empty file: the defaults', async () => {
  await expect(load('')).resolves.toEqual({
    bootstrap: '/etc/felhom/bootstrap.json',
    quiesced: '/run/felhom-quiesced/socket',
    stateDir: '/var/lib/felhom-controller',
    runtimeDir: '/run/felhom',
    pollMs: 60_000,
    mountinfo: '/proc/self/mountinfo',
  });
});

test('the shipped example is accepted', async () => {
  const example = await loadConfig(join(import.meta.dirname, '../../../systemd/examples/controller.yaml'));
  expect(example.pollMs).toBe(60_000);
});

test.each([
  ['an unknown key', 'pol: 30s', '  pol: there is no such key; did you mean "poll"?'],
  [
    'a key of another file',
    'listen: 1',
    '  listen: there is no such key; known here: bootstrap, quiesced, state_dir, runtime_dir, poll, mountinfo',
  ],
  ['a bare number', 'poll: 60', '  poll: must be a duration from 100ms to 1h, such as 30s or 5m'],
  ['too short', 'poll: 1ms', '  poll: must be a duration from 100ms to 1h, such as 30s or 5m'],
  ['a relative path', 'state_dir: here', '  state_dir: must be an absolute path, such as /etc/felhom/file'],
  ['a list', '- poll', '  the file: must be a mapping of keys to values'],
])('controller.yaml with %s', async (_what, text, sentence) => {
  expect(await problems(text)).toContain(sentence);
});

test('everything that is wrong is said at once', async () => {
  expect(await problems('poll: x\nstate_dir: y\nbotstrap: z')).toHaveLength(3);
});

test('a file that is not there, or not YAML', async () => {
  await expect(loadConfig('/does/not/exist')).rejects.toThrow('the file: does not exist');
  expect((await problems('a: [')).join()).toContain('is not YAML');
});
