import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { createPmxcfs } from '#agent/ports/pmxcfs';
import { makeTree, type Tree } from './tree.ts';

const VMLIST = JSON.stringify({
  version: 7,
  ids: {
    101: { node: 'pve1', type: 'lxc', version: 3 },
    301: { node: 'pve2', type: 'qemu', version: 4 },
    7: { node: 'pve1', type: 'openvz', version: 1 },
  },
});
const ALONE = JSON.stringify({ nodename: 'pve1', version: 0 });
const cluster = (quorate: number) =>
  JSON.stringify({ nodename: 'pve1', version: 4, cluster: { name: 'c', version: 2, nodes: 3, quorate }, nodelist: {} });

const GUESTS = [
  [101, { node: 'pve1', type: 'lxc' }],
  [301, { node: 'pve2', type: 'qemu' }],
];

test.each<[string, Tree, string, unknown[]]>([
  ['a node of its own', { '.vmlist': VMLIST, '.members': ALONE }, 'ok', GUESTS],
  ['a cluster', { '.vmlist': VMLIST, '.members': cluster(1) }, 'ok', GUESTS],
  ['a cluster without quorum', { '.vmlist': VMLIST, '.members': cluster(0) }, 'no-quorum', GUESTS],
  ['no guests', { '.vmlist': '{"version":1,"ids":{}}', '.members': ALONE }, 'ok', []],
  ['an empty directory', { './': '' }, 'not-mounted', []],
  ['no list of members', { '.vmlist': VMLIST }, 'not-mounted', []],
  ['a list that is cut', { '.vmlist': VMLIST.slice(0, -9), '.members': ALONE }, 'not-mounted', []],
])('%s', async (_what, tree, state, guests) => {
  const view = await createPmxcfs(await makeTree(tree)).read();
  expect([view.state, [...view.guests].sort(([a], [b]) => a - b)]).toEqual([state, guests]);
});

test('no directory at all', async () => expect((await createPmxcfs('/nonexistent/pve').read()).state).toBe('not-mounted'));

test('one that hangs is answered for at the deadline, and asked once only', async () => {
  const tree = await makeTree({ '.members': ALONE });
  const fifo = join(tree, '.vmlist');
  await promisify(execFile)('/usr/bin/mkfifo', [fifo]);
  const pmxcfs = createPmxcfs(tree, 100);
  const before = performance.now();
  const views = await Promise.all(Array.from({ length: 8 }, pmxcfs.read));
  expect(views.map(({ state }) => state)).toEqual(Array(8).fill('not-mounted'));
  expect(performance.now() - before).toBeLessThan(2000);
  // Node has four threads for files: were each look stuck on its own, nothing could be read any more.
  const other = readFile(join(tree, '.members'), 'utf8');
  const late = new Promise((resolve) => setTimeout(resolve, 1000, 'every thread is stuck'));
  expect(await Promise.race([other, late])).toBe(ALONE);
  await promisify(execFile)('/bin/sh', ['-c', 'printf %s "$1" > "$0"', fifo, VMLIST], { timeout: 2000 });
  await new Promise((resolve) => setTimeout(resolve, 100));
  const third = pmxcfs.read();
  await promisify(execFile)('/bin/sh', ['-c', 'printf %s "$1" > "$0"', fifo, VMLIST], { timeout: 2000 });
  expect((await third).state).toBe('ok');
});
