import { expect, test } from 'vitest';
import { CommandError, type RunCommand, runCommand } from '#agent/ports/command';
import { createThinPools } from '#agent/ports/thin-pools';

const read = (output: string) => createThinPools(async () => output).read();

/** 4096-byte metadata blocks, and data blocks of whatever size the pool has. */
const line = (mode: string, check: '-' | 'needs_check', metadata = '460/4096', data = '9600/12800') =>
  `pve-data-tpool: 0 16777216 thin-pool 7 ${metadata} ${data} - ${mode} discard_passdown queue_if_no_space ${check} 1024\n`;

const POOL = { name: 'pve-data', dataFraction: 0.75, metadataFraction: 460 / 4096, state: 'rw', needsCheck: false };

test.each([
  [line('rw', '-'), POOL],
  [line('ro', 'needs_check'), { ...POOL, state: 'ro', needsCheck: true }],
  [line('rw', 'needs_check'), { ...POOL, needsCheck: true }],
  [line('out_of_data_space', '-', '460/4096', '12800/12800'), { ...POOL, dataFraction: 1, state: 'out_of_data_space' }],
  [line('rw', '-').replace(' - rw', ' 512 rw'), POOL],
  [line('rw', '-').replace('pve-data-tpool', 'my--vg-data'), { ...POOL, name: 'my--vg-data' }],
  // A kernel before 4.4 has neither the two last fields nor the error mode.
  ['pve-data-tpool: 0 1 thin-pool 7 460/4096 9600/12800 - rw discard_passdown\n', POOL],
  ['pve-data-tpool: 0 1 thin-pool Fail\n', { ...POOL, dataFraction: null, metadataFraction: null, state: 'fail' }],
  ['pve-data-tpool: 0 1 thin-pool Error\n', { ...POOL, dataFraction: null, metadataFraction: null, state: 'fail' }],
])('%s', async (output, pool) => expect(await read(output)).toEqual([pool]));

test('several pools, and what is no pool', async () => {
  const other = line('rw', '-').replace('pve-data', 'vm-fast');
  const output = `${line('rw', '-')}pve-root: 0 1 linear\n\n${other}`;
  expect((await read(output)).map(({ name }) => name)).toEqual(['pve-data', 'vm-fast']);
});

test('no pool: dmsetup says so in words', async () => expect(await read('No devices found\n')).toEqual([]));

test('the metadata is not committed by a look', async () => {
  let asked: unknown;
  await createThinPools(async (...call) => {
    asked = call;
    return '';
  }).read();
  expect(asked).toEqual(['dmsetup', ['status', '--noflush', '--target', 'thin-pool']]);
});

test('a host without device mapper has no pool; any other failure stays one', async () => {
  const failing = (reason: 'start' | 'exit' | 'timeout', detail: string): RunCommand => {
    const error = new CommandError('/usr/sbin/dmsetup', reason, detail);
    return () => Promise.reject(error);
  };
  const none = '1 Failure to communicate with kernel device-mapper driver.';
  expect(await createThinPools(failing('exit', none)).read()).toEqual([]);
  expect(await createThinPools(failing('start', 'ENOENT')).read()).toEqual([]);
  await expect(createThinPools(failing('timeout', '')).read()).rejects.toThrow('timeout');
  await expect(createThinPools(failing('exit', 'Permission denied')).read()).rejects.toThrow('Permission');
});

test('on this machine', async () => expect(Array.isArray(await createThinPools(runCommand).read())).toBe(true));
