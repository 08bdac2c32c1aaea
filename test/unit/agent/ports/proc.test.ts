import { expect, test } from 'vitest';
import { createProc } from '#agent/ports/proc';
import { makeTree } from './tree.ts';

test('no ZFS is not a failure; an unreadable file is one', async () => {
  const without = await makeTree({ stat: 'x' });
  expect(await createProc(without).arcstats()).toBeNull();
  await expect(createProc(without).meminfo()).rejects.toThrow();
  const broken = await makeTree({ 'spl/kstat/zfs/arcstats/': '' });
  await expect(createProc(broken).arcstats()).rejects.toThrow();
});

test('the files of this machine', async () => {
  const proc = createProc();
  expect(await proc.stat()).toMatch(/^cpu /);
  expect(await proc.mountinfo()).toContain(' / / ');
});
