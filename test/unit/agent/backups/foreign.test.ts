/** vzdump runs that felhom did not start: taken over once, judged by Proxmox's word on each guest, and counted. */
import { describe, expect, test } from 'vitest';
import { HOUR, proxmoxError, setup } from './harness.ts';

const ROOT = 'root@pam';

/** The log of one task over several guests; a guest with an error fails. */
const logOf = (guests: [vmid: number, error: string][], storage = '--storage bak ') => [
  `INFO: starting new backup job: vzdump ${guests.map(([vmid]) => vmid).join(' ')} ${storage}--mode snapshot`,
  ...guests.flatMap(([vmid, error]) => [
    `INFO: Starting Backup of VM ${vmid} (lxc)`,
    'INFO: status = running',
    'INFO: backup mode: snapshot',
    "INFO: create storage snapshot 'vzdump'",
    `INFO: creating vzdump archive '/srv/bak/dump/vzdump-lxc-${vmid}-2026_11_21-23_15_01.tar.zst'`,
    error === '' ? `INFO: Finished Backup of VM ${vmid} (00:00:41)` : `ERROR: Backup of VM ${vmid} failed - ${error}`,
  ]),
];

const begun = async () => {
  const all = setup();
  const agent = await all.startAgent();
  const jobs = () => all.rows().map(({ vmid, source, state, label, archive }) => [vmid, source, state, label, archive]);
  return { ...all, agent, jobs };
};
const archiveOf = (vmid: number) => `bak:backup/vzdump-lxc-${vmid}-2026_11_21-23_15_01.tar.zst`;

describe('one guest', () => {
  test('is a job while it runs, keeps the slot, and counts when it is done', async () => {
    const { agent, node, advance, clock } = await begun();
    const startedAt = clock.now();
    node.addTask(101, ROOT);
    await agent.watchForeign([101, 102]);
    await advance(1000);
    const log = logOf([[101, '']]);
    node.write(...log.slice(0, 5));
    await advance(3000);
    expect(agent.running()).toMatchObject([{ vmid: 101, source: 'proxmox', state: 'running', storage: 'bak', mode: 'snapshot' }]);
    expect(await agent.peek()).toMatchObject({ phase: 'running', consistency_point_at: null });
    await expect(agent.start(102)).rejects.toMatchObject({ code: 'backup-slot-busy' });
    node.write(...log.slice(5), 'TASK OK');
    node.end('OK');
    await advance(4000);
    expect(agent.running()).toEqual([]);
    expect(await agent.peek()).toMatchObject({
      ...{ phase: 'done', label: 'crash', archive: archiveOf(101), error: '' },
      finished_at: expect.stringContaining('2026-11-21T22:30:0'),
    });
    expect(await agent.record(101)).toMatchObject({ lastGoodAt: startedAt, lastStartAt: startedAt, holdExpectedMs: null });
    await expect(agent.start(102)).resolves.toMatchObject({ phase: 'running' });
  });

  test.each([
    ['job errors', ['ERROR: Backup of VM 101 failed - No space left on device', 'TASK ERROR: job errors'], 'storage is full'],
    ['unexpected status', [], 'its task ended without a result'],
    ['interrupted by signal', [], 'interrupted on the host'],
  ])('fails by its exit status %s', async (exitstatus, lines, words) => {
    const { agent, node, advance, rows } = await begun();
    node.addTask(101, ROOT);
    await agent.watchForeign([101]);
    node.write('INFO: starting new backup job: vzdump 101 --storage bak', 'INFO: Starting Backup of VM 101 (lxc)', ...lines);
    node.end(exitstatus);
    await advance(6000);
    expect(rows()).toMatchObject([
      { state: 'failed', failure: 'task-failed', error: expect.stringContaining(words), label: null },
    ]);
    // However often it fails, felhom's own is not put off.
    expect(await agent.record(101)).toMatchObject({ lastGood: null, failures: [], lastStartAt: null });
  });

  test('that vzdump itself gave up is not good, whatever the task says', async () => {
    const { agent, node, advance, rows } = await begun();
    node.addTask(101, ROOT);
    await agent.watchForeign([101]);
    node.write(...logOf([[101, 'got timeout']]), 'TASK OK');
    node.end('OK');
    await advance(4000);
    expect(rows()).toMatchObject([{ state: 'failed', failure: 'task-failed' }]);
  });

  test('that waited for its turn since before our last one is seen when it runs', async () => {
    const { agent, node, advance, jobs } = await begun();
    const waiting = node.addTask(101, ROOT);
    await advance(5000);
    await agent.start(101);
    await advance(1000);
    node.end('job errors');
    await advance(5000);
    await agent.watchForeign([101]);
    await advance(1000);
    node.writeTo(waiting, ...logOf([[101, '']]));
    node.endTask(waiting, 'OK');
    await advance(5000);
    expect(jobs().map(([, source, state]) => [source, state])).toEqual([
      ['schedule', 'failed'],
      ['proxmox', 'done'],
    ]);
  });

  test('that Proxmox no longer knows has failed', async () => {
    const { agent, node, advance, rows } = await begun();
    node.addTask(101, ROOT);
    await agent.watchForeign([101]);
    node.write(...logOf([[101, '']]));
    node.forgetful = true;
    await advance(10_000);
    expect(rows()).toMatchObject([{ state: 'failed', failure: 'task-lost' }]);
  });

  test.each([
    ['without a storage in its command line', logOf([[101, '']], ''), ''],
    [
      'with the storage last',
      logOf([[101, '']]).map((line) => line.replace(/ --storage bak (.*)$/, ' $1 --storage bak')),
      archiveOf(101),
    ],
    [
      'with a hook that talks of another',
      ['INFO: starting new backup job: vzdump 101', ...logOf([[101, '']], '--storage x ')],
      '',
    ],
  ])('%s', async (_how, log, archive) => {
    const { agent, node, advance, rows } = await begun();
    node.addTask(101, ROOT);
    await agent.watchForeign([101]);
    node.write(...log, 'TASK OK');
    node.end('OK');
    await advance(4000);
    expect(rows()).toMatchObject([{ state: 'done', archive }]);
  });
});

describe('several guests in one task', () => {
  test('each enrolled one becomes a job when its turn comes, with its own verdict', async () => {
    const { agent, node, advance, jobs } = await begun();
    node.addTask('', ROOT);
    await agent.watchForeign([101, 102, 104]);
    await advance(1000);
    expect(jobs()).toEqual([]);
    const log = logOf([
      [101, ''],
      [999, ''],
      [102, 'CT is locked (snapshot)'],
    ]);
    node.write(...log.slice(0, 8));
    await advance(1000);
    expect(jobs()).toEqual([[101, 'proxmox', 'running', null, '']]);
    node.write(...log.slice(8), 'TASK ERROR: job errors');
    node.end('job errors');
    await advance(4000);
    expect(jobs()).toEqual([
      [101, 'proxmox', 'done', 'crash', archiveOf(101)],
      [102, 'proxmox', 'failed', null, ''],
    ]);
    expect((await agent.peek(102)).error).toContain('has locked this guest');
  });

  test('one that was killed in the middle: who was finished is done, the others are not', async () => {
    const { agent, node, advance, jobs } = await begun();
    node.addTask('', ROOT);
    await agent.watchForeign([101, 102]);
    node.write(
      ...logOf([
        [101, ''],
        [102, ''],
      ]).slice(0, -1),
    );
    node.end('unexpected status');
    await advance(5000);
    expect(jobs().map(([vmid, , state]) => [vmid, state])).toEqual([
      [101, 'done'],
      [102, 'failed'],
    ]);
  });

  test('is followed once, however often it is seen', async () => {
    const { agent, node, advance } = await begun();
    node.addTask('', ROOT);
    for (let tick = 0; tick < 10; tick += 1) await agent.watchForeign([101]);
    await advance(1000);
    expect(node.asked.statuses).toBe(1);
  });

  test("another guest's last word is not this one's", async () => {
    const { agent, node, advance, jobs } = await begun();
    node.addTask('', ROOT);
    await agent.watchForeign([101]);
    node.write(...logOf([[101, '']]).slice(0, -1), 'INFO: Finished Backup of VM 102 (00:00:01)');
    node.end('job errors');
    await advance(4000);
    expect(jobs()).toMatchObject([[101, 'proxmox', 'failed', null, '']]);
  });
});

describe('never twice, never what is not ours to count', () => {
  test('seen again and again, and over a restart', async () => {
    const { agent, node, advance, startAgent, rows } = await begun();
    node.addTask(101, ROOT);
    for (let tick = 0; tick < 5; tick += 1) {
      await Promise.all([agent.watchForeign([101]), agent.watchForeign([101])]);
      await advance(1000);
    }
    agent.kill();
    const next = await startAgent();
    await next.watchForeign([101]);
    node.write(...logOf([[101, '']]), 'TASK OK');
    node.end('OK');
    await advance(5000);
    await next.watchForeign([101]);
    await advance(5000);
    expect(rows()).toMatchObject([{ vmid: 101, state: 'done', label: 'crash' }]);
    const third = await startAgent();
    await third.watchForeign([101]);
    await advance(5000);
    expect(rows()).toHaveLength(1);
  });

  test('several guests over a restart in the middle', async () => {
    const { agent, node, advance, startAgent, jobs } = await begun();
    node.addTask('', ROOT);
    await agent.watchForeign([101, 102]);
    const log = logOf([
      [101, ''],
      [102, ''],
    ]);
    node.write(...log.slice(0, 5));
    await advance(1000);
    agent.kill();
    node.write(...log.slice(5));
    const next = await startAgent();
    await next.watchForeign([101, 102]);
    await advance(3000);
    node.end('OK');
    await advance(4000);
    await next.watchForeign([101, 102]);
    await advance(1000);
    expect(jobs().map(([vmid, , state]) => [vmid, state])).toEqual([
      [101, 'done'],
      [102, 'done'],
    ]);
  });

  test('one that ended while the agent was away counts, with the time it took', async () => {
    const { agent, node, advance, startAgent, rows, clock } = await begun();
    agent.kill();
    const startedAt = clock.now();
    node.addTask(101, ROOT);
    node.write(...logOf([[101, '']]), 'TASK OK');
    node.end('OK');
    await advance(HOUR);
    const next = await startAgent();
    await next.watchForeign([101]);
    await advance(1000);
    expect(rows()).toMatchObject([{ state: 'done', created_at: startedAt, finished_at: startedAt + 41_000 }]);
    expect(await next.record(101)).toMatchObject({ lastGoodAt: startedAt });
  });

  test('an ended one that is older than what is known of its guest does not', async () => {
    const { agent, node, advance, rows } = await begun();
    node.addTask(101, ROOT).exitstatus = 'OK';
    await advance(5000);
    await agent.start(101);
    await advance(1000);
    await agent.watchForeign([101]);
    await advance(5000);
    expect(rows()).toMatchObject([{ source: 'schedule' }]);
  });

  test.each<[string, number, string, string]>([
    ['of a guest that is not enrolled', 102, ROOT, 'vzdump'],
    ['that is no backup', 101, ROOT, 'vzsnapshot'],
  ])('a task %s', async (_what, vmid, user, type) => {
    const { agent, node, advance, rows } = await begun();
    node.addTask(vmid, user, undefined, type);
    await agent.watchForeign([101]);
    await advance(5000);
    expect([rows(), node.asked.statuses]).toEqual([[], 0]);
  });

  test('our own, while its answer is in doubt, is left to its job', async () => {
    const { agent, node, advance, rows } = await begun();
    node.fate = { error: proxmoxError(596, 'unknown'), taskAfterMs: 1000 };
    await agent.start(101);
    await advance(1100);
    await agent.watchForeign([101]);
    await advance(3000);
    await agent.watchForeign([101]);
    expect(rows()).toMatchObject([{ source: 'schedule', state: 'running', upid: node.tasks[0]?.upid }]);
  });

  test('our token without a job of it, as after a lost database, is somebody else', async () => {
    const { agent, node, advance, jobs } = await begun();
    node.addTask(101);
    await agent.watchForeign([101]);
    node.write(...logOf([[101, '']]));
    node.end('OK');
    await advance(4000);
    expect(jobs()).toEqual([[101, 'proxmox', 'done', 'crash', archiveOf(101)]]);
  });
});

describe('where the list of tasks cannot be read', () => {
  test('Proxmox is asked instead, once a minute at most', async () => {
    const { agent, node, advance, jobs } = await begun();
    node.indexGone = true;
    node.addTask(101, ROOT);
    for (let tick = 0; tick < 18; tick += 1) {
      await agent.watchForeign([101]);
      await advance(10_000);
    }
    expect(node.asked.running).toBe(3);
    expect(jobs()).toEqual([[101, 'proxmox', 'running', null, '']]);
  });

  test('and Proxmox away is no failure, only something to say', async () => {
    const { agent, node, journal } = await begun();
    Object.assign(node, { indexGone: true, away: true });
    await agent.watchForeign([101]);
    expect(journal.join()).toContain('It is not known whether Proxmox runs backups');
  });

  test('it is not asked at all otherwise', async () => {
    const { agent, node, advance } = await begun();
    for (let tick = 0; tick < 18; tick += 1) {
      await agent.watchForeign([101]);
      await advance(10_000);
    }
    expect([node.asked.running, node.asked.statuses, node.asked.lists]).toEqual([0, 0, 0]);
  });
});

test('a full disk hides none for good', async () => {
  const { agent, node, advance, fault, jobs } = await begun();
  node.addTask(101, ROOT);
  fault.full = true;
  await agent.watchForeign([101]);
  await advance(1000);
  expect(jobs()).toEqual([]);
  fault.full = false;
  await agent.watchForeign([101]);
  await advance(1000);
  expect(jobs()).toEqual([[101, 'proxmox', 'running', null, '']]);
});

test('a guest of a run that cannot be recorded keeps the others from nothing', async () => {
  const { agent, node, advance, fault, jobs } = await begun();
  const task = node.addTask('', ROOT);
  node.writeTo(task, ...logOf([[101, '']]));
  await agent.watchForeign([101, 102]);
  await advance(1000);
  fault.full = true;
  node.writeTo(task, ...logOf([[102, '']]).slice(1), 'TASK OK');
  node.endTask(task, 'OK');
  await advance(10_000);
  expect(agent.running()).toEqual([]);
  fault.full = false;
  await advance(10_000);
  expect(jobs()).toEqual([[101, 'proxmox', 'done', 'crash', archiveOf(101)]]);
  await expect(agent.start(102)).resolves.toMatchObject({ phase: 'running' });
});
