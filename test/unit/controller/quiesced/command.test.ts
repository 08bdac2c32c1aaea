import { expect, test } from 'vitest';
import { systemClock } from '#controller/quiesced/clock';
import { commandRunner } from '#controller/quiesced/command';

const run = commandRunner(systemClock);
const sh = (script: string, options: { timeoutMs?: number; signal?: AbortSignal } = {}) =>
  run(['/bin/sh', '-c', script], { timeoutMs: 5000, ...options });

test.each([
  ['success', 'echo well', { ok: true, code: 0, timedOut: false, tail: 'well' }],
  ['failure', 'echo why >&2; exit 3', { ok: false, code: 3, timedOut: false, tail: 'why' }],
  ['an end by a signal', 'kill -9 $$', { ok: false, code: null, timedOut: false }],
  ['closed input', 'read line || echo none', { ok: true, tail: 'none' }],
  ['a working directory that nothing unmounts', 'pwd', { tail: '/' }],
  ['control characters', "printf '\\033[2Jx'", { tail: '[2Jx' }],
])('%s', async (_what, script, result) => {
  await expect(sh(script)).resolves.toMatchObject(result);
});

test('no shell reads the arguments', async () => {
  await expect(run(['/bin/echo', '$HOME; *', '`id`'], { timeoutMs: 5000 })).resolves.toMatchObject({ tail: '$HOME; * `id`' });
});

test('the environment has three names', async () => {
  const { tail } = await run(['/usr/bin/env'], { timeoutMs: 5000 });
  expect(tail.match(/[A-Z_]+(?==)/g)?.sort()).toEqual(['HOME', 'LC_ALL', 'PATH']);
});

test('a program that is not there', async () => {
  await expect(run(['/does/not/exist'], { timeoutMs: 5000 })).resolves.toMatchObject({
    ok: false,
    code: null,
    tail: expect.stringContaining('ENOENT'),
  });
});

test.each([
  ['a path through a file', ['/etc/passwd/x'], 'ENOTDIR'],
  ['an argument that is too long', ['/bin/true', 'x'.repeat(200_000)], 'E2BIG'],
] as const)('%s is a failure of the command, never of the caller', async (_what, argv, why) => {
  await expect(run(argv as unknown as [string], { timeoutMs: 5000 })).resolves.toMatchObject({
    ok: false,
    code: null,
    timedOut: false,
    tail: expect.stringContaining(why),
  });
});

test('endless output is read and only its end is kept', async () => {
  const { ok, tail } = await sh(
    'i=0; while [ $i -lt 2000 ]; do echo "line $i 0123456789012345678901234567890123456789"; i=$((i+1)); done',
  );
  expect(ok).toBe(true);
  expect(tail.length).toBeLessThanOrEqual(500);
  expect(tail).toContain('line 1999');
});

test('an application left running behind does not hold up its post, and is not ended', async () => {
  const started = Date.now();
  const { ok, tail } = await sh('sleep 3 & echo $!');
  expect(ok).toBe(true);
  expect(Date.now() - started).toBeLessThan(1500);
  const pid = Number(tail);
  expect(process.kill(pid, 0)).toBe(true);
  process.kill(pid, 'SIGKILL');
});

test('a time-out ends the command politely', async () => {
  await expect(sh('sleep 60', { timeoutMs: 100 })).resolves.toMatchObject({ ok: false, timedOut: true });
});

test('a command that is ended with all it has started is over as soon as they are', async () => {
  const started = performance.now();
  await sh('while :; do sleep 0.03; done', { timeoutMs: 200 });
  expect(performance.now() - started).toBeLessThan(1500);
});

test('a time-out is a failure, whatever the status says', async () => {
  await expect(sh("trap 'exit 0' TERM; sleep 60 & wait", { timeoutMs: 100 })).resolves.toMatchObject({
    ok: false,
    timedOut: true,
  });
});

test('given up: ended, and not called a time-out', async () => {
  await expect(sh('sleep 60', { signal: AbortSignal.timeout(100) })).resolves.toMatchObject({ ok: false, timedOut: false });
  await expect(sh('sleep 60', { signal: AbortSignal.abort() })).resolves.toMatchObject({ ok: false });
});
