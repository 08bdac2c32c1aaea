import { expect, test } from 'vitest';
import { createMachineShares } from '#agent/ports/machine-share';

const PATH = '/mnt/felhom/.guests/100';
const MAPPINGS = [{ id: 'felhom-100', map: [`path=${PATH},node=pve1`, 'node=pve2,path=/elsewhere'] }];

/** @param failing program and verb that fails */
const setup = (mappings: object, failing = '') => {
  const calls: string[] = [];
  const shares = createMachineShares({
    node: 'pve1',
    run: async (name, args) => {
      const call = [name, ...args].join(' ');
      calls.push(call);
      if (failing !== '' && call.startsWith(failing)) throw new Error(`${failing} failed`);
      return call.startsWith('pvesh get') ? JSON.stringify(mappings) : '';
    },
  });
  return { shares, calls };
};
const LIST = 'pvesh get /cluster/mapping/dir --output-format json';
const CREATE = `pvesh create /cluster/mapping/dir --id felhom-100 --map node=pve1,path=${PATH}`;
const SET = 'qm set 100 --virtiofs2 felhom-100';
const DELETE = 'pvesh delete /cluster/mapping/dir/felhom-100';

test('a mapping is made, then the machine is given it', async () => {
  const { shares, calls } = setup([{ id: 'media', map: ['node=pve1,path=/srv'] }]);
  await shares.share(100, 'virtiofs2', 'felhom-100', PATH);
  expect(calls).toEqual([LIST, CREATE, SET]);
});

test('a mapping that is there is used', async () => {
  const { shares, calls } = setup(MAPPINGS);
  await shares.share(100, 'virtiofs2', 'felhom-100', PATH);
  expect(calls).toEqual([LIST, SET]);
});

test('nothing is half done: the machine cannot be changed, the new mapping goes again', async () => {
  const { shares, calls } = setup([], 'qm set');
  await expect(shares.share(100, 'virtiofs2', 'felhom-100', PATH)).rejects.toThrow('qm set failed');
  expect(calls).toEqual([LIST, CREATE, SET, DELETE]);
});

test('a mapping that was there before stays', async () => {
  const { shares, calls } = setup(MAPPINGS, 'qm set');
  await expect(shares.share(100, 'virtiofs2', 'felhom-100', PATH)).rejects.toThrow('qm set failed');
  expect(calls).toEqual([LIST, SET]);
});

test.each([
  ['another directory', [{ id: 'felhom-100', map: ['node=pve1,path=/srv'] }]],
  ['another node', [{ id: 'felhom-100', map: [`node=pve2,path=${PATH}`] }]],
])('a mapping of the same name for %s is left alone, and nothing is shared', async (_what, mappings) => {
  const { shares, calls } = setup(mappings);
  await expect(shares.share(100, 'virtiofs2', 'felhom-100', PATH)).rejects.toThrow(/something else/);
  expect(calls).toEqual([LIST]);
});

test('an answer that is no list is no empty list', async () => {
  const { shares, calls } = setup({ data: null });
  await expect(shares.share(100, 'virtiofs2', 'felhom-100', PATH)).rejects.toThrow();
  expect(calls).toEqual([LIST]);
});

test('taken back: from the machine first, then the mapping', async () => {
  const { shares, calls } = setup(MAPPINGS);
  await shares.unshare(100, 'virtiofs2', 'felhom-100');
  expect(calls).toEqual(['qm set 100 --delete virtiofs2', LIST, DELETE]);
});

test('a mapping that is gone already needs no taking away', async () => {
  const { shares, calls } = setup([]);
  await shares.unshare(100, 'virtiofs2', 'felhom-100');
  expect(calls).toEqual(['qm set 100 --delete virtiofs2', LIST]);
});
