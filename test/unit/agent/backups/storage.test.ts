/** What a backup shows and leaves in its storage: how far it is, and the files of one that failed. */
import { describe, expect, test } from 'vitest';
import { dumpDirOf, unfinishedName } from '#agent/backups/dump-dir';
import type { StorageConfig } from '#agent/ports/proxmox';
import { setup } from './harness.ts';
import { logLines } from './logs.ts';

const LOG = logLines('lxc-snapshot-btrfs');
const QEMU = logLines('qemu-snapshot-agent');
const COPYING = LOG.findIndex((line) => line.includes('creating vzdump archive')) + 1;
const ARCHIVE = 'vzdump-lxc-201-2026_11_21-23_15_01.tar.zst';
const DAT = '/srv/bak/dump/vzdump-lxc-201-2026_11_21-23_15_01.tar.dat';

const directory = (more: Partial<StorageConfig> = {}): StorageConfig => ({
  ...{ storage: 'bak', type: 'dir', content: 'backup', path: '/srv/bak', disabled: false, nodes: [], keys: {} },
  ...more,
});

test.each<[string, Partial<StorageConfig>, string | null]>([
  ['as usual', {}, '/srv/bak/dump'],
  ['with a slash too many', { path: '/srv/bak/' }, '/srv/bak/dump'],
  ['set apart', { keys: { 'content-dirs': 'iso=isos,backup=my/backups' } }, '/srv/bak/my/backups'],
  ['others set apart', { keys: { 'content-dirs': 'iso=backup=x' } }, '/srv/bak/dump'],
  ['no directory', { path: '' }, null],
  ['another storage', { storage: 'other' }, null],
])('the dump directory, %s', (_how, more, expected) => expect(dumpDirOf([directory(more)], 'bak')).toBe(expected));

test.each([
  [ARCHIVE, DAT.split('/').at(-1)],
  ['vzdump-lxc-201-2026_11_21-23_15_01.tar', 'vzdump-lxc-201-2026_11_21-23_15_01.dat'],
  ['vzdump-qemu-101-2026_11_21-23_15_01.vma.gz', 'vzdump-qemu-101-2026_11_21-23_15_01.vma.dat'],
])('%s grows as %s', (archive, expected) => expect(unfinishedName(archive)).toBe(expected));

describe('how far it is', () => {
  /** A good one of 3 MB before, and one that copies now. */
  const copying = async ({ before = true, log = LOG.slice(0, COPYING) } = {}) => {
    const all = setup();
    all.node.storages = [directory()];
    const agent = await all.startAgent();
    if (before) {
      await agent.start(101);
      await all.advance(1000);
      all.node.write(...LOG);
      all.node.end('OK');
      await all.advance(20_000);
    }
    all.node.sizesAsked = 0;
    await agent.start(101);
    await all.advance(1000);
    all.node.write(...log);
    return { ...all, agent };
  };

  test('is guessed from the growth of the archive, with the time left, and said to be a guess', async () => {
    const { agent, node, advance } = await copying();
    node.fileSizes.set(DAT, 600_000);
    await agent.peek();
    await advance(10_000);
    expect(await agent.peek()).toMatchObject({ progress: 0.2, progress_estimated: true, eta_seconds: expect.any(Number) });
    const { eta_seconds } = await agent.peek();
    expect(eta_seconds).toBeGreaterThanOrEqual(16);
    expect(eta_seconds).toBeLessThanOrEqual(40);
  });

  test('wakes whoever waits for news', async () => {
    const { agent, node, advance } = await copying();
    const { revision } = await agent.peek();
    node.fileSizes.set(DAT, 1_500_000);
    const answer = agent.status(101, { wait: '8', after: revision }, new AbortController().signal);
    await advance(5100);
    await expect(answer).resolves.toMatchObject({ progress: 0.5, progress_estimated: true });
  });

  test('is never more than 99 %, nor is a time left claimed then', async () => {
    const { agent, node, advance } = await copying();
    node.fileSizes.set(DAT, 9_000_000);
    await agent.peek();
    await advance(6000);
    expect(await agent.peek()).toMatchObject({ progress: 0.99, eta_seconds: null, phase: 'running' });
  });

  test('is asked every five seconds, and only while somebody looks', async () => {
    const { agent, node, advance } = await copying();
    node.fileSizes.set(DAT, 600_000);
    await advance(60_000);
    expect(node.sizesAsked).toBe(0);
    await agent.peek();
    await advance(30_000);
    expect(node.sizesAsked).toBe(2);
  });

  test.each<[string, Parameters<typeof copying>[0]]>([
    ['without an archive to compare with', { before: false }],
    ['before the data is fixed', { log: LOG.slice(0, COPYING - 1) }],
    [
      'of a virtual machine, whose log has percentages',
      { log: QEMU.slice(0, QEMU.findIndex((line) => line.includes('% (')) - 1) },
    ],
  ])('is not guessed %s', async (_when, options) => {
    const { agent, node, advance } = await copying(options);
    node.fileSizes.set(DAT, 600_000);
    await agent.peek();
    await advance(8000);
    expect(await agent.peek()).toMatchObject({ progress: null, progress_estimated: false });
    expect(node.sizesAsked).toBe(0);
  });

  test('is gone with the end', async () => {
    const { agent, node, advance } = await copying();
    node.fileSizes.set(DAT, 600_000);
    await agent.peek();
    await advance(6000);
    node.write(...LOG.slice(COPYING));
    node.end('OK');
    await advance(5000);
    expect(await agent.peek()).toMatchObject({ phase: 'done', progress: null, progress_estimated: false, eta_seconds: null });
  });
});

describe('what a failed one leaves', () => {
  const run = async (lines: string[], exitstatus: string, storages = [directory()]) => {
    const all = setup();
    all.node.storages = storages;
    const agent = await all.startAgent();
    await agent.start(101);
    await all.advance(1000);
    all.node.write(...lines);
    if (exitstatus === 'lost') all.node.forgetful = true;
    else all.node.end(exitstatus);
    await all.advance(10_000);
    expect((await agent.peek()).phase).toBe(exitstatus === 'OK' ? 'done' : 'failed');
    return all;
  };
  const copied = LOG.slice(0, COPYING);

  test.each(['job errors', 'unexpected status'])('is removed after "%s"', async (exitstatus) => {
    const { node } = await run(copied, exitstatus);
    expect(node.removed).toEqual([`/srv/bak/dump/${ARCHIVE}`]);
  });

  test.each<[string, Parameters<typeof run>]>([
    ['while its name is not known', [LOG.slice(0, 5), 'job errors']],
    ['when the task is lost, which may still write', [copied, 'lost']],
    ['when it is done', [LOG, 'OK']],
    ['when the storage is no directory', [copied, 'job errors', [directory({ path: '', type: 'pbs' })]]],
    [
      'of a backup server',
      [copied.map((line) => line.replace(/archive '.*'/, "archive 'ct/201/2026-11-21T22:15:01Z'")), 'job errors'],
    ],
  ])('is left alone %s', async (_when, parameters) => {
    const { node } = await run(...parameters);
    expect(node.removed).toEqual([]);
  });
});

describe('words that nobody knows', () => {
  const once = async (all: Awaited<ReturnType<typeof begun>>, lines: string[], logGone = false) => {
    await all.agent.start(101);
    await all.advance(1000);
    all.node.logGone = logGone;
    all.node.write(...lines);
    all.node.end('OK');
    await all.advance(15_000);
    all.node.logGone = false;
    return all.agent.problems.list(101).map(({ code }) => code);
  };
  const begun = async () => {
    const all = setup();
    return { ...all, agent: await all.startAgent() };
  };
  const UNKNOWN = LOG.filter((line) => !line.includes('create storage snapshot'));

  test('are a problem until a backup is understood again', async () => {
    const all = await begun();
    expect(await once(all, UNKNOWN)).toEqual(['log-format-unknown']);
    expect(await all.agent.peek()).toMatchObject({ phase: 'done', label: 'crash' });
    expect(await once(all, LOG)).toEqual([]);
  });

  test('are not the problem where the log could not be read', async () => {
    expect(await once(await begun(), LOG, true)).toEqual([]);
  });
});
