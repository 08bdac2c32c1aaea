import { expect, test } from 'vitest';
import { AgentError, ownError } from '#controller/ports/agent-error';
import { idleStatus, offer } from '../fake-agent.ts';
import { app, MOUNTS, place, setup } from './setup.ts';

const POINT = { consistency_point_at: '2026-03-01T04:00:01.000Z', one_instant: true };
const DONE = { phase: 'done', label: 'filesystem', finished_at: '2026-03-01T04:10:00.000Z' } as const;

/** A loop whose agent has just offered a backup and started it. */
const running = async (options?: Parameters<typeof setup>[0]) => {
  const world = setup(options);
  world.agent.due = true;
  world.begin();
  await world.clock.advance(0);
  return world;
};

/** A loop that is about to ask an agent that offers. */
const setupDue = () => {
  const world = setup();
  world.agent.due = true;
  return { ...world, ...world.begin() };
};

test('nothing is touched while no backup is due', async () => {
  const { agent, acts, begin, clock } = setup();
  begin();
  await clock.advance(10 * 60_000);
  expect(acts).toEqual([]);
  expect(agent.calls).toEqual(Array(11).fill('GET /backup/due'));
});

test('makes ready, holds, starts, lets go at the point, says how it was, follows to the end', async () => {
  const { acts, agent, clock, results, quiesced } = await running({ apps: [app('db'), app('wiki')] });
  expect(acts).toEqual(['prepare', 'hold db wiki']);
  expect(quiesced.asked).toEqual([
    { verb: 'prepare', apps: [], within_ms: 150_000 },
    { verb: 'hold', apps: ['db', 'wiki'], hold_expected_ms: 3000, flush: false },
  ]);
  expect(agent.posts).toMatchObject([{ intends: ['db', 'wiki'] }]);
  await clock.advance(3000);
  agent.tell(POINT);
  await clock.advance(0);
  expect(acts.slice(2)).toEqual(['check', 'release', 'close']);
  expect(agent.reports).toEqual([
    {
      job_id: 'job-1',
      apps: ['db', 'wiki'].map((name) => ({ app: name, held: true, held_ms: 3000, covered: true })),
    },
  ]);
  await clock.advance(3_600_000);
  agent.tell({ ...DONE, label: 'app' });
  await clock.advance(0);
  expect(results).toMatchObject([
    {
      outcome: 'done',
      release: 'point',
      held_ms: 3000,
      label: 'app',
      job_id: 'job-1',
      apps: [{ name: 'db', adapter: 'command', kind: 'command-app', held: true, held_ms: 3000, ok: true, why: '' }, {}],
    },
  ]);
  expect(agent.posts).toHaveLength(1);
});

test('from the request to the release nothing is written, in log or file', async () => {
  const { acts, agent, clock, isQuiet } = await running();
  expect(isQuiet()).toBe(true);
  agent.tell({ progress: 0.1 });
  await clock.advance(30_000);
  expect(isQuiet()).toBe(true);
  agent.tell(POINT);
  await clock.advance(0);
  expect(isQuiet()).toBe(false);
  agent.tell(DONE);
  await clock.advance(0);
  expect(acts.at(-1)).toBe('record');
});

test('the connection is free for others as soon as nothing is held, however long the copy takes', async () => {
  const { acts, agent, clock, results } = await running();
  agent.tell(POINT);
  await clock.advance(3_600_000);
  expect(acts.at(-1)).toBe('close');
  expect(results).toEqual([]);
});

test('a check that is never answered: let go after two seconds, and nothing is claimed', async () => {
  const { acts, agent, clock, quiesced, results } = await running();
  quiesced.takes.check = 600_000;
  agent.tell({ ...POINT, ...DONE });
  await clock.advance(1999);
  expect(acts.at(-1)).toBe('check');
  await clock.advance(1);
  expect(acts.slice(2)).toEqual(['check', 'release', 'close', 'record']);
  expect(agent.reports).toMatchObject([{ apps: [{ app: 'db', held: false, covered: true }] }]);
  expect(results).toMatchObject([{ apps: [{ ok: false, code: 'hold-lost' }] }]);
});

test('the host was making another backup already: held and let go, and never said to count', async () => {
  const { agent, clock, results } = await running();
  agent.tell({ ...POINT, ...DONE, intends: [] });
  agent.reportFailures = [new AgentError('held-too-late', 'No.')];
  await clock.advance(0);
  expect(results).toMatchObject([{ outcome: 'done', apps: [{ ok: false, code: 'other-backup', held: true }] }]);
});

test('the host never heard how the applications were: they do not count', async () => {
  const { agent, clock, results } = await running();
  agent.tell({ ...POINT, ...DONE });
  agent.reportFailures = [new AgentError('held-too-late', 'No.')];
  await clock.advance(0);
  expect(results).toMatchObject([{ outcome: 'done', apps: [{ ok: false, code: 'not-told' }] }]);
});

test('an application that takes long to come back keeps no report waiting for long', async () => {
  const { agent, clock, quiesced, events, acts } = await running();
  quiesced.takes.release = 60_000;
  agent.tell({ ...POINT, ...DONE });
  await clock.advance(10_000);
  expect(agent.reports).toMatchObject([{ apps: [{ app: 'db', held: true, held_ms: 10_000 }] }]);
  expect(acts).not.toContain('close');
  quiesced.notBack.db = 'exit status 1';
  await clock.advance(50_000);
  expect(events).toContainEqual(
    expect.objectContaining({ kind: 'released', not_back: [expect.objectContaining({ app: 'db' })] }),
  );
  expect(acts.slice(-2)).toEqual(['close', 'record']);
});

test('the report is sent again where nobody knows whether it was heard, until 20 s after the point', async () => {
  const { agent, clock, kinds } = await running();
  agent.reportFailures = Array.from({ length: 100 }, () => ownError('agent-unreachable'));
  agent.tell(POINT);
  await clock.advance(60_000);
  expect(agent.reports.length).toBe(20);
  expect(kinds()).toContain('report-failed');
});

test.each([['not-found'], ['held-too-late']])('an agent that answers the report with %s is not asked again', async (code) => {
  const { agent, clock, results } = await running();
  agent.reportFailures = [new AgentError(code, 'No.')];
  agent.tell({ ...POINT, ...DONE });
  await clock.advance(60_000);
  expect(agent.reports).toHaveLength(1);
  expect(results).toMatchObject([{ outcome: 'done' }]);
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
  expect(acts.slice(2, 4)).toEqual(['release', 'close']);
  expect(agent.reports).toEqual([]);
});

test('the end of the lease lets go, and the backup is followed all the same', async () => {
  const { agent, clock, releases, results } = await running();
  await clock.advance(59_999);
  expect(releases()).toEqual([]);
  await clock.advance(1);
  expect(releases()).toMatchObject([{ reason: 'deadline', held_ms: 60_000 }]);
  agent.tell({ ...POINT, ...DONE });
  await clock.advance(0);
  expect(results).toMatchObject([{ outcome: 'done', release: 'deadline' }]);
});

test('an agent that is gone in mid-hold: held no longer than the lease, and the result is still learnt', async () => {
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

test('one that cannot be made ready, one that cannot be held: the other is held, the backup runs, and each says why', async () => {
  const world = setup({ apps: [app('sick', { ok: false, kind: null, error: 'no such socket' }), app('slow'), app('db')] });
  world.quiesced.holdErrors.slow = 'it took longer than 5 s';
  world.agent.due = true;
  world.begin();
  await world.clock.advance(0);
  expect(world.acts).toEqual(['prepare', 'hold slow db']);
  expect(world.agent.posts).toMatchObject([{ intends: ['sick', 'slow', 'db'] }]);
  world.agent.tell({ ...POINT, ...DONE });
  await world.clock.advance(0);
  expect(world.results).toMatchObject([
    {
      outcome: 'done',
      apps: [
        { name: 'sick', ok: false, code: 'not-ready', why: 'no such socket' },
        { name: 'slow', ok: false, code: 'not-held', why: 'it took longer than 5 s' },
        { name: 'db', ok: true },
      ],
    },
  ]);
});

test.each([
  ['does not listen', (world: ReturnType<typeof setup>) => Object.assign(world.quiesced, { down: true }), []],
  [
    'is busy',
    ({ quiesced }: ReturnType<typeof setup>) =>
      Object.assign(quiesced.refuse, { prepare: [{ code: 'busy', error: 'Not now.' }] }),
    ['db'],
  ],
  [
    'refuses quiesce.yaml',
    ({ quiesced }: ReturnType<typeof setup>) =>
      Object.assign(quiesced.refuse, { prepare: [{ code: 'config', error: 'It is not owned by root.' }] }),
    ['db'],
  ],
  ['has no application', ({ quiesced }: ReturnType<typeof setup>) => Object.assign(quiesced, { apps: [] }), []],
] as const)(
  'a felhom-quiesced that %s: nothing is held, the backup runs, what could be named is',
  async (_what, change, intends) => {
    const world = setup();
    change(world);
    world.agent.due = true;
    world.begin();
    await world.clock.advance(0);
    expect(world.acts.join()).not.toContain('hold');
    expect(world.agent.posts).toMatchObject([{ intends }]);
    world.agent.tell({ ...POINT, ...DONE });
    await world.clock.advance(0);
    expect(world.acts).not.toContain('release');
    expect(world.results).toMatchObject([{ outcome: 'done', release: null, held_ms: null }]);
    expect(world.results[0]?.apps.every(({ ok }) => !ok)).toBe(true);
  },
);

const LAST_TIME = { apps: [], remembered: [{ name: 'db', adapter: 'postgres' }] };

test.each<[string, (world: ReturnType<typeof setup>) => void]>([
  ['nobody listens', ({ quiesced }) => Object.assign(quiesced, { down: true })],
  [
    'quiesce.yaml cannot be used',
    ({ quiesced }) => {
      quiesced.refuse.prepare = [{ code: 'config', error: 'It is not owned by root.' }];
      quiesced.configError = 'It is not owned by root.';
    },
  ],
  ['the host wants no hold', ({ agent }) => Object.assign(agent, { offer: { ...offer, hold: false } })],
])('%s, and this program has just started: the applications of the last backup are named', async (_what, change) => {
  const world = setup(LAST_TIME);
  change(world);
  world.agent.due = true;
  world.begin();
  await world.clock.advance(0);
  expect(world.agent.posts).toMatchObject([{ intends: ['db'] }]);
  world.agent.tell({ ...POINT, ...DONE });
  await world.clock.advance(0);
  expect(world.agent.reports).toMatchObject([{ apps: [{ app: 'db', held: false }] }]);
  expect(world.results).toMatchObject([{ apps: [{ name: 'db', adapter: 'postgres', ok: false, code: 'not-ready' }] }]);
});

test('an application that quiesce.yaml no longer names is forgotten', async () => {
  const world = setup(LAST_TIME);
  world.agent.due = true;
  world.begin();
  await world.clock.advance(0);
  expect(world.agent.posts).toMatchObject([{ intends: [] }]);
  world.agent.tell({ ...POINT, ...DONE });
  world.quiesced.down = true;
  world.agent.due = true;
  await world.clock.advance(60_000);
  expect(world.agent.posts[1]).toMatchObject({ intends: [] });
});

test('the lease cannot be made durable: nothing is held, what needs no hold counts all the same', async () => {
  const world = setup({ apps: [app('db', { kind: 'postgres' }), app('wiki')] });
  world.quiesced.refuse.hold = [{ code: 'lease', error: 'no space left on device' }];
  world.agent.due = true;
  world.begin();
  await world.clock.advance(0);
  world.agent.tell({ ...POINT, ...DONE });
  await world.clock.advance(0);
  expect(world.acts).toEqual(['prepare', 'hold wiki', 'check', 'close', 'record']);
  expect(world.agent.reports).toMatchObject([
    {
      apps: [
        { app: 'db', held: true, held_ms: 0, covered: true },
        { app: 'wiki', held: false },
      ],
    },
  ]);
});

test('felhom-quiesced dies while it holds: the backup goes on, and nothing is claimed', async () => {
  const { agent, clock, quiesced, results } = await running();
  quiesced.cut();
  await clock.advance(5000);
  agent.tell({ ...POINT, ...DONE });
  await clock.advance(0);
  expect(agent.reports).toMatchObject([{ apps: [{ app: 'db', held: false }] }]);
  expect(results).toMatchObject([{ outcome: 'done', apps: [{ ok: false, code: 'hold-lost' }] }]);
});

test('a hold that is never answered: the connection is closed, and the backup runs', async () => {
  const { acts, agent, clock, quiesced } = setupDue();
  quiesced.takes.hold = 3_600_000;
  await clock.advance(90_000);
  expect(acts).toEqual(['prepare', 'hold db', 'close']);
  expect(agent.posts).toHaveLength(1);
});

test('what needs no hold is not held, and is looked at when the data is fixed', async () => {
  const { acts, agent, clock, results } = await running({ apps: [app('db', { kind: 'postgres' })] });
  expect(acts).toEqual(['prepare']);
  await clock.advance(120_000);
  agent.tell({ ...POINT, ...DONE });
  await clock.advance(0);
  expect(acts).toEqual(['prepare', 'check', 'close', 'record']);
  expect(agent.reports).toMatchObject([{ apps: [{ app: 'db', held: true, held_ms: 0, covered: true }] }]);
  expect(results).toMatchObject([{ release: null, held_ms: null, apps: [{ ok: true, held: false, held_ms: null }] }]);
});

test('data outside of the backup is never called covered, however well it was held', async () => {
  const world = await running({ apps: [app('db', { data: [{ ...place('/mnt/db'), mount_point: '/mnt', device: '8:9' }] })] });
  world.agent.tell({ ...POINT, ...DONE });
  await world.clock.advance(0);
  expect(world.agent.reports).toMatchObject([{ apps: [{ held: true, covered: false }] }]);
  expect(world.results).toMatchObject([{ apps: [{ consistent: true, covered: false, ok: false, code: 'not-covered' }] }]);
});

test.each<[string, (world: ReturnType<typeof setup>) => void, object]>([
  [
    'the host left its volume out after it was made ready',
    ({ agent }) => {
      agent.coverage = agent.coverage?.map((one) => ({ ...one, state: 'excluded' as const, reason: 'It is left out.' })) ?? null;
    },
    { covered: false, why: expect.stringContaining('It is left out') },
  ],
  [
    'something was mounted over it after it was made ready',
    ({ world }) => {
      world.mounts = [...MOUNTS, { ...(MOUNTS[0] as (typeof MOUNTS)[0]), id: '9', parent: '1', device: '0:50', point: '/srv' }];
    },
    { covered: false, why: expect.stringContaining('something else was mounted') },
  ],
  [
    'the host does not say it a second time',
    ({ agent }) => {
      agent.coverage = null;
    },
    { covered: false, why: expect.stringContaining('could not be found out') },
  ],
])('data that was in the backup, and %s: not covered', async (_what, change, expected) => {
  const world = await running();
  change(world);
  world.agent.tell({ ...POINT, ...DONE });
  await world.clock.advance(8000);
  expect(world.agent.reports).toMatchObject([{ apps: [{ held: true, covered: false }] }]);
  expect(world.results).toMatchObject([{ apps: [{ code: 'not-covered', ok: false, ...expected }] }]);
});

test('an agent that restarts at the cut is asked once more what it backs up', async () => {
  const { agent, clock } = await running();
  const { coverage } = agent;
  agent.coverage = null;
  agent.tell({ ...POINT, ...DONE });
  await clock.advance(3000);
  agent.coverage = coverage;
  await clock.advance(1000);
  expect(agent.reports).toMatchObject([{ apps: [{ held: true, covered: true }] }]);
});

test.each([[3600], [null]])('what the host knew of the backup %s seconds ago is no evidence', async (age) => {
  const world = setup();
  world.agent.coverageAge = age;
  world.agent.due = true;
  world.begin();
  await world.clock.advance(0);
  world.agent.tell({ ...POINT, ...DONE });
  await world.clock.advance(8000);
  expect(world.results).toMatchObject([{ apps: [{ covered: false, why: expect.stringContaining('cannot read') }] }]);
});

test('an agent that does not say what it backs up: held all the same, never called covered', async () => {
  const world = setup();
  world.agent.coverage = null;
  world.agent.due = true;
  world.begin();
  await world.clock.advance(0);
  expect(world.acts).toEqual(['prepare', 'hold db']);
  world.agent.tell({ ...POINT, ...DONE });
  await world.clock.advance(0);
  expect(world.agent.reports).toMatchObject([{ apps: [{ held: true, covered: false }] }]);
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
  expect(acts.filter((act) => act === 'prepare')).toHaveLength(1);
});

test.each([
  ['snapshot mode without hold', { mode: 'snapshot', hold: false }],
  ['suspend mode', { mode: 'suspend', hold: true }],
  ['stop mode', { mode: 'stop', hold: true }],
  ['a mode that is not told', { mode: null, hold: true }],
] as const)('an offer of %s: nothing is held, the request goes out at once', async (_what, change) => {
  const world = setup();
  world.quiesced.takes.prepare = 10_000;
  world.agent.due = true;
  world.agent.offer = { ...offer, ...change };
  world.begin();
  await world.clock.advance(0);
  expect(world.agent.posts).toHaveLength(1);
  world.agent.tell({ ...POINT, ...DONE });
  await world.clock.advance(0);
  expect(world.acts).toEqual(['record']);
  expect(world.results).toMatchObject([{ outcome: 'done', release: null, apps: [] }]);
});

/** An offer with 60 s left, by a host whose clock is a year ahead; the application takes `prepareMs` to get ready. */
const offered = (prepareMs: number) => {
  const world = setup();
  const hostTime = () => world.clock.now() + 365 * 86_400_000;
  world.quiesced.takes.prepare = prepareMs;
  world.agent.due = true;
  world.agent.hostTime = hostTime;
  world.agent.offer = { ...offer, slot_expires_at: new Date(hostTime() + 60_000).toISOString() };
  world.begin();
  return world;
};

test('ready before the offer lapses: it is taken', async () => {
  const world = offered(30_000);
  await world.clock.advance(30_000);
  expect(world.quiesced.asked).toMatchObject([{ verb: 'prepare', within_ms: 38_000 }, { verb: 'hold' }]);
  expect(world.agent.posts).toHaveLength(1);
  expect(world.releases()).toEqual([]);
});

test('not ready shortly before the offer lapses: taken all the same, with nothing held', async () => {
  const world = offered(3_600_000);
  await world.clock.advance(53_000);
  expect(world.acts).toEqual(['prepare', 'status', 'close']);
  expect(world.agent.posts).toMatchObject([{ intends: ['db'] }]);
});

test('held only when the offer has lapsed: let go, not taken, and asked again with the next poll', async () => {
  const world = offered(0);
  world.quiesced.takes.hold = 57_999;
  await world.clock.advance(0);
  await world.clock.freeze(59_000);
  expect(world.acts.slice(0, 3)).toEqual(['prepare', 'hold db', 'release']);
  expect(world.releases()).toMatchObject([{ reason: 'lapsed' }]);
  expect(world.results).toMatchObject([{ outcome: 'lapsed', job_id: '', error: expect.stringContaining('longer') }]);
  expect(world.agent.posts).toEqual([]);
  world.quiesced.takes = {};
  world.agent.offer = offer;
  await world.clock.advance(60_000);
  expect(world.agent.posts).toHaveLength(1);
});

test('frozen while it got ready, for longer than the offer: not taken', async () => {
  const world = offered(1000);
  await world.clock.advance(0);
  await world.clock.freeze(70_000);
  expect(world.releases()).toMatchObject([{ reason: 'lapsed' }]);
  expect(world.agent.posts).toEqual([]);
});

test('a lease that is over before the request: let go, and the backup runs with nothing held', async () => {
  const world = setup();
  world.quiesced.leftMs = 0;
  world.agent.due = true;
  world.begin();
  await world.clock.advance(0);
  expect(world.acts).toEqual(['prepare', 'hold db', 'release', 'close']);
  expect(world.releases()).toMatchObject([{ reason: 'deadline' }]);
  expect(world.agent.posts).toHaveLength(1);
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

test('stopped while it lets go after the cut: the host is told all the same', async () => {
  const { agent, clock, quiesced, stop } = await running();
  quiesced.takes.release = 5000;
  agent.tell(POINT);
  await clock.advance(1000);
  stop();
  await clock.advance(4000);
  expect(agent.reports).toMatchObject([{ apps: [{ app: 'db', held: true, covered: true }] }]);
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
  expect(world.acts).toEqual(['prepare', 'hold db', 'release', 'close', 'record']);
});

test.each([['prepare'], ['hold']] as const)(
  'stopped in the middle of %s: the connection is closed, and it ends',
  async (verb) => {
    const { clock, quiesced, acts, done, stop } = setupDue();
    quiesced.takes[verb] = 10_000;
    await clock.advance(1000);
    stop();
    await clock.advance(0);
    await done;
    expect(acts).toContain('close');
    expect(acts).not.toContain('release');
  },
);

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
