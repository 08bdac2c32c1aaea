/** The program that touches drives, as the agent runs it: whatever it does, somebody is told in time, and nothing is left. */
import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { systemClock } from '#agent/ports/clock';
import { createDriveCheck, DriveCheckError } from '#agent/ports/drive-check';

/** A program in the shell's words; its arguments are $1, $2 … */
const saying = (script: string, timeoutMs = 10_000) =>
  createDriveCheck({
    clock: systemClock,
    program: ['/bin/sh', '-c', script, 'felhom-fake'],
    timeoutMs: { exclusive: timeoutMs, zeros: timeoutMs, users: timeoutMs },
  });

/** Seconds that no other run's processes sleep. */
const LONG = 1_000_000 + process.pid;

const never = new AbortController().signal;
const noProgress = () => {};

const failure = async (work: Promise<unknown>): Promise<DriveCheckError> => {
  const error = await work.then(
    () => null,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(DriveCheckError);
  return error as DriveCheckError;
};

const left = (): string[] =>
  readdirSync('/proc').filter((pid) => {
    try {
      return (
        /^\d+$/.test(pid) && Number(pid) !== process.pid && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(String(LONG))
      );
    } catch {
      return false;
    }
  });

const untilNoneIsLeft = async (): Promise<void> => {
  for (let tries = 0; tries < 100 && left().length > 0; tries += 1) await new Promise((resolve) => setTimeout(resolve, 30));
  expect(left()).toEqual([]);
};

test('an answer is one, and what comes after it is not waited for', async () => {
  const started = performance.now();
  expect(await saying(`echo '{"exclusive":"busy"}'; sleep ${LONG}`).exclusive('/dev/x')).toBe('busy');
  expect(performance.now() - started).toBeLessThan(5_000);
  await untilNoneIsLeft();
});

test('one that never ends and heeds no signal is given up in time, with all that it started', async () => {
  const check = saying(`trap '' TERM INT HUP; sleep ${LONG} & while :; do sleep ${LONG}; done`, 300);
  const started = performance.now();
  expect(await failure(check.exclusive('/dev/x'))).toMatchObject({ reason: 'hung' });
  expect(performance.now() - started).toBeLessThan(3_000);
  await untilNoneIsLeft();
  expect(await failure(check.exclusive('/dev/x'))).toMatchObject({ reason: 'hung' });
});

test.each([
  ['says why not', 'echo \'{"failed":{"code":"EIO","why":"i/o error"}}\'; exit 1', { reason: 'failed', code: 'EIO' }],
  ['ends without a word', 'exit 0', { reason: 'failed', code: '' }],
  ['says nothing of use', 'echo garbage; echo 7; echo null; echo \'{"found":"nothing"}\'', { reason: 'failed' }],
  ['is killed', 'kill -9 $$', { reason: 'failed', message: expect.stringContaining('SIGKILL') }],
])('one that %s', async (_what, script, expected) => {
  expect(await failure(saying(script).exclusive('/dev/x'))).toMatchObject(expected);
});

test('a reading tells how far it is, may take longer than its deadline as a whole, and is told where to begin', async () => {
  const script =
    'for n in 1 2 3 4; do echo "{\\"readBytes\\":$n}"; sleep 0.3; done; echo "{\\"zeros\\":{\\"blank\\":false,\\"firstDataAt\\":$4}}"';
  const told: number[] = [];
  const options = { signal: never, onProgress: (bytes: number) => void told.push(bytes), from: 77 };
  expect(await saying(script, 800).zeros('/dev/x', 1000, options)).toEqual({ blank: false, firstDataAt: 77 });
  expect(told).toEqual([1, 2, 3, 4]);
});

test('one that is stopped ends, and the same drive can be asked at once', async () => {
  const check = saying(`[ "$1" = exclusive ] && echo '{"exclusive":"free"}'; sleep ${LONG}`);
  const stop = new AbortController();
  const reading = check.zeros('/dev/x', 1000, { signal: stop.signal, onProgress: noProgress });
  setTimeout(() => stop.abort(), 200);
  expect(await failure(reading)).toMatchObject({ reason: 'stopped' });
  expect(await check.exclusive('/dev/x')).toBe('free');
  await untilNoneIsLeft();
  expect(await failure(check.zeros('/dev/x', 1, { signal: stop.signal, onProgress: noProgress }))).toMatchObject({
    reason: 'stopped',
  });
});

test('users are told one by one', async () => {
  const user = { pid: 1, command: 'x', vmid: null, what: 'device', path: '/dev/x' };
  const script = `echo '${JSON.stringify({ user })}'; echo '${JSON.stringify({ user: { ...user, pid: 2 } })}'; echo '{"told":true}'`;
  expect(await saying(script).users(['8:0'])).toEqual([user, { ...user, pid: 2 }]);
  expect(await failure(saying(`echo '${JSON.stringify({ user })}'`).users(['8:0']))).toMatchObject({ reason: 'failed' });
});

test('the program as it is in the sources', async () => {
  const check = createDriveCheck({ clock: systemClock });
  expect(await failure(check.exclusive('/dev/null'))).toMatchObject({
    reason: 'failed',
    message: expect.stringContaining('not a block device'),
  });
});
