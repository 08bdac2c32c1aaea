/** The guest's report on its applications: when it counts, that it is kept, and what the end waits for. */
import { describe, expect, test } from 'vitest';
import type { HeldApp } from '#shared/wire/backups';
import { setup } from './harness.ts';
import { logLines } from './logs.ts';

const LOG = logLines('lxc-snapshot-btrfs-two-volumes-and-a-bind-mount');
const POINT = LOG.indexOf('INFO: resume vm');
const QEMU = logLines('qemu-snapshot-no-agent');

const said = (app: string, held = true, covered = true): HeldApp => ({ app, held, held_ms: 900, covered });
const ALL = { apps: [said('db'), said('web')] };
const INTENDS = ['db', 'web'];

const begun = async (intends = INTENDS, source: 'schedule' | 'guest' = 'schedule') => {
  const all = setup();
  const agent = await all.startAgent();
  const { job_id } = await agent.start(101, { intends, source });
  await all.advance(500);
  const codes = () => agent.problems.list(101).map(({ code }) => code);
  const audit = () => all.rows('audit').map(({ who, what, details }) => ({ who, what, details: JSON.parse(String(details)) }));
  /** Up to the consistency point, and over it. */
  const toPoint = async () => {
    all.node.write(...LOG.slice(0, POINT + 1));
    await all.settle();
  };
  const toEnd = async () => {
    all.node.write(...LOG.slice(POINT + 1));
    all.node.end('OK');
    await all.advance(3000);
  };
  return { ...all, agent, job_id, codes, audit, toPoint, toEnd };
};

test('a report after the point makes the archive `app`; it is kept, told and audited', async () => {
  const { agent, job_id, rows, audit, codes, toPoint, toEnd } = await begun();
  expect(await agent.peek()).toMatchObject({ intends: INTENDS, apps: null, one_instant: null });
  await toPoint();
  expect(await agent.peek()).toMatchObject({ one_instant: true, apps: null });
  const told: unknown[] = [];
  agent.onChange((job) => told.push(job.heldApps));
  const { revision } = await agent.peek();
  expect(await agent.reportHeld(101, job_id, ALL)).toEqual({ vmid: 101, job_id });
  expect(rows()[0]).toMatchObject({ state: 'running', intends: '["db","web"]', held_apps: JSON.stringify(ALL.apps) });
  expect(told).toEqual([ALL.apps]);
  expect((await agent.peek()).revision).not.toBe(revision);
  expect(audit()).toEqual([{ who: 'guest 101', what: 'applications-reported', details: { job: job_id, apps: ALL.apps } }]);
  await toEnd();
  expect(await agent.peek()).toMatchObject({ phase: 'done', label: 'app', one_instant: true, ...ALL });
  expect(rows()[0]).toMatchObject({ state: 'done', label: 'app', one_instant: 1 });
  expect(codes()).toEqual([]);
});

describe('a report that does not count', () => {
  test('of a job that nobody knows, or of another guest', async () => {
    const { agent, job_id, toPoint } = await begun();
    await toPoint();
    await expect(agent.reportHeld(101, 'nope', ALL)).rejects.toMatchObject({ code: 'not-found' });
    await expect(agent.reportHeld(102, job_id, ALL)).rejects.toMatchObject({ code: 'not-found' });
    expect((await agent.peek()).apps).toBeNull();
  });

  test('before the point; it may come again after it', async () => {
    const { agent, job_id, node, settle, toEnd, audit } = await begun();
    await expect(agent.reportHeld(101, job_id, ALL)).rejects.toMatchObject({ code: 'held-too-early' });
    node.write(...LOG.slice(0, POINT));
    await settle();
    await expect(agent.reportHeld(101, job_id, ALL)).rejects.toMatchObject({ code: 'held-too-early' });
    expect(audit()).toEqual([]);
    node.write(LOG[POINT] ?? '');
    await settle();
    await agent.reportHeld(101, job_id, ALL);
    await toEnd();
    expect((await agent.peek()).label).toBe('app');
  });

  test('after the end: the label stays, also when the same job is asked for later', async () => {
    const { agent, job_id, rows, advance, toPoint, toEnd } = await begun();
    await toPoint();
    await toEnd();
    await advance(15_000);
    expect(await agent.peek()).toMatchObject({ phase: 'done', label: 'filesystem' });
    const before = rows();
    await expect(agent.reportHeld(101, job_id, ALL)).rejects.toMatchObject({ code: 'held-too-late' });
    expect([rows(), (await agent.peek()).apps]).toEqual([before, null]);
  });

  test('while the end is being written, and it takes long', async () => {
    const { agent, job_id, rows, fault, advance, toPoint, toEnd } = await begun();
    await toPoint();
    await advance(20_000);
    fault.full = true;
    await toEnd();
    expect((await agent.peek()).phase).toBe('done');
    fault.full = false;
    await expect(agent.reportHeld(101, job_id, ALL)).rejects.toMatchObject({ code: 'held-too-late' });
    await advance(6000);
    expect(rows()).toMatchObject([{ state: 'done', label: 'filesystem', held_apps: null }]);
  });

  test('in the moment in which the end is being written', async () => {
    const { agent, job_id, node, rows, fault, advance, toPoint } = await begun();
    await toPoint();
    await advance(20_000);
    node.write(...LOG.slice(POINT + 1));
    fault.full = true;
    node.end('OK');
    await advance(300);
    expect((await agent.peek()).phase).toBe('running');
    fault.full = false;
    await expect(agent.reportHeld(101, job_id, ALL)).rejects.toMatchObject({ code: 'held-too-late' });
    await advance(6000);
    expect(rows()).toMatchObject([{ state: 'done', label: 'filesystem', held_apps: null }]);
  });

  test('after a job that failed', async () => {
    const { agent, job_id, node, advance, toPoint } = await begun();
    await toPoint();
    node.end('job errors');
    await advance(3000);
    await expect(agent.reportHeld(101, job_id, ALL)).rejects.toMatchObject({ code: 'held-too-late' });
    expect(await agent.peek()).toMatchObject({ phase: 'failed', label: null, one_instant: null });
  });

  test('a second one that says something else; the same again changes nothing, before and after the end', async () => {
    const { agent, job_id, rows, audit, toPoint, toEnd } = await begun();
    await toPoint();
    const bad = { apps: [said('db', false), said('web')] };
    await agent.reportHeld(101, job_id, bad);
    await expect(agent.reportHeld(101, job_id, ALL)).rejects.toMatchObject({ code: 'held-too-late' });
    await expect(agent.reportHeld(101, job_id, { apps: [] })).rejects.toMatchObject({ code: 'held-too-late' });
    await agent.reportHeld(101, job_id, bad);
    await toEnd();
    expect(await agent.peek()).toMatchObject({ label: 'filesystem', ...bad });
    await agent.reportHeld(101, job_id, bad);
    await expect(agent.reportHeld(101, job_id, ALL)).rejects.toMatchObject({ code: 'held-too-late' });
    expect([rows()[0]?.held_apps, audit().length]).toEqual([JSON.stringify(bad.apps), 1]);
  });

  test('two at once that contradict each other: one counts', async () => {
    const { agent, job_id, toPoint } = await begun();
    await toPoint();
    const outcomes = await Promise.allSettled([
      agent.reportHeld(101, job_id, ALL),
      agent.reportHeld(101, job_id, { apps: [said('db', false)] }),
    ]);
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
    expect((await agent.peek()).apps).toEqual(ALL.apps);
  });
});

test('what nobody asked for is not kept', async () => {
  const { agent, job_id, toPoint, toEnd } = await begun(['db']);
  await toPoint();
  await agent.reportHeld(101, job_id, { apps: [said('x', false), said('db')] });
  await agent.reportHeld(101, job_id, { apps: [said('db')] });
  await toEnd();
  expect(await agent.peek()).toMatchObject({ label: 'app', apps: [said('db')] });
});

test('a report that cannot be kept is not taken, and may come again', async () => {
  const { agent, job_id, fault, rows, audit, advance, toPoint, toEnd } = await begun();
  await toPoint();
  fault.full = true;
  await expect(agent.reportHeld(101, job_id, ALL)).rejects.toThrow('full');
  expect((await agent.peek()).apps).toBeNull();
  fault.full = false;
  await agent.reportHeld(101, job_id, ALL);
  await advance(10_000);
  expect([rows()[0]?.held_apps, audit().length]).toEqual([JSON.stringify(ALL.apps), 1]);
  await toEnd();
  expect((await agent.peek()).label).toBe('app');
});

test('an older state that waited for room on the disk does not take the report away', async () => {
  const { agent, job_id, fault, rows, advance, toPoint } = await begun();
  fault.full = true;
  await toPoint();
  await advance(1000);
  fault.full = false;
  await agent.reportHeld(101, job_id, ALL);
  await advance(10_000);
  expect(rows()[0]?.held_apps).toBe(JSON.stringify(ALL.apps));
});

describe('the end of a short copy', () => {
  const ended = async (intends = INTENDS) => {
    const all = await begun(intends);
    await all.toPoint();
    all.node.write(...LOG.slice(POINT + 1));
    all.node.end('OK');
    return all;
  };

  test('waits for the report, and no longer than for it', async () => {
    const { agent, job_id, advance } = await ended();
    await advance(10_000);
    expect(await agent.peek()).toMatchObject({ phase: 'running', label: null });
    await agent.reportHeld(101, job_id, ALL);
    await advance(0);
    expect(await agent.peek()).toMatchObject({ phase: 'done', label: 'app' });
  });

  test('waits until 15 s after the point, whatever the wall clock does', async () => {
    const { agent, advance, setWall, codes } = await ended();
    setWall(-10 * 365 * 86_400_000);
    await advance(14_900);
    expect((await agent.peek()).phase).toBe('running');
    await advance(200);
    expect(await agent.peek()).toMatchObject({ phase: 'done', label: 'filesystem', apps: null });
    expect(codes()).toEqual(['app-not-consistent']);
  });

  test('comes at once where no application was to be consistent', async () => {
    const { agent, advance } = await ended([]);
    await advance(3000);
    expect(await agent.peek()).toMatchObject({ phase: 'done', label: 'filesystem' });
  });

  test('comes at once after a copy that was long enough', async () => {
    const { agent, advance, toPoint, toEnd } = await begun();
    await toPoint();
    await advance(20_000);
    await toEnd();
    expect(await agent.peek()).toMatchObject({ phase: 'done', label: 'filesystem' });
  });

  test.each([
    ['suspend mode', 'lxc-suspend', 'OK', 'done'],
    ['the fallback to it', 'lxc-snapshot-falls-back-to-suspend-dir', 'OK', 'done'],
    ['a guest that was down', 'lxc-stopped', 'OK', 'done'],
    ['stop mode', 'qemu-stop', 'OK', 'done'],
    ['a backup that failed', 'qemu-snapshot-fails-qmp', 'job errors', 'failed'],
    ['wording that nobody knows', 'unknown', 'OK', 'done'],
  ])('comes at once: %s', async (_what, name, exitstatus, phase) => {
    const { agent, node, advance } = await begun();
    node.write(
      ...(name === 'unknown' ? LOG.map((line) => line.replace(/^INFO: (resume|creating)/, 'INFO: xx')) : logLines(name)),
    );
    node.end(exitstatus);
    await advance(8000);
    const status = await agent.peek();
    expect(status.phase).toBe(phase);
    expect(status.label).not.toBe('app');
  });

  test('is not kept from the next agent: it takes up the wait, at most 15 s from its own start', async () => {
    const { agent, job_id, node, advance, startAgent, rows } = await ended();
    await advance(5000);
    agent.kill();
    const next = await startAgent();
    await advance(14_000);
    expect((await next.peek()).phase).toBe('running');
    await next.reportHeld(101, job_id, ALL);
    await advance(100);
    expect(rows()).toMatchObject([{ state: 'done', label: 'app' }]);
    expect(node.posts).toBe(1);
  });

  test('comes 15 s after the start of the next agent where nobody reports', async () => {
    const { agent, advance, startAgent, rows } = await ended();
    agent.kill();
    await advance(60_000);
    const next = await startAgent();
    await advance(15_100);
    expect(rows()).toMatchObject([{ state: 'done', label: 'filesystem' }]);
    expect((await next.peek()).phase).toBe('done');
  });

  test('an agent that stops meanwhile leaves the job to the next', async () => {
    const { agent, rows, advance } = await ended();
    await advance(1000);
    // At once: the clock stands still.
    await agent.close();
    expect(rows()).toMatchObject([{ state: 'running', label: null }]);
  });
});

test('a report is still there for the next agent, which needs no other and judges by it at once', async () => {
  const { agent, job_id, node, advance, startAgent, toPoint } = await begun();
  await toPoint();
  await agent.reportHeld(101, job_id, ALL);
  agent.kill();
  node.write(...LOG.slice(POINT + 1));
  node.end('OK');
  const next = await startAgent();
  await advance(100);
  expect(await next.peek()).toMatchObject({ phase: 'done', label: 'app', one_instant: true, intends: INTENDS, ...ALL });
});

test('what past jobs say is kept in memory without the names of applications', async () => {
  const { agent, job_id, startAgent, toPoint, toEnd } = await begun();
  await agent.record(101);
  await toPoint();
  await agent.reportHeld(101, job_id, ALL);
  await toEnd();
  const slim = { lastGood: { jobId: job_id, label: 'app', intends: [], heldApps: null } };
  expect(await agent.record(101)).toMatchObject(slim);
  agent.kill();
  expect(await (await startAgent()).record(101)).toMatchObject(slim);
});

test('an agent that reads the log anew keeps what was known of the point', async () => {
  const { agent, settle, startAgent, toPoint, node } = await begun();
  await toPoint();
  agent.kill();
  node.tasks[0]?.lines.splice(5);
  const next = await startAgent();
  await settle();
  expect(await next.peek()).toMatchObject({ one_instant: true, consistency_point_at: expect.any(String) });
});

test('a virtual machine without a freeze: disk after disk, and `app` only by the word of each', async () => {
  for (const [apps, label] of [
    [ALL.apps, 'app'],
    [[said('db')], 'crash'],
  ] as const) {
    const { agent, job_id, node, settle, advance } = await begun();
    node.write(...QEMU.slice(0, -3));
    await settle();
    expect(await agent.peek()).toMatchObject({ one_instant: false });
    await agent.reportHeld(101, job_id, { apps: [...apps] });
    node.write(...QEMU.slice(-3));
    node.end('OK');
    await advance(3000);
    expect((await agent.peek()).label).toBe(label);
  }
});

test('the problem lasts until a backup whose applications were consistent', async () => {
  const { agent, node, advance, settle, codes, job_id, toPoint, toEnd } = await begun();
  await toPoint();
  await agent.reportHeld(101, job_id, { apps: [said('db', false), said('web')] });
  await toEnd();
  expect(agent.problems.list(101)).toMatchObject([
    { code: 'app-not-consistent', severity: 'warning', evidence: `db was not held, job ${job_id}` },
  ]);
  const again = async (order: object, report: HeldApp[]) => {
    const { job_id: id } = await agent.start(101, order);
    await advance(500);
    node.write(...LOG.slice(0, POINT + 1));
    await settle();
    await agent.reportHeld(101, id, { apps: report });
    node.write(...LOG.slice(POINT + 1));
    node.end('OK');
    await advance(3000);
  };
  await again({ source: 'agent' }, []);
  expect(codes()).toEqual(['app-not-consistent']);
  await again({ intends: ['db'] }, [said('db')]);
  expect(codes()).toEqual([]);
});
