import { expect, test } from 'vitest';
import { AgentError, ownError } from '#controller/ports/agent-error';
import { idleStatus, offer } from '../fake-agent.ts';
import { app, FAILED, setup, TIMED_OUT } from './setup.ts';

const POINT = { consistency_point_at: '2026-03-01T04:00:01.000Z' };
const DONE = { phase: 'done', label: 'filesystem', finished_at: '2026-03-01T04:10:00.000Z' } as const;

/** A loop whose agent has just offered a backup and started it. */
const running = async (options?: Parameters<typeof setup>[0]) => {
  const world = setup(options);
  world.agent.due = true;
  world.begin();
  await world.clock.advance(0);
  return world;
};

test('nothing is touched while no backup is due', async () => {
  const { agent, acts, begin, clock } = setup();
  begin();
  await clock.advance(10 * 60_000);
  expect(acts).toEqual([]);
  expect(agent.calls).toEqual(Array(11).fill('GET /backup/due'));
});

test('holds after the note is on disk, lets go at the point, follows to the end', async () => {
  const { acts, agent, clock, results } = await running({ apps: [app('db'), app('wiki')] });
  expect(acts).toEqual(['mark db wiki', '/pre/db', '/pre/wiki']);
  await clock.advance(3000);
  agent.tell(POINT);
  await clock.advance(0);
  expect(acts.slice(3)).toEqual(['/post/db', '/post/wiki', 'unmark']);
  await clock.advance(3_600_000);
  agent.tell(DONE);
  await clock.advance(0);
  expect(results).toMatchObject([{ outcome: 'done', release: 'point', held_ms: 3000, label: 'filesystem', job_id: 'job-1' }]);
  expect(agent.posts).toHaveLength(1);
});

test('from the request to the release nothing is written', async () => {
  const { acts, agent, clock } = await running();
  agent.tell({ progress: 0.1 });
  await clock.advance(30_000);
  agent.tell(POINT);
  await clock.advance(0);
  expect(acts.filter((act) => act.includes('QUIET'))).toEqual([]);
});

test('posts start before anything else follows the news', async () => {
  const { acts, agent, clock, takes } = await running({ apps: [app('db'), app('wiki')] });
  takes['/post/db'] = 20_000;
  agent.tell(POINT);
  await clock.advance(0);
  expect(acts.slice(3)).toEqual(['/post/db', '/post/wiki']);
});

test.each([
  ['suspend mode', { mode: 'suspend' }, 'suspend'],
  ['stop mode', { mode: 'stop' }, 'stop'],
  ['a failure', { phase: 'failed', error: 'no space' }, 'ended'],
  ['an end without a known line', { phase: 'done' }, 'ended'],
  ['an agent that lost its jobs', { ...idleStatus }, 'job-gone'],
] as const)('%s lets go at once', async (_what, news, reason) => {
  const { agent, clock, acts, releases } = await running();
  agent.tell(news);
  await clock.advance(0);
  expect(releases()).toMatchObject([{ reason, held_ms: 0 }]);
  expect(acts).toContain('/post/db');
});

test('hold_max lets go, and the backup is followed all the same', async () => {
  const { agent, clock, releases, results } = await running();
  await clock.advance(59_999);
  expect(releases()).toEqual([]);
  await clock.advance(1);
  expect(releases()).toMatchObject([{ reason: 'deadline', held_ms: 60_000 }]);
  agent.tell({ ...POINT, ...DONE });
  await clock.advance(0);
  expect(results).toMatchObject([{ outcome: 'done', release: 'deadline' }]);
});

test('an agent that is gone in mid-hold: held no longer than hold_max, and the result is still learnt', async () => {
  const { agent, clock, releases, results } = await running();
  await clock.advance(10_000);
  agent.down = ownError('agent-unreachable');
  agent.tell({});
  await clock.advance(50_000);
  expect(releases()).toMatchObject([{ reason: 'agent-gone', held_ms: 60_000 }]);
  await clock.advance(600_000);
  agent.down = null;
  agent.tell(DONE);
  await clock.advance(60_000);
  expect(results).toMatchObject([{ outcome: 'done', release: 'agent-gone' }]);
});

test('an agent that restarts in mid-hold is asked again in time', async () => {
  const { agent, clock, releases } = await running();
  agent.down = ownError('agent-unreachable');
  agent.tell({});
  await clock.advance(5000);
  agent.down = null;
  agent.tell(POINT);
  await clock.advance(2000);
  expect(releases()).toMatchObject([{ reason: 'point' }]);
});

test.each([
  ['401', 'token-revoked'],
  ['409', 'duplicate-instance'],
])('a %s in mid-hold is no answer about the backup', async (_status, code) => {
  const { agent, clock, releases } = await running();
  agent.down = new AgentError(code, 'no');
  agent.tell({});
  await clock.advance(4000);
  agent.down = null;
  agent.tell(POINT);
  await clock.advance(2000);
  expect(releases()).toMatchObject([{ reason: 'point' }]);
});

test.each([[10_000], [40_000], [130_000]])(
  'frozen for %d ms across the deadline with the answer waiting: let go for the point',
  async (ms) => {
    const { agent, clock, releases } = await running();
    await clock.advance(55_000);
    const frozen = clock.freeze(ms);
    agent.tell(POINT);
    await frozen;
    expect(releases()).toMatchObject([{ reason: 'point' }]);
  },
);

test('frozen across the deadline and no answer: let go after the one grace', async () => {
  const { clock, releases } = await running();
  await clock.advance(55_000);
  await clock.freeze(100_000);
  expect(releases()).toEqual([]);
  await clock.advance(5000);
  expect(releases()).toMatchObject([{ reason: 'deadline' }]);
});

test('frozen, and the connection was lost with it: read once more before the deadline counts', async () => {
  const { agent, clock, releases } = await running();
  await clock.advance(55_000);
  const frozen = clock.freeze(100_000);
  agent.down = ownError('agent-unreachable');
  agent.tell(POINT);
  agent.down = null;
  await frozen;
  await clock.advance(1000);
  expect(releases()).toMatchObject([{ reason: 'point' }]);
});

test.each([
  ['fails', FAILED, 'failed'],
  ['times out', TIMED_OUT, 'timed-out'],
] as const)('a pre that %s: its post runs, the backup too, and the result names it', async (_how, result, pre) => {
  const world = setup({ apps: [app('db'), app('wiki')] });
  world.outcomes['/pre/db'] = [result];
  world.agent.due = true;
  world.begin();
  await world.clock.advance(0);
  world.agent.tell({ ...POINT, ...DONE });
  await world.clock.advance(0);
  expect(world.acts).toEqual(['mark db wiki', '/pre/db', '/pre/wiki', '/post/db', '/post/wiki', 'unmark', 'record']);
  expect(world.results).toMatchObject([
    {
      outcome: 'done',
      apps: [
        { name: 'db', pre, post: 'ok' },
        { name: 'wiki', pre: 'ok', post: 'ok' },
      ],
    },
  ]);
});

test('pres that take all the time: the rest are not held, all are let go, the backup runs unheld', async () => {
  const world = setup({ apps: [app('slow'), app('late')] });
  world.takes['/pre/slow'] = 61_000;
  world.agent.due = true;
  world.begin();
  await world.clock.advance(61_000);
  expect(world.acts).toEqual(['mark slow late', '/pre/slow', '/post/slow', 'unmark']);
  expect(world.agent.posts).toHaveLength(1);
});

test('a post that fails is tried for ever, the note stays, and the application is not held again before it is back', async () => {
  const world = await running();
  world.outcomes['/post/db'] = Array(8).fill(FAILED);
  world.agent.tell({ ...POINT, ...DONE });
  await world.clock.advance(0);
  expect(world.acts).not.toContain('unmark');
  world.agent.due = true;
  await world.clock.advance(60_000);
  expect(world.agent.posts).toHaveLength(2);
  expect(world.acts.filter((act) => act === '/pre/db')).toHaveLength(1);
  await world.clock.advance(10 * 60_000);
  expect(world.acts.filter((act) => act === '/post/db')).toHaveLength(9);
  expect(world.acts.at(-1)).toBe('unmark');
});

test('an application that comes back while a backup must see no writes: the note follows at the release', async () => {
  const world = await running({ apps: [app('db'), app('wiki')] });
  world.outcomes['/post/db'] = Array(5).fill(FAILED);
  world.agent.tell({ ...POINT, ...DONE });
  world.agent.due = true;
  await world.clock.advance(60_000);
  expect(world.agent.posts).toHaveLength(2);
  await world.clock.advance(30_000);
  expect(world.kinds().filter((kind) => kind === 'app-back')).toHaveLength(2);
  expect(world.acts.filter((act) => act.includes('QUIET'))).toEqual([]);
  expect(world.acts).not.toContain('unmark');
  world.agent.tell(POINT);
  await world.clock.advance(0);
  expect(world.acts.at(-1)).toBe('unmark');
});

test('a note that cannot be written: nothing is held, the backup runs', async () => {
  const world = setup();
  world.faults.marker = new Error('ENOSPC: no space left on device');
  world.agent.due = true;
  world.begin();
  await world.clock.advance(0);
  expect(world.acts.filter((act) => act.startsWith('/'))).toEqual([]);
  expect(world.agent.posts).toHaveLength(1);
  expect(world.kinds()).toContain('marker-failed');
});

test.each([
  ['busy', 'backup-slot-busy'],
  ['too soon', 'backup-too-soon'],
])('refused as %s: let go at once, and asked again with the next poll', async (_why, code) => {
  const world = setup();
  world.agent.due = true;
  world.agent.refusals = [new AgentError(code, 'Not now.')];
  world.begin();
  await world.clock.advance(0);
  expect(world.releases()).toMatchObject([{ reason: 'refused', held_ms: 0 }]);
  expect(world.results).toMatchObject([{ outcome: 'refused', error: 'Not now.' }]);
  await world.clock.advance(59_999);
  expect(world.agent.posts).toHaveLength(1);
  await world.clock.advance(1);
  expect(world.agent.posts).toHaveLength(2);
});

test('failures change nothing of when the agent is asked: it is the one that waits', async () => {
  const { agent, clock, acts } = await running();
  agent.tell({ phase: 'failed', error: 'no space' });
  await clock.advance(0);
  const asked = agent.calls.length;
  await clock.advance(10 * 60_000);
  expect(agent.calls.slice(asked)).toEqual(Array(10).fill('GET /backup/due'));
  expect(acts.filter((act) => act === '/pre/db')).toHaveLength(1);
});

test.each([
  ['snapshot mode without hold', { mode: 'snapshot', hold: false }],
  ['suspend mode', { mode: 'suspend', hold: true }],
  ['stop mode', { mode: 'stop', hold: true }],
  ['a mode that is not told', { mode: null, hold: true }],
] as const)('an offer of %s: nothing is held, the request goes out at once', async (_what, change) => {
  const world = setup();
  world.takes['/pre/db'] = 10_000;
  world.agent.due = true;
  world.agent.offer = { ...offer, ...change };
  world.begin();
  await world.clock.advance(0);
  expect(world.agent.posts).toHaveLength(1);
  world.agent.tell({ ...POINT, ...DONE });
  await world.clock.advance(0);
  expect(world.acts).toEqual(['record']);
  expect(world.results).toMatchObject([{ outcome: 'done', release: null, apps: [{ pre: 'not-run', post: 'not-run' }] }]);
});

/** An offer with 30 s left, by a host whose clock is a year ahead; the application takes `preMs` to get ready. */
const offered = (preMs: number) => {
  const world = setup();
  const hostTime = () => world.clock.now() + 365 * 86_400_000;
  world.takes['/pre/db'] = preMs;
  world.agent.due = true;
  world.agent.hostTime = hostTime;
  world.agent.offer = { ...offer, slot_expires_at: new Date(hostTime() + 30_000).toISOString() };
  world.begin();
  return world;
};

test('ready before the offer lapses: it is taken', async () => {
  const world = offered(27_000);
  await world.clock.advance(27_000);
  expect(world.agent.posts).toHaveLength(1);
  expect(world.releases()).toEqual([]);
});

test('ready only when the offer has lapsed: let go, not taken, and asked again with the next poll', async () => {
  const world = offered(28_500);
  await world.clock.advance(28_500);
  expect(world.acts).toEqual(['mark db', '/pre/db', '/post/db', 'unmark', 'record']);
  expect(world.releases()).toMatchObject([{ reason: 'lapsed' }]);
  expect(world.results).toMatchObject([{ outcome: 'lapsed', job_id: '', error: expect.stringContaining('longer') }]);
  expect(world.agent.posts).toEqual([]);
  world.takes['/pre/db'] = 0;
  world.agent.offer = offer;
  await world.clock.advance(60_000);
  expect(world.agent.posts).toHaveLength(1);
});

test('no pre is begun, nor let run, after the lapse', async () => {
  const world = setup({ apps: [app('db'), app('late')] });
  const hostTime = () => world.clock.now();
  world.takes['/pre/db'] = 20_000;
  world.agent.due = true;
  world.agent.hostTime = hostTime;
  world.agent.offer = { ...offer, slot_expires_at: new Date(hostTime() + 15_000).toISOString() };
  world.begin();
  await world.clock.advance(20_000);
  expect(world.timeouts).toEqual({ '/pre/db': 13_000, '/post/db': 30_000 });
  expect(world.acts).toEqual(['mark db late', '/pre/db', '/post/db', 'unmark', 'record']);
});

test('frozen while it got ready, for longer than the offer: not taken', async () => {
  const world = offered(1000);
  await world.clock.advance(0);
  await world.clock.freeze(40_000);
  expect(world.releases()).toMatchObject([{ reason: 'lapsed' }]);
  expect(world.agent.posts).toEqual([]);
});

test('an offer that lapses while the applications are let go at hold_max is not taken either', async () => {
  const world = setup();
  world.takes['/pre/db'] = 61_000;
  world.takes['/post/db'] = 20_000;
  world.agent.due = true;
  world.agent.hostTime = () => world.clock.now();
  world.agent.offer = { ...offer, slot_expires_at: new Date(world.clock.now() + 70_000).toISOString() };
  world.begin();
  await world.clock.advance(81_000);
  expect(world.releases()).toMatchObject([{ reason: 'deadline' }]);
  expect(world.results).toMatchObject([{ outcome: 'lapsed', release: 'deadline' }]);
  expect(world.agent.posts).toEqual([]);
});

test('a request whose fate is unknown is sent again under the same id', async () => {
  const world = setup();
  world.agent.due = true;
  world.agent.refusals = [ownError('agent-unreachable'), ownError('agent-answer-unreadable')];
  world.begin();
  await world.clock.advance(5000);
  expect(world.agent.posts).toHaveLength(3);
  expect(new Set(world.agent.posts.map(({ request_id }) => request_id)).size).toBe(1);
  world.agent.tell(POINT);
  await world.clock.advance(0);
  expect(world.releases()).toMatchObject([{ reason: 'point' }]);
});

test.each([
  ['names an application', { kind: 'apps', apps: ['db'] }, ['/post/db', 'unmark']],
  ['is unreadable', { kind: 'unreadable' }, ['/post/db', '/post/wiki', 'unmark']],
  ['names one that is no longer configured', { kind: 'apps', apps: ['db', 'old'] }, ['/post/db', 'mark old']],
] as const)('a start that finds a note which %s lets go first, without the agent', async (_what, marker, acts) => {
  const world = setup({ apps: [app('db'), app('wiki')], marker: marker as never });
  world.agent.down = ownError('agent-unreachable');
  world.begin();
  await world.clock.advance(0);
  expect(world.acts).toEqual(acts);
});

test('stopped in mid-hold: lets go, then ends', async () => {
  const world = setup();
  world.agent.due = true;
  const { done } = world.begin();
  await world.clock.advance(2000);
  world.stop();
  await world.clock.advance(0);
  await done;
  expect(world.releases()).toMatchObject([{ reason: 'stopping' }]);
  expect(world.acts).toEqual(['mark db', '/pre/db', '/post/db', 'unmark', 'record']);
});

test('an agent that is away is told of once, not at every poll', async () => {
  const world = setup();
  world.agent.down = ownError('agent-unreachable');
  world.begin();
  await world.clock.advance(3_600_000);
  world.agent.down = null;
  await world.clock.advance(60_000);
  expect(world.kinds()).toEqual(['agent-lost', 'agent-back']);
});

test('the loop leaves no timers behind', async () => {
  const { agent, clock } = await running();
  agent.tell({ ...POINT, ...DONE });
  await clock.advance(100 * 60_000);
  expect(clock.timers()).toBe(1);
});
