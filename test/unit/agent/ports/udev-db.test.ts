import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createUdevDb } from '#agent/ports/udev-db';
import { kernelDevice } from '../fake-host.ts';
import { makeTree } from './tree.ts';

const SDB = kernelDevice({
  name: 'sdb',
  numbers: '8:16',
  partitions: [{ name: 'sdb1', numbers: '8:17', sizeBytes: 1, startBytes: 1, holders: [] }],
});

/** The database's file that belongs to a recorded list of properties: links stand on their own in it. */
const fileOf = async (sample: string): Promise<string> => {
  const text = await readFile(join(import.meta.dirname, '../../../fixtures/drives/udev', `${sample}.properties`), 'utf8');
  const lines = text.trim().split('\n');
  const links = lines.find((line) => line.startsWith('DEVLINKS='))?.slice('DEVLINKS='.length) ?? '';
  return [
    ...links.split(' ').map((link) => `S:${link.slice('/dev/'.length)}`),
    'I:938084816',
    ...lines.filter((line) => /^(ID_|LVM_)/.test(line)).map((line) => `E:${line}`),
    'G:systemd',
    'V:1',
    '',
  ].join('\n');
};

test('drives and partitions, with what udev knows of them', async () => {
  const directory = await makeTree({
    'data/b8:16': await fileOf('gpt'),
    'data/b8:17': await fileOf('lvm2'),
    'data/c1:3': 'garbage',
  });
  const found = await createUdevDb(directory).read([SDB]);
  expect([...found.keys()]).toEqual(['sdb', 'sdb1']);
  expect(found.get('sdb')?.properties).toMatchObject({ ID_PART_TABLE_UUID: 'b66f8fde-4f44-4478-93eb-16ebdeaae03f' });
  expect(found.get('sdb1')).toMatchObject({
    properties: { ID_FS_TYPE: 'LVM2_member', ID_FS_UUID: 'nq0QLl-UhkO-yHpx-oI4n-68Rz-9dk8-JfTFnN' },
    links: ['/dev/disk/by-id/lvm-pv-uuid-nq0QLl-UhkO-yHpx-oI4n-68Rz-9dk8-JfTFnN', '/dev/disk/by-diskseq/75'],
  });
});

test('a device that udev has not finished with, or has never heard of, is not in it', async () => {
  const unfinished = (await fileOf('ext4')).replace(/^I:.*\n/m, '');
  const directory = await makeTree({ 'data/b8:0': await fileOf('gpt'), 'data/b8:16': unfinished });
  expect([...(await createUdevDb(directory).read([SDB])).keys()]).toEqual([]);
});

test('a value with an equals sign or none at all is kept', async () => {
  const directory = await makeTree({ 'data/b8:16': 'I:1\nE:ID_SERIAL=a=b\nE:ID_MODEL=\n' });
  expect((await createUdevDb(directory).read([SDB])).get('sdb')?.properties).toEqual({ ID_SERIAL: 'a=b', ID_MODEL: '' });
});

test.each([
  ['no database', { './': '' }],
  ['an empty one, as a sandbox shows it', { 'data/': '' }],
  ['one that knows no block device', { 'data/c4:64': 'I:1\n', 'data/n2': 'I:1\n' }],
  ['a file that is cut in the middle of a letter', { 'data/b8:16': 'I:1\nE:ID_MODEL=x\nE' }],
  ['a file of something else', { 'data/b8:16': 'ID_MODEL=x\n' }],
  ['a property without a name', { 'data/b8:16': 'I:1\nE:=x\n' }],
  ['a file that cannot be read', { 'data/b8:16/x': '' }],
])('%s is no answer', async (_what, tree) => {
  await expect(createUdevDb(await makeTree(tree)).read([SDB])).rejects.toThrow();
});
