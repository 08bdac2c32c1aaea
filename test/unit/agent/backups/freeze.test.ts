/** How long a container stands still, and that no backup leaves one frozen. */
import { describe, expect, test } from 'vitest';
import { setup } from './harness.ts';
import { logLines } from './logs.ts';

const ONE_VOLUME = logLines('lxc-snapshot-btrfs');
const TWO_VOLUMES = logLines('lxc-snapshot-btrfs-two-volumes-and-a-bind-mount');
const STOP = logLines('lxc-stop');
const POINT = ONE_VOLUME.findIndex((line) => line.includes('creating vzdump archive'));

type All = Awaited<ReturnType<typeof begun>>;

const begun = async () => {
  const all = setup();
  const agent = await all.startAgent();
  all.node.frozen.set(101, false);
  await agent.start(101);
  await all.advance(1000);
  return { ...all, agent };
};

/** Up to the freeze, frozen for a while, and on to the end. */
const finish = async ({ node, advance, agent }: All, ms: number, log = ONE_VOLUME) => {
  const freeze = log.findIndex((line) => /create storage snapshot|suspending guest|stopping virtual/.test(line)) + 1;
  node.write(...log.slice(0, freeze));
  node.frozen.set(101, true);
  await advance(ms);
  node.frozen.set(101, false);
  await advance(200);
  node.write(...log.slice(freeze));
  node.end('OK');
  await advance(3000);
  return agent.peek();
};

describe('measured', () => {
  test('to a tenth of a second, where the log tells nothing', async () => {
    const all = await begun();
    expect(await finish(all, 2500)).toMatchObject({ phase: 'done' });
    expect(all.rows()[0]?.frozen_ms).toBeGreaterThanOrEqual(2400);
    expect(all.rows()[0]?.frozen_ms).toBeLessThanOrEqual(2700);
  });

  test.each([
    [300, 1000],
    [4000, 4000],
  ])('%d ms, and the log says one second: the larger counts', async (ms, least) => {
    const all = await begun();
    await finish(all, ms, TWO_VOLUMES);
    expect(all.rows()[0]?.frozen_ms).toBeGreaterThanOrEqual(least);
    expect(all.rows()[0]?.frozen_ms).toBeLessThan(least + 300);
  });

  test('known as soon as the guest goes on, long before the end', async () => {
    const { node, advance, agent } = await begun();
    node.write(...ONE_VOLUME.slice(0, POINT));
    node.frozen.set(101, true);
    await advance(3000);
    node.frozen.set(101, false);
    await advance(200);
    expect(await agent.peek()).toMatchObject({ phase: 'running', frozen_seconds: 3 });
  });

  test('known when the data is fixed, though that is told before the next look', async () => {
    const { node, advance, agent } = await begun();
    node.write(...ONE_VOLUME.slice(0, POINT));
    node.frozen.set(101, true);
    await advance(40_000);
    node.write(...ONE_VOLUME.slice(POINT, POINT + 1));
    await advance(10);
    const { consistency_point_at, frozen_seconds } = await agent.peek();
    expect(consistency_point_at).not.toBeNull();
    expect(frozen_seconds).toBeGreaterThanOrEqual(39);
  });

  test('a container without a group, and a machine that freezes nothing, have no figure', async () => {
    const all = setup();
    const agent = await all.startAgent();
    await agent.start(101);
    await all.advance(1000);
    all.node.write(...ONE_VOLUME);
    all.node.end('OK');
    await all.advance(3000);
    expect(await agent.peek()).toMatchObject({ phase: 'done', frozen_seconds: null });
  });

  test('no more looks once the data is fixed and the guest goes on', async () => {
    const { node, advance } = await begun();
    node.write(...ONE_VOLUME.slice(0, POINT + 1));
    await advance(1000);
    let looks = 0;
    node.frozen.get = () => {
      looks += 1;
      return false;
    };
    await advance(60_000);
    expect(looks).toBe(0);
  });

  test('over a restart of the agent nothing that was measured is lost', async () => {
    const { node, advance, agent, startAgent, rows } = await begun();
    node.write(...ONE_VOLUME.slice(0, POINT));
    node.frozen.set(101, true);
    await advance(3000);
    node.frozen.set(101, false);
    await advance(200);
    node.write(ONE_VOLUME[POINT] ?? '');
    await advance(200);
    agent.kill();
    node.frozen.set(101, true);
    await startAgent();
    await advance(500);
    node.frozen.set(101, false);
    await advance(200);
    node.write(...ONE_VOLUME.slice(POINT + 1));
    node.end('OK');
    await advance(3000);
    expect(rows()[0]).toMatchObject({ state: 'done', frozen_ms: expect.any(Number) });
    expect(rows()[0]?.frozen_ms).toBeGreaterThanOrEqual(2900);
  });
});

describe('too long', () => {
  const codes = ({ agent }: All) => agent.problems.list(101).map(({ code }) => code);

  test('is a problem from the twentieth second on, until a backup freezes it for less', async () => {
    const all = await begun();
    const { node, advance, agent } = all;
    node.write(...ONE_VOLUME.slice(0, POINT));
    node.frozen.set(101, true);
    await advance(19_500);
    expect(codes(all)).toEqual([]);
    await advance(1000);
    expect(codes(all)).toEqual(['freeze-long']);
    await advance(14_500);
    node.frozen.set(101, false);
    await advance(200);
    node.write(...ONE_VOLUME.slice(POINT));
    node.end('OK');
    await advance(3000);
    expect(agent.problems.list(101)).toMatchObject([{ code: 'freeze-long', evidence: expect.stringContaining('35 s') }]);
    await agent.start(101);
    await advance(1000);
    await finish(all, 500);
    expect(codes(all)).toEqual([]);
  });

  test('by the log alone as well', async () => {
    const all = await begun();
    await finish(
      all,
      0,
      TWO_VOLUMES.map((line) => line.replace('after 1 seconds', 'after 21 seconds')),
    );
    expect(codes(all)).toEqual(['freeze-long']);
  });

  test('is not the time for which a guest was shut down for its backup', async () => {
    const all = await begun();
    await finish(
      all,
      0,
      STOP.map((line) => line.replace('after 9 seconds', 'after 90 seconds')),
    );
    expect(all.rows()[0]).toMatchObject({ state: 'done', frozen_ms: 90_000 });
    expect(codes(all)).toEqual([]);
  });
});

describe('left frozen', () => {
  test.each([
    ['its task was killed', (all: All) => all.node.end('unexpected status')],
    ['its task was lost', (all: All) => Object.assign(all.node, { forgetful: true })],
    ['it was cancelled', (all: All) => all.agent.cancel(101, 'cancelled')],
  ])('when %s: thawed, and said so', async (_why, act) => {
    const all = await begun();
    all.node.write(...ONE_VOLUME.slice(0, POINT));
    all.node.frozen.set(101, true);
    await all.advance(500);
    await act(all);
    await all.advance(15_000);
    expect(all.node.thawed).toEqual([101]);
    expect(all.rows()[0]).toMatchObject({ state: 'failed' });
    expect(all.rows('audit')).toMatchObject([
      { who: 'agent', what: 'guest-thawed', details: expect.stringContaining('"vmid":101') },
    ]);
    expect(all.journal.join()).toContain('left its guest frozen');
  });

  test('also when the agent was killed with it', async () => {
    const all = await begun();
    all.node.write(...ONE_VOLUME.slice(0, POINT));
    all.node.frozen.set(101, true);
    await all.advance(500);
    all.agent.kill();
    all.node.end('unexpected status');
    await all.startAgent();
    await all.advance(5000);
    expect(all.node.thawed).toEqual([101]);
  });

  test('but not while its task runs, however long', async () => {
    const all = await begun();
    all.node.write(...ONE_VOLUME.slice(0, POINT));
    all.node.frozen.set(101, true);
    await all.advance(120_000);
    expect(all.node.thawed).toEqual([]);
  });

  test('nor while another task works on the guest', async () => {
    const all = await begun();
    all.node.write(...ONE_VOLUME.slice(0, POINT));
    all.node.frozen.set(101, true);
    all.node.end('unexpected status');
    all.node.addTask(101, 'root@pam', undefined, 'vzsnapshot');
    await all.advance(10_000);
    expect([all.node.thawed, all.rows()[0]?.state]).toEqual([[], 'failed']);
  });

  test("nor while somebody else's backup may have frozen it, where the list of tasks cannot be read", async () => {
    const all = await begun();
    all.node.write(...ONE_VOLUME.slice(0, POINT));
    all.node.frozen.set(101, true);
    all.node.end('unexpected status');
    all.node.addTask('', 'root@pam');
    all.node.indexGone = true;
    await all.advance(10_000);
    expect([all.node.thawed, all.rows()[0]?.state]).toEqual([[], 'failed']);
  });

  test('nor by somebody on purpose, while the backup did not even come to it', async () => {
    const all = await begun();
    all.node.frozen.set(101, true);
    all.node.write("ERROR: can't acquire lock '/var/run/vzdump.lock' - got timeout");
    all.node.end('unexpected status');
    await all.advance(10_000);
    expect([all.node.thawed, all.rows()[0]?.state]).toEqual([[], 'failed']);
  });

  test('nor when it was frozen for a moment only', async () => {
    const all = await begun();
    all.node.write(...ONE_VOLUME.slice(0, POINT));
    all.node.frozen.set(101, true);
    all.node.end('job errors');
    await all.advance(2500);
    all.node.frozen.set(101, false);
    await all.advance(5000);
    expect(all.node.thawed).toEqual([]);
  });
});

describe('synced beforehand', () => {
  test('once, before Proxmox is asked', async () => {
    const all = setup();
    const agent = await all.startAgent();
    const order: unknown[] = [];
    all.node.onPost = () => order.push([...all.node.synced]);
    await agent.start(101);
    await all.advance(100);
    expect(order).toEqual([[101]]);
  });

  test.each([
    ['fails', () => Promise.reject(new Error('sync: I/O error'))],
    ['hangs', () => new Promise<void>(() => {})],
  ])('a sync that %s holds nothing up for more than two seconds', async (_how, sync) => {
    const all = setup();
    const agent = await all.startAgent();
    all.node.sync = sync;
    await agent.start(101);
    await all.advance(2100);
    expect(all.node.posts).toBe(1);
  });

  test('not for a guest that is shut down for it', async () => {
    const all = setup();
    const agent = await all.startAgent();
    await agent.start(101, { mode: 'stop' });
    await all.advance(100);
    expect([all.node.synced, all.node.posts]).toEqual([[], 1]);
  });
});
