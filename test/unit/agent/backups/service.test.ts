/** Starting and following backups over a fake node: one vzdump for one job, and the truth in the end. */
import { describe, expect, test } from 'vitest';
import { HOUR, proxmoxError, setup, volume } from './harness.ts';
import { logLines } from './logs.ts';

const LOG = logLines('lxc-snapshot-btrfs-two-volumes-and-a-bind-mount');
const POINT = LOG.indexOf('INFO: resume vm');
const VOLID = 'bak:backup/vzdump-lxc-201-2026_11_21-23_22_40.tar.zst';

test('a backup from its start to its archive', async () => {
  const { node, advance, settle, startAgent } = setup();
  const agent = await startAgent();
  expect(await agent.peek()).toMatchObject({ phase: 'idle', job_id: '', error: '', label: null, upid: '' });
  expect(await agent.record(101)).toMatchObject({ lastGood: null, lastGoodAt: null, lastStartAt: null });

  const { job_id, phase } = await agent.start(101);
  expect(phase).toBe('running');
  await advance(500);
  node.write(...LOG.slice(0, POINT));
  await settle();
  expect(await agent.peek()).toMatchObject({ phase: 'running', mode: 'snapshot', consistency_point_at: null, progress: null });
  node.write(LOG[POINT] ?? '');
  expect(await agent.peek()).toMatchObject({ phase: 'running', consistency_point_at: '2026-11-21T22:30:00.500Z', label: null });
  node.write(...LOG.slice(POINT + 1));
  node.end('OK');
  await advance(3000);
  expect(await agent.peek()).toMatchObject({
    phase: 'done',
    job_id,
    error: '',
    archive: VOLID,
    size_bytes: 3_000_000,
    label: 'filesystem',
    frozen_seconds: 1,
    warnings: [],
    progress: null,
    progress_estimated: false,
    upid: node.tasks[0]?.upid,
  });
  expect(node.tasks[0]?.request).toMatchObject({
    vmid: 101,
    storage: 'bak',
    mode: 'snapshot',
    notes: `felhom job ${job_id} host host-1`,
  });
  const startedAt = Date.UTC(2026, 10, 21, 22, 30);
  expect(await agent.record(101)).toMatchObject({
    lastGood: { jobId: job_id, source: 'schedule', configDigest: 'd1' },
    lastGoodAt: startedAt,
  });
  await agent.close();
});

describe('one job, one vzdump', () => {
  test.each([
    [101, 101, 'A backup of this guest'],
    [101, 102, "Another guest's backup"],
  ])('while one of %d runs, %d is refused, also when both come at once', async (first, second, whose) => {
    const { node, settle, startAgent } = setup();
    const agent = await startAgent();
    const outcomes = await Promise.allSettled([agent.start(first, {}), agent.start(second, {})]);
    await settle();
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
    expect(outcomes[1]).toMatchObject({ reason: { code: 'backup-slot-busy', message: expect.stringContaining(whose) } });
    await expect(agent.start(second, {})).rejects.toMatchObject({ code: 'backup-slot-busy' });
    expect(node.posts).toBe(1);
    expect(agent.running()).toMatchObject([{ vmid: first, state: 'running' }]);
  });

  test('a request id names its job for seven days, and is new afterwards', async () => {
    const { node, advance, startAgent } = setup();
    const agent = await startAgent();
    const first = await agent.start(101, { requestId: 'r1' });
    await advance(1000);
    node.write(...LOG);
    node.end('OK');
    await advance(5000);
    await advance(6 * 24 * HOUR);
    expect(await agent.byRequest(101, 'r1')).toMatchObject({ jobId: first.job_id, state: 'done' });
    expect([await agent.byRequest(102, 'r1'), await agent.byRequest(101, 'r2')]).toEqual([null, null]);
    await advance(25 * HOUR);
    expect(await agent.byRequest(101, 'r1')).toBeNull();
    const second = await agent.start(101, { requestId: 'r1' });
    expect(await agent.byRequest(101, 'r1')).toMatchObject({ jobId: second.job_id });
  });

  test('the intent is on disk before Proxmox is asked; without it nothing is', async () => {
    const { node, rows, fault, settle, startAgent } = setup();
    const agent = await startAgent();
    fault.full = true;
    await expect(agent.start(101)).rejects.toThrow('full');
    await settle();
    expect([node.posts, (await agent.peek()).phase]).toEqual([0, 'idle']);
    fault.full = false;
    const written: unknown[] = [];
    node.onPost = () => written.push(...rows());
    await agent.start(101);
    await settle();
    expect(written).toMatchObject([{ vmid: 101, state: 'intent', upid: '' }]);
    expect(rows()).toMatchObject([{ state: 'running', upid: node.tasks[0]?.upid }]);
  });
});

describe('a POST in doubt', () => {
  test.each([0, 596])('status %d: the task that appears after 25 s is the job', async (status) => {
    const { node, advance, startAgent } = setup();
    const agent = await startAgent();
    node.fate = { error: proxmoxError(status, 'unknown'), taskAfterMs: 25_000 };
    await agent.start(101);
    await advance(30_000);
    node.write(...LOG);
    node.end('OK');
    await advance(5000);
    expect(await agent.peek()).toMatchObject({ phase: 'done', upid: node.tasks[0]?.upid });
    expect(node.posts).toBe(1);
  });

  test('no task within 60 s: never started, and never asked again', async () => {
    const { node, advance, startAgent } = setup();
    const agent = await startAgent();
    node.fate = { error: proxmoxError(0, 'unknown') };
    node.addTask(101);
    await advance(10_000);
    await agent.start(101);
    await advance(3000);
    // Nor is any of these it: another guest's, another user's; the one above is too old.
    node.addTask(102);
    node.addTask(101, 'root@pam');
    node.addTask(101, 'felhom@pve!old');
    await advance(56_000);
    expect(await agent.peek()).toMatchObject({ phase: 'running' });
    await advance(4000);
    expect(await agent.peek()).toMatchObject({ phase: 'failed', error: expect.stringContaining('never started'), upid: '' });
    expect(node.posts).toBe(1);
  });

  test("the guest's backup of a moment ago is not taken for this one", async () => {
    const { node, advance, startAgent } = setup();
    const agent = await startAgent();
    await agent.start(101);
    await advance(100);
    node.write(...LOG);
    node.end('OK');
    await advance(1000);
    node.fate = { error: proxmoxError(0, 'unknown') };
    const { job_id } = await agent.start(101);
    await advance(64_000);
    expect(await agent.peek()).toMatchObject({ job_id, phase: 'failed', error: expect.stringContaining('never started') });
  });

  test.each([-HOUR, HOUR])('a wall clock that is set by %d ms meanwhile hides no task', async (byMs) => {
    const { node, advance, setWall, startAgent } = setup();
    const agent = await startAgent();
    node.fate = { error: proxmoxError(596, 'unknown'), taskAfterMs: 20_000 };
    await agent.start(101);
    await advance(5000);
    setWall(byMs);
    await advance(20_000);
    node.write(...LOG);
    node.end('OK');
    await advance(5000);
    expect(await agent.peek()).toMatchObject({ phase: 'done', upid: node.tasks[0]?.upid });
    expect(node.posts).toBe(1);
  });

  test('while the task list cannot be asked, nothing is concluded', async () => {
    const { node, advance, startAgent } = setup();
    const agent = await startAgent();
    node.fate = { error: proxmoxError(596, 'unknown'), taskAfterMs: 20_000 };
    await agent.start(101);
    node.away = true;
    await advance(10 * 60_000);
    expect(await agent.peek()).toMatchObject({ phase: 'running' });
    node.away = false;
    await advance(31_000);
    expect(await agent.peek()).toMatchObject({ phase: 'running', upid: node.tasks[0]?.upid });
    expect(node.posts).toBe(1);
  });

  test('a refusal that cannot have had an effect fails at once', async () => {
    const { node, settle, startAgent, journal } = setup();
    const agent = await startAgent();
    node.fate = { error: proxmoxError(403, 'never', 'Permission check failed (/storage/bak, Datastore.AllocateSpace)') };
    await agent.start(101);
    await settle();
    expect(await agent.peek()).toMatchObject({ phase: 'failed', error: 'Proxmox refused felhom a right that the backup needs.' });
    expect(journal.join()).toContain('Datastore.AllocateSpace');
  });
});

describe('killed', () => {
  const finish = async ({ node, advance, startAgent, rows }: ReturnType<typeof setup>, from: number) => {
    const agent = await startAgent();
    await advance(200);
    node.write(...LOG.slice(from));
    node.end('OK');
    await advance(5000);
    expect(await agent.peek()).toMatchObject({ phase: 'done', label: 'filesystem', archive: VOLID, frozen_seconds: 1 });
    expect(rows()).toHaveLength(1);
    expect(node.posts).toBe(1);
    await agent.close();
  };

  test.each(LOG.map((_line, index) => index))('after line %d', async (index) => {
    const all = setup();
    const agent = await all.startAgent();
    await agent.start(101);
    await all.advance(200);
    all.node.write(...LOG.slice(0, index));
    await all.settle();
    agent.kill();
    await finish(all, index);
  });

  test('the consistency point is on disk at once, and stays when it was first seen', async () => {
    const { node, advance, settle, startAgent, rows } = setup();
    const agent = await startAgent();
    await agent.start(101);
    await advance(200);
    node.write(...LOG.slice(0, POINT + 1));
    await settle();
    const { consistency_point_at } = await agent.peek();
    expect(rows()[0]?.consistency_point_at).toBe(Date.parse(consistency_point_at ?? ''));
    agent.kill();
    await advance(60_000);
    const next = await startAgent();
    await advance(1000);
    node.write(...LOG.slice(POINT + 1));
    node.end('OK');
    await advance(5000);
    expect(await next.peek()).toMatchObject({ phase: 'done', consistency_point_at });
  });

  test('before the answer to the POST', async () => {
    const all = setup();
    const agent = await all.startAgent();
    all.node.fate = 'lost after';
    await agent.start(101);
    await all.advance(200);
    agent.kill();
    await finish(all, 0);
  });

  test('after the task ended', async () => {
    const all = setup();
    const agent = await all.startAgent();
    await agent.start(101);
    await all.advance(200);
    agent.kill();
    all.node.write(...LOG);
    all.node.end('OK');
    const next = await all.startAgent();
    await all.advance(100);
    expect(await next.peek()).toMatchObject({ phase: 'done', label: 'filesystem', consistency_point_at: expect.any(String) });
    expect(all.node.posts).toBe(1);
  });

  test('a point that is read days later does not make the archive younger than it is', async () => {
    const all = setup();
    const agent = await all.startAgent();
    await agent.start(101);
    await all.advance(200);
    agent.kill();
    all.node.write(...LOG);
    all.node.end('OK');
    await all.advance(40 * HOUR);
    const next = await all.startAgent();
    await all.advance(100);
    expect(await next.peek()).toMatchObject({ phase: 'done', label: 'filesystem' });
    expect(await next.record(101)).toMatchObject({ lastGoodAt: Date.UTC(2026, 10, 21, 22, 30) });
  });

  test('before the POST left: never started', async () => {
    const { node, advance, startAgent } = setup();
    const agent = await startAgent();
    node.fate = 'lost before';
    await agent.start(101);
    await advance(200);
    agent.kill();
    const next = await startAgent();
    await advance(62_000);
    expect(await next.peek()).toMatchObject({ phase: 'failed', error: expect.stringContaining('never started') });
    expect(node.posts).toBe(1);
  });
});

describe('how it ends', () => {
  const run = async (act: (all: ReturnType<typeof setup>) => void, waitMs = 15_000) => {
    const all = setup();
    const agent = await all.startAgent();
    await agent.start(101);
    await all.advance(100);
    act(all);
    await all.advance(waitMs);
    return { ...all, agent, status: await agent.peek() };
  };

  test('the exit status is the truth, not the log', async () => {
    const { status } = await run(({ node }) => {
      node.write(...LOG);
      node.end('job errors');
    });
    expect(status).toMatchObject({
      phase: 'failed',
      label: null,
      error: "The backup failed on the host; the host's journal says why.",
    });
  });

  test('a container snapshot that fails: what was taken for the point is taken back', async () => {
    const { status } = await run(({ node }) => {
      node.write(
        ...LOG.slice(0, POINT + 1),
        "ERROR: Backup of VM 201 failed - lvcreate 'vzdump' error",
        'TASK ERROR: job errors',
      );
      node.end('job errors');
    });
    expect(status).toMatchObject({ phase: 'failed', consistency_point_at: null, label: null });
  });

  test('warnings are a success with the warnings listed, without paths', async () => {
    const { status } = await run(({ node }) => {
      node.write(...logLines('lxc-snapshot-lvmthin-warnings'));
      node.end('WARNINGS: 1');
    });
    expect(status).toMatchObject({ phase: 'done', label: 'filesystem' });
    expect(status.warnings).toEqual(["unable to add notes - opening '…' failed: Read-only file system"]);
  });

  test("vzdump's lock is held by somebody else", async () => {
    const { status, journal } = await run(({ node }) => {
      node.write(...logLines('fails-lockwait-0'));
      node.end('unexpected status');
    });
    expect(status).toMatchObject({
      phase: 'failed',
      error: 'Another backup is running on this host, so this one was not started.',
    });
    expect(journal.join()).toContain('/var/run/vzdump.lock');
  });

  test('an `unexpected status` read too early is corrected by the last line', async () => {
    const { status } = await run(({ node }) => {
      node.write(...LOG);
      node.end('unexpected status');
      node.volumes.push(volume({ volid: VOLID, sizeBytes: 1 }));
    });
    expect(status).toMatchObject({ phase: 'done', label: 'filesystem' });
  });

  test('also when that last line is written only after it', async () => {
    const all = setup();
    const agent = await all.startAgent();
    await agent.start(101);
    await all.advance(100);
    all.node.write(...LOG.slice(0, -1));
    all.node.end('unexpected status');
    all.node.volumes.push(volume({ volid: VOLID, vmid: 201 }));
    await all.advance(3100);
    all.node.write('TASK OK');
    await all.advance(5000);
    expect(await agent.peek()).toMatchObject({ phase: 'done', label: 'filesystem' });
  });

  test('a task that Proxmox no longer knows has failed, whatever its log says', async () => {
    const { status } = await run(({ node }) => {
      node.write(...LOG);
      node.forgetful = true;
    });
    expect(status).toMatchObject({ phase: 'failed', error: expect.stringContaining('task-lost') });
  });

  test('done without an archive is a failure', async () => {
    const { status } = await run(({ node }) => {
      node.write(...LOG);
      node.end('OK', false);
    });
    expect(status).toMatchObject({ phase: 'failed', error: expect.stringContaining('archive is not in the backup storage') });
  });

  test('an archive that was renamed is known by its note', async () => {
    const { status } = await run(({ node }) => {
      node.write(...LOG);
      node.end('OK');
      for (const volume of node.volumes) volume.volid = 'bak:backup/vzdump-lxc-201-2026_11_21-23_22_41.tar.zst';
    });
    expect(status).toMatchObject({ phase: 'done', archive: 'bak:backup/vzdump-lxc-201-2026_11_21-23_22_41.tar.zst' });
  });

  test('another archive of the same guest is not taken for ours', async () => {
    const { status } = await run(({ node }) => {
      node.write(...LOG);
      node.end('OK');
      for (const volume of node.volumes)
        Object.assign(volume, { volid: 'bak:backup/vzdump-lxc-201-2026_11_21-23_22_41.tar.zst', notes: 'felhom job of another' });
    });
    expect(status).toMatchObject({ phase: 'failed', archive: '' });
  });

  test('done with a log that cannot be read says so, and claims nothing', async () => {
    const { status } = await run(({ node }) => {
      node.logGone = true;
      node.write(...LOG);
      node.end('OK');
    });
    expect(status).toMatchObject({
      phase: 'done',
      label: 'crash',
      archive: VOLID,
      consistency_point_at: null,
      warnings: [expect.stringContaining('could not be read to its end')],
    });
  });

  test('one answer without the task is not the end of it', async () => {
    const all = setup();
    const agent = await all.startAgent();
    await agent.start(101);
    await all.advance(100);
    all.node.forgetful = true;
    await all.advance(3000);
    all.node.forgetful = false;
    all.node.write(...LOG);
    all.node.end('OK');
    await all.advance(10_000);
    expect(await agent.peek()).toMatchObject({ phase: 'done', label: 'filesystem' });
  });

  test('done with a storage that cannot be listed says so', async () => {
    const { status } = await run(({ node }) => {
      node.listingFails = true;
      node.write(...LOG);
      node.end('OK');
    });
    expect(status).toMatchObject({
      phase: 'done',
      archive: VOLID,
      size_bytes: null,
      warnings: [expect.stringContaining('could not be asked')],
    });
  });

  test('Proxmox away for ten minutes fails nothing', async () => {
    const { status, node, advance, agent } = await run(({ node }) => {
      node.away = true;
      node.write(...LOG);
      node.end('OK');
    }, 10 * 60_000);
    expect(status.phase).toBe('running');
    node.away = false;
    await advance(31_000);
    expect(await agent.peek()).toMatchObject({ phase: 'done' });
  });

  test('a full disk does not end the job; the row follows when it can', async () => {
    const { agent, fault, rows, advance } = await run(({ node, fault }) => {
      fault.full = true;
      node.write(...LOG);
      node.end('OK');
    });
    expect(await agent.peek()).toMatchObject({ phase: 'done', label: 'filesystem' });
    expect(rows()[0]).toMatchObject({ state: 'running' });
    fault.full = false;
    await advance(10_000);
    expect(rows()[0]).toMatchObject({ state: 'done', label: 'filesystem', archive: VOLID });
  });

  test('progress and time left are shown while the log has them', async () => {
    const log = logLines('qemu-snapshot-agent');
    const { status } = await run(({ node }) => node.write(...log.slice(0, log.findIndex((line) => line.includes(' 25% ')) + 1)));
    expect(status).toMatchObject({ progress: 0.25, eta_seconds: 60, progress_estimated: false });
  });
});

describe('long poll', () => {
  const waiting = async () => {
    const all = setup();
    const agent = await all.startAgent();
    await agent.start(101);
    await all.advance(1000);
    const { revision } = await agent.peek();
    const abort = new AbortController();
    const poll = (after = revision) => {
      const state = { done: false };
      const answer = agent.status(101, { wait: '8', after }, abort.signal).finally(() => {
        state.done = true;
      });
      return { state, answer };
    };
    return { ...all, agent, revision, abort, poll };
  };

  test('a line of the log wakes it without any time passing', async () => {
    const { node, settle, poll, revision } = await waiting();
    const { state, answer } = poll();
    await settle();
    expect(state.done).toBe(false);
    node.write(...LOG.slice(0, POINT + 1));
    await settle();
    expect(state.done).toBe(true);
    const woken = await answer;
    expect(woken.revision).not.toBe(revision);
  });

  test('without news it answers after eight seconds', async () => {
    const { advance, poll, revision } = await waiting();
    const { state, answer } = poll();
    await advance(7990);
    expect(state.done).toBe(false);
    await advance(20);
    await expect(answer).resolves.toMatchObject({ revision });
  });

  test('any other revision answers at once, also one from before a restart', async () => {
    const { agent, settle, startAgent, revision, poll } = await waiting();
    await expect(poll('').answer).resolves.toMatchObject({ revision });
    agent.kill();
    const next = await startAgent();
    await settle();
    const answer = await next.status(101, { wait: '8', after: revision }, new AbortController().signal);
    expect(answer.revision).not.toBe(revision);
    expect(answer.revision.split('.')[0]).not.toBe(revision.split('.')[0]);
  });

  test('it ends when the caller goes, and when the agent stops', async () => {
    const { abort, poll, settle, agent } = await waiting();
    const gone = poll();
    await settle();
    abort.abort();
    await expect(gone.answer).resolves.toMatchObject({ phase: 'running' });
    const late = agent.status(101, { wait: '8', after: (await agent.peek()).revision }, new AbortController().signal);
    await settle();
    await agent.close();
    await expect(late).resolves.toMatchObject({ phase: 'running' });
  });

  test("another guest's news wake nobody", async () => {
    const { agent, settle, node } = await waiting();
    const { revision } = await agent.peek(102);
    let done = false;
    void agent.status(102, { wait: '8', after: revision }, new AbortController().signal).then(() => {
      done = true;
    });
    node.write(...LOG);
    await settle();
    expect(done).toBe(false);
  });
});
