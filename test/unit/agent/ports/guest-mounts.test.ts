import { expect, test } from 'vitest';
import { CommandError, type RunCommand, runCommand } from '#agent/ports/command';
import { createGuestMounts } from '#agent/ports/guest-mounts';
import { createProc } from '#agent/ports/proc';

/** A container whose init is this very process. */
const own = { initPid: async () => process.pid };
const nobody = { initPid: async () => null };
const proc = createProc();
const mounts = createGuestMounts({ cgroup: own, proc, run: runCommand });

test('the mounts as the process sees them', async () => {
  const list = await mounts.list(101);
  expect(list?.find(({ point }) => point === '/proc')).toMatchObject({ fstype: 'proc' });
});

test('a real sync, and a real look', async () => {
  expect(await mounts.sync(101, '/', 60_000)).toBeGreaterThan(0);
  expect(await mounts.answers(101, '/')).toBe(true);
  expect(await mounts.answers(101, '/nonexistent')).toBe(false);
});

test('a container that does not run', async () => {
  const none = createGuestMounts({ cgroup: nobody, proc, run: runCommand });
  expect(await none.list(101)).toBeNull();
  await expect(none.sync(101, '/', 1000)).rejects.toThrow('does not run');
});

test('the path goes through the init, as one argument, with the deadline that was asked for', async () => {
  const calls: unknown[][] = [];
  const run: RunCommand = async (...call) => {
    calls.push(call);
    return '';
  };
  const { sync, answers } = createGuestMounts({ cgroup: { initPid: async () => 42 }, proc, run });
  await sync(101, '/with blank', 1500);
  await answers(101, '/-f');
  expect(calls).toEqual([
    ['sync', ['-f', '--', '/proc/42/root/with blank'], 1500],
    ['stat', ['-f', '-c', '%S', '--', '/proc/42/root/-f']],
  ]);
});

test.each([
  ['timeout', false],
  ['stuck', false],
  ['exit', false],
] as const)('a file system whose look ends in %s does not answer', async (reason, expected) => {
  const run: RunCommand = async () => {
    throw new CommandError('/usr/bin/stat', reason);
  };
  expect(await createGuestMounts({ cgroup: own, proc, run }).answers(101, '/mnt')).toBe(expected);
});

test('no verdict on a file system when the program could not be started', async () => {
  const run: RunCommand = async () => {
    throw new CommandError('/usr/bin/stat', 'start');
  };
  await expect(createGuestMounts({ cgroup: own, proc, run }).answers(101, '/mnt')).rejects.toThrow('start');
});
