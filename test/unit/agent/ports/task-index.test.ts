import { rename, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createTaskIndex } from '#agent/ports/task-index';
import { makeTree } from './tree.ts';

const upid = (start: string, id = '101') => `UPID:pve1:000002EF:0002AD57:${start}:vzdump:${id}:root@pam:`;
const RUNNING = upid('6B021F24');
const FAILED = upid('6B021F23');
const DONE = upid('6B021F22');

const ACTIVE = `${RUNNING} 0\n${FAILED} 1 6B021F30 job errors in 2 guests\n${DONE} 0 6B021F31 OK\n`;

test('running and recent tasks', async () => {
  const { read } = createTaskIndex(await makeTree({ active: ACTIVE }));
  expect(await read()).toEqual([
    { upid: RUNNING, running: true, status: '' },
    { upid: FAILED, running: false, status: 'job errors in 2 guests' },
    { upid: DONE, running: false, status: 'OK' },
  ]);
});

test('an ended task whose status Proxmox has not read yet, and lines that are none', async () => {
  const { read } = createTaskIndex(await makeTree({ active: `${DONE} 0 6B021F31\n\ngarbage\n${RUNNING} 0` }));
  expect(await read()).toEqual([
    { upid: DONE, running: false, status: '' },
    { upid: RUNNING, running: true, status: '' },
  ]);
});

test('the same array until the file is another', async () => {
  const directory = await makeTree({ active: ACTIVE });
  const { read } = createTaskIndex(directory);
  const first = await read();
  expect(await read()).toBe(first);
  const at = new Date(1_795_301_155_000);
  await utimes(join(directory, 'active'), at, at);
  const second = await read();
  expect([second === first, second]).toEqual([false, first]);
  // As Proxmox writes it: a new file under the old name, here of the same length and time.
  await writeFile(join(directory, 'next'), ACTIVE.replaceAll('vzdump:101', 'vzdump:102'));
  await utimes(join(directory, 'next'), at, at);
  await rename(join(directory, 'next'), join(directory, 'active'));
  expect((await read())?.[0]?.upid).toBe(upid('6B021F24', '102'));
});

test('a node on which no task ever ran', async () => {
  expect(await createTaskIndex(await makeTree({ './': '' })).read()).toEqual([]);
});

test.each([
  ['a list of ended tasks beside a missing one', { index: '' }, ''],
  ['no directory', { './': '' }, 'elsewhere'],
])('%s cannot be read', async (_what, tree, below) => {
  expect(await createTaskIndex(join(await makeTree(tree), below)).read()).toBeNull();
});
