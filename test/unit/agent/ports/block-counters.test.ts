/** What the kernel counts of a drive, and where it counts nothing. */
import { expect, test } from 'vitest';
import { createBlockCounters } from '#agent/ports/block-counters';
import { makeTree, type Tree } from './tree.ts';

const STAT = '   10  1  2048 5  20  2  4096  6 0 7 8 0 0 0 0 0 0\n';

const of = async (files: Tree) => {
  const tree = Object.fromEntries(Object.entries(files).map(([path, content]) => [`block/sdb/${path}`, content]));
  return createBlockCounters(await makeTree(tree))('sdb');
};

test.each<[string, Tree, Awaited<ReturnType<typeof of>>]>([
  ['all of it', { diskseq: '12\n', stat: STAT, 'queue/iostats': '1\n' }, { diskseq: 12, sectorsWritten: 4096 }],
  ['nobody counts', { diskseq: '12\n', stat: STAT, 'queue/iostats': '0\n' }, { diskseq: 12, sectorsWritten: null }],
  ['whether it counts is not told', { diskseq: '12\n', stat: STAT }, { diskseq: 12, sectorsWritten: null }],
  ['an old kernel', { stat: STAT, 'queue/iostats': '1\n' }, { diskseq: null, sectorsWritten: 4096 }],
  ['what is not a count', { diskseq: '-1\n', stat: 'x\n', 'queue/iostats': '1\n' }, { diskseq: null, sectorsWritten: null }],
  ['no such drive', {}, { diskseq: null, sectorsWritten: null }],
])('%s', async (_what, files, expected) => expect(await of(files)).toEqual(expected));
