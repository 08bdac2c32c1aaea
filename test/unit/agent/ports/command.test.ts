import { tmpdir } from 'node:os';
import { expect, test } from 'vitest';
import { CommandError, commandsFrom, runCommand } from '#agent/ports/command';

const run = commandsFrom({
  sleep: { path: '/bin/sleep', timeoutMs: 200 },
  shell: { path: '/bin/sh', timeoutMs: 1_000 },
  tolerant: { path: '/bin/sh', timeoutMs: 1_000, accepts: (exit) => (exit & 0b11) === 0 },
  missing: { path: '/nonexistent/program', timeoutMs: 1_000 },
});

const failure = (promise: Promise<string>): Promise<CommandError> =>
  promise.then(
    () => expect.fail('it should have failed'),
    (error: unknown) => {
      expect(error).toBeInstanceOf(CommandError);
      return error as CommandError;
    },
  );

test('a hung program ends at its deadline, and is gone', async () => {
  const before = performance.now();
  expect(await failure(run('sleep', ['30']))).toMatchObject({ reason: 'timeout' });
  expect(performance.now() - before).toBeLessThan(1_000);
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(await failure(run('sleep', ['30']))).toMatchObject({ reason: 'timeout' });
});

test('a caller may wait for less time than the table allows, never for more', async () => {
  const before = performance.now();
  expect(await failure(run('sleep', ['31'], 30))).toMatchObject({ reason: 'timeout' });
  expect(performance.now() - before).toBeLessThan(180);
  expect(await failure(run('sleep', ['32'], 60_000))).toMatchObject({ reason: 'timeout' });
  expect(performance.now() - before).toBeLessThan(1_000);
});

test('a program whose output stays open is not waited for beyond the deadline', async () => {
  const before = performance.now();
  expect(await failure(run('shell', ['-c', 'sleep 3 & echo started']))).toMatchObject({ reason: 'timeout' });
  expect(performance.now() - before).toBeLessThan(2_000);
});

test('a second call with the same arguments is refused while the first runs, another one is not', async () => {
  const first = run('shell', ['-c', 'sleep 0.2; echo one']);
  expect(await failure(run('shell', ['-c', 'sleep 0.2; echo one']))).toMatchObject({ reason: 'stuck' });
  expect(await run('shell', ['-c', 'echo two'])).toBe('two\n');
  expect(await first).toBe('one\n');
  expect(await run('shell', ['-c', 'sleep 0.2; echo one'])).toBe('one\n');
});

test('the environment holds the locale and nothing else', async () => {
  process.env.FELHOM_TEST_SECRET = 'x';
  const names = (await run('shell', ['-c', 'export -p'])).match(/[A-Z_]+(?==)/g);
  expect(names?.filter((name) => !['PWD', 'OLDPWD', 'SHLVL', '_'].includes(name))).toEqual(['LC_ALL']);
});

test('standard input is closed', async () => expect(await run('shell', ['-c', 'cat; echo end'])).toBe('end\n'));

test('output is bounded', async () =>
  expect(
    await failure(run('shell', ['-c', 'while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done'])),
  ).toMatchObject({
    reason: 'output',
  }));

test.each([
  ['shell', 4, 'exit'],
  ['tolerant', 3, 'exit'],
] as const)('%s with exit status %i fails', async (name, exit, reason) =>
  expect(await failure(run(name, ['-c', `echo why >&2; exit ${exit}`]))).toMatchObject({
    reason,
    exit,
    message: expect.stringContaining('why'),
  }),
);

test('an exit status that the table accepts is a success', async () =>
  expect(await run('tolerant', ['-c', 'echo whole; exit 64'])).toBe('whole\n'));

test('a program that is not there can be asked for again', async () => {
  expect(await failure(run('missing', []))).toMatchObject({ reason: 'start' });
  expect(await failure(run('missing', []))).toMatchObject({ reason: 'start' });
});

test('arguments never meet a shell', async () => {
  await expect(run('sleep', ['0; touch /tmp/felhom-shell'])).rejects.toMatchObject({ reason: 'exit' });
});

test('statfs of a real path', async () => {
  const figures = (await runCommand('stat', ['-f', '-c', '%S %b %f %a', '--', tmpdir()])).trim().split(' ').map(Number);
  expect(figures).toHaveLength(4);
  expect(figures.every(Number.isInteger)).toBe(true);
});
