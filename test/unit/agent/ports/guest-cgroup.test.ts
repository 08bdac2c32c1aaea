import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants, statfsSync } from 'node:fs';
import { mkdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { createGuestCgroup } from '#agent/ports/guest-cgroup';
import { createProc } from '#agent/ports/proc';
import { makeTree } from './tree.ts';

const events = (frozen: 0 | 1) => `populated 1\nfrozen ${frozen}\n`;

const statuses = (known: Record<number, string>) => ({
  statusOf: async (pid: number) => (known[pid] === undefined ? null : `Name:\tx\nNSpid:\t${known[pid]}\nThreads:\t1\n`),
});

test.each([
  ['runs', { '101/cgroup.events': events(0), '101/ns/cgroup.events': events(0) }, false],
  ['is frozen', { '101/cgroup.events': events(1), '101/ns/cgroup.events': events(1) }, true],
  ['is frozen in its payload only', { '101/cgroup.events': events(0), '101/ns/cgroup.events': events(1) }, true],
  ['does not run', { '102/cgroup.events': events(1) }, null],
])('a container that %s', async (_what, tree, frozen) =>
  expect(await createGuestCgroup({ root: await makeTree(tree), proc: statuses({}) }).frozen(101)).toBe(frozen),
);

test('a thaw is written only where a freeze is', async () => {
  const tree = { '101/cgroup.freeze': '1\n', '101/ns/cgroup.freeze': '0\n', '102/cgroup.freeze': '1\n' };
  const root = await makeTree(tree);
  const { thaw } = createGuestCgroup({ root, proc: statuses({}) });
  await thaw(101);
  await thaw(103);
  const now = (path: string) => readFile(join(root, path), 'utf8');
  expect([await now('101/cgroup.freeze'), await now('101/ns/cgroup.freeze'), await now('102/cgroup.freeze')]).toEqual([
    '0',
    '0\n',
    '1\n',
  ]);
});

test.each<[string, Record<string, string>, Record<number, string>, number | null]>([
  ['below the payload', { '101/ns/init.scope/cgroup.procs': '900\n' }, { 900: '900\t1' }, 900],
  ['with a higher number than others', { '101/ns/cgroup.procs': '50\n900\n' }, { 50: '50\t77', 900: '900\t1' }, 900],
  ['not that of a container inside', { '101/ns/cgroup.procs': '50\n900\n' }, { 50: '50\t77\t1', 900: '900\t1' }, 900],
  ['unknown: the lowest', { '101/ns/cgroup.procs': '900\n50\n' }, {}, 50],
  ['never one that the host does not number', { '101/cgroup.procs': '0\n', '101/ns/cgroup.procs': '60\n' }, {}, 60],
  ['none', { '101/cgroup.procs': '' }, {}, null],
  ['no group', {}, {}, null],
])('the init, %s', async (_what, tree, known, pid) =>
  expect(await createGuestCgroup({ root: await makeTree(tree), proc: statuses(known) }).initPid(101)).toBe(pid),
);

/** statfs(2), CGROUP2_SUPER_MAGIC. */
const CGROUP2 = 0x63677270;
const usable = (path: string): boolean => {
  try {
    accessSync(path, constants.W_OK);
    return statfsSync(path).type === CGROUP2 && process.getuid?.() === 0;
  } catch {
    return false;
  }
};
const HIERARCHY = ['/sys/fs/cgroup', '/sys/fs/cgroup/unified'].find(usable);

test.runIf(HIERARCHY !== undefined)('a real group of this kernel: frozen, found and thawed', async () => {
  const root = join(HIERARCHY ?? '', `felhom-test-${process.pid}`);
  const group = join(root, '101');
  const child = spawn('/usr/bin/unshare', ['--pid', '--fork', '--kill-child', 'sleep', '60'], { stdio: 'ignore' });
  const tidy = async () => {
    child.kill('SIGKILL');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    for (let tries = 0; tries < 50 && /populated 1/.test(await readFile(join(group, 'cgroup.events'), 'utf8')); tries += 1)
      await new Promise((resolve) => setTimeout(resolve, 20));
    await rmdir(group);
    await rmdir(root);
  };
  await mkdir(group, { recursive: true });
  onTestFinished(tidy);
  const children = `/proc/${child.pid}/task/${child.pid}/children`;
  await expect.poll(() => readFile(children, 'utf8'), { timeout: 2000 }).toMatch(/\d/);
  const init = Number((await readFile(children, 'utf8')).trim());
  await writeFile(join(group, 'cgroup.procs'), String(init));
  const cgroup = createGuestCgroup({ root, proc: createProc() });
  expect([await cgroup.frozen(101), await cgroup.initPid(101)]).toEqual([false, init]);
  await writeFile(join(group, 'cgroup.freeze'), '1');
  await expect.poll(() => cgroup.frozen(101), { timeout: 2000 }).toBe(true);
  await cgroup.thaw(101);
  await expect.poll(() => cgroup.frozen(101), { timeout: 2000 }).toBe(false);
});
