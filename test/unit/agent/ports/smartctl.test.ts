import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { commandsFrom, type RunCommand } from '#agent/ports/command';
import { createSmartctl } from '#agent/ports/smartctl';

let scratch = '';
beforeEach(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'felhom-smartctl-'));
});
afterEach(() => rm(scratch, { recursive: true, force: true }));

/** A smartctl that does what the test says, called as the real one is. */
const smartctlThat = async (script: string, timeoutMs = 10_000) => {
  const path = join(scratch, 'smartctl');
  await writeFile(path, `#!/bin/sh\necho "$@" >> ${scratch}/calls\n${script}\n`);
  await chmod(path, 0o755);
  const run = commandsFrom({ smartctl: { path, timeoutMs, accepts: () => true } }) as unknown as RunCommand;
  const calls = async () => (await readFile(join(scratch, 'calls'), 'utf8')).trim().split('\n');
  return { smartctl: createSmartctl(run), calls };
};

test('only what must not wake a drive is asked', async () => {
  const { smartctl, calls } = await smartctlThat('echo {}');
  await smartctl.read({ path: '/dev/sda', type: '' }, 'strict');
  await smartctl.read({ path: '/dev/sdb', type: '' }, 'lenient');
  await smartctl.read({ path: '/dev/sdc', type: 'sat' }, 'never');
  await smartctl.power({ path: '/dev/bus/0', type: 'megaraid,3' });
  await smartctl.scan();
  expect(await calls()).toEqual([
    '-j -a -n standby,2,3 /dev/sda',
    '-j -a -n standby /dev/sdb',
    '-j -a -d sat /dev/sdc',
    '-j -i -n standby,2,3 -d megaraid,3 /dev/bus/0',
    '-j --scan',
  ]);
});

test.each([0, 2, 4, 8, 216, 255])('with exit status %i the document is whole', async (exit) => {
  const { smartctl } = await smartctlThat(`echo '{"a":1}'; exit ${exit}`);
  expect(await smartctl.read({ path: '/dev/sda', type: '' }, 'strict')).toEqual({ said: true, text: '{"a":1}\n' });
});

test('one that does not end is let go, and none is started beside it', async () => {
  const { smartctl, calls } = await smartctlThat('trap "" TERM; exec sleep 2', 300);
  const target = { path: '/dev/sda', type: '' } as const;
  const [first, second] = await Promise.all([smartctl.read(target, 'strict'), smartctl.read(target, 'strict')]);
  expect([first, second]).toEqual([
    { said: false, why: 'hung' },
    { said: false, why: 'hung' },
  ]);
  expect((await calls()).length).toBe(1);
});

test('a host without smartctl', async () => {
  const run = commandsFrom({ smartctl: { path: '/nowhere/smartctl', timeoutMs: 1_000 } }) as unknown as RunCommand;
  expect(await createSmartctl(run).scan()).toEqual({ said: false, why: 'missing' });
});
