import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type RunCommand, runCommand } from '#agent/ports/command';
import { createLeftovers } from '#agent/ports/leftovers';
import { makeTree } from './tree.ts';

const BASE = 'vzdump-lxc-101-2026_11_21-22_45_55';
const { remove } = createLeftovers(runCommand);

test('the unfinished archive and its temporary directory go, links in it are not followed, all else stays', async () => {
  const directory = await makeTree({
    [`dump/${BASE}.tar.dat`]: 'half',
    [`dump/${BASE}.tmp/etc/vzdump/pct.conf`]: 'x',
    [`dump/${BASE}.tmp/srv`]: '->../../kept',
    [`dump/${BASE}.tar.zst`]: 'an archive',
    [`dump/${BASE}.log`]: 'x',
    'dump/vzdump-lxc-101-2026_11_21-22_45_56.tar.dat': 'another run',
    'kept/file': 'x',
  });
  const dump = join(directory, 'dump');
  expect(await remove(dump, `${BASE}.tar.zst`)).toEqual([`${BASE}.tar.dat`, `${BASE}.tmp`]);
  expect((await readdir(dump)).sort()).toEqual([`${BASE}.log`, `${BASE}.tar.zst`, 'vzdump-lxc-101-2026_11_21-22_45_56.tar.dat']);
  expect(await readdir(join(directory, 'kept'))).toEqual(['file']);
  expect(await remove(dump, BASE)).toEqual([]);
});

test("a virtual machine's, and an uncompressed archive's", async () => {
  const machine = 'vzdump-qemu-301-2026_11_21-22_45_55';
  const directory = await makeTree({ [`${machine}.vma.dat`]: '', [`${BASE}.dat`]: '' });
  expect(await remove(directory, `${machine}.vma.zst`)).toEqual([`${machine}.vma.dat`]);
  expect(await remove(directory, `${BASE}.tar`)).toEqual([`${BASE}.dat`]);
  expect(await readdir(directory)).toEqual([]);
});

test.each(['', '.', '../x', 'vzdump-lxc-101', `../${BASE}`, `${BASE}/../../x`, `${BASE}.tar.zst.notes`, `${BASE}\n`, `x${BASE}`])(
  'nothing is touched for the name %j',
  async (name) => {
    const run: RunCommand = () => expect.fail('a program was started');
    await expect(createLeftovers(run).remove('/tmp', name)).rejects.toThrow('not the name of a vzdump archive');
  },
);
