import { existsSync, readFileSync } from 'node:fs';
import { afterEach, expect, test } from 'vitest';
import { cleanUp, TOKEN } from '../contract/controller-agent.ts';
import { makeWorld, pause, until } from './controller-world.ts';

const POINT = { consistency_point_at: '2026-03-01T04:00:01.000Z', one_instant: true };
const DONE = { phase: 'done', label: 'app', finished_at: new Date().toISOString() } as const;

afterEach(cleanUp);

type World = Awaited<ReturnType<typeof makeWorld>>;
const recorded = (world: World) => until('recorded', () => existsSync(world.at('controller/last.json')));
const held = async (options?: Parameters<typeof makeWorld>[0]) => {
  const world = await makeWorld(options);
  const controller = world.run();
  await until('held and requested', () => !world.isRunning() && world.lead.posts.length === 1);
  return { world, controller };
};

test('a backup from the offer to its end; SIGTERM then ends with 0; status says it', async () => {
  const { world, controller } = await held();
  expect(JSON.parse(world.lead.posts[0] ?? '')).toMatchObject({ intends: ['app'] });
  world.lead.tell(POINT);
  await until('back and told', () => world.isRunning() && world.lead.reports.length === 1);
  expect(world.lead.reports).toEqual([{ apps: [{ app: 'app', held: true, held_ms: expect.any(Number), covered: true }] }]);
  world.lead.tell(DONE);
  await recorded(world);
  expect(world.last()).toMatchObject({
    outcome: 'done',
    release: 'point',
    label: 'app',
    apps: [{ name: 'app', kind: 'command-app', held: true, ok: true }],
  });
  const status = world.launch(['status', '--json']);
  await expect(status.exit).resolves.toBe(1);
  expect(status.out()).not.toContain(TOKEN);
  expect(JSON.parse(status.out())).toMatchObject({
    backup: { known: true },
    controller: { value: { loop: controller.child.pid } },
    quiesced: { value: { apps: [{ name: 'app', adapter: 'command' }], lease: null, not_back: [] } },
  });
  controller.child.kill('SIGTERM');
  await expect(controller.exit).resolves.toBe(0);
  expect(world.appLog()).toEqual(['pre', 'post']);
  expect(existsSync(world.at('controller/lock'))).toBe(false);
});

test('kill -9 while it holds: let go at once, by felhom-quiesced', async () => {
  const { world, controller } = await held();
  controller.child.kill('SIGKILL');
  const since = Date.now();
  await until('back', () => world.isRunning(), 5000);
  expect(Date.now() - since).toBeLessThan(2000);
  await controller.exit;
  // It says so after it runs again.
  await until('post', () => world.appLog().length > 1);
  expect(world.appLog()).toEqual(['pre', 'post']);
});

test('kill -9 in the middle of the hold: the same', async () => {
  const world = await makeWorld({ app: { pre: 'sleep 2' } });
  const controller = world.run();
  await until('in pre', () => world.appLog().includes('pre'));
  controller.child.kill('SIGKILL');
  await until('back', () => world.isRunning());
});

test('felhom-quiesced dies while it holds: let go by its next start; the backup goes on, and nothing is claimed', async () => {
  const { world } = await held();
  process.kill(world.quiesced.main(), 'SIGKILL');
  await until('back', () => world.isRunning());
  world.lead.tell(POINT);
  await until('told', () => world.lead.reports.length === 1);
  expect(world.lead.reports).toMatchObject([{ apps: [{ app: 'app', held: false }] }]);
  world.lead.tell({ ...DONE, label: 'crash' });
  await recorded(world);
  expect(world.last()).toMatchObject({ outcome: 'done', apps: [{ ok: false, code: 'hold-lost' }] });
});

test('no felhom-quiesced at all: nothing is held, the backup runs', async () => {
  const world = await makeWorld();
  const { ended } = { ended: world.quiesced.main() };
  process.kill(ended, 'SIGTERM');
  await until('gone', () => !world.quiesced.isUp());
  const controller = world.run();
  await until('requested', () => world.lead.posts.length === 1);
  expect(world.isRunning()).toBe(true);
  world.lead.tell({ ...POINT, ...DONE, label: 'filesystem' });
  await recorded(world);
  expect(controller.log()).toContain('no application is held for this backup: felhom-quiesced cannot be reached');
  expect(world.last()).toMatchObject({ outcome: 'done', apps: [], quiesce_error: expect.stringContaining('cannot be reached') });
});

test('SIGTERM while it holds: lets go, then ends with 0', async () => {
  const { world, controller } = await held();
  controller.child.kill('SIGTERM');
  await expect(controller.exit).resolves.toBe(0);
  expect(world.isRunning()).toBe(true);
  expect(world.appLog()).toEqual(['pre', 'post']);
});

test('the agent dies while it holds: back by the end of the lease', async () => {
  const { world, controller } = await held({ holdMax: '2s' });
  const since = Date.now();
  await world.server.close();
  await until('back', () => world.isRunning(), 5000);
  expect(Date.now() - since).toBeLessThan(3000);
  await until('told', () => controller.log().includes('the agent was not reachable for the rest of the time to hold'));
});

test('frozen with the answer waiting: let go for the point, not for the deadline', async () => {
  const { world, controller } = await held({ holdMax: '3s' });
  await pause(300);
  controller.child.kill('SIGSTOP');
  world.lead.tell(POINT);
  await pause(5500);
  controller.child.kill('SIGCONT');
  await until('told', () => world.lead.reports.length === 1);
  // Only the controller stood still, so felhom-quiesced has let go at the lease's end: nothing may be claimed.
  expect(world.lead.reports).toMatchObject([{ apps: [{ held: false }] }]);
  expect(world.isRunning()).toBe(true);
  expect(controller.log()).not.toContain('the longest time to hold was reached');
});

test('nobody reads the log any more: let go at the point all the same, and goes on', async () => {
  const { world, controller } = await held();
  controller.child.stderr?.destroy();
  world.lead.tell(POINT);
  await until('back', () => world.isRunning());
  world.lead.tell(DONE);
  await recorded(world);
  controller.child.kill('SIGTERM');
  await expect(controller.exit).resolves.toBe(0);
});

test('a pre that hangs: its whole process group is ended, post runs, the backup too', async () => {
  const world = await makeWorld({
    app: { pre: "trap '' TERM; sleep 300 & echo $! > $D/pid; wait; sleep 300", hold_timeout: '500ms' },
  });
  world.run();
  await until('requested', () => world.lead.posts.length === 1);
  const pid = Number(readFileSync(world.at('pid'), 'utf8'));
  const alive = () => existsSync(`/proc/${pid}/stat`) && !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  await until('its group is gone', () => !alive());
  world.lead.tell(POINT);
  await until('back', () => world.isRunning());
  await until('told', () => world.lead.reports.length === 1);
  expect(world.lead.reports).toMatchObject([{ apps: [{ held: false }] }]);
});

test('a second loop is refused with a sentence; a dead one leaves no lock behind', async () => {
  const { world, controller } = await held();
  const second = world.run();
  await expect(second.exit).resolves.toBe(1);
  expect(second.log()).toMatch(/Another felhom-controller \(process \d+\) works on .* already\./);
  expect(world.appLog()).toEqual(['pre']);
  controller.child.kill('SIGKILL');
  await controller.exit;
  const next = world.run();
  await until('started', () => next.log().includes('started'));
});

test('quiesce test holds, lets go and says how long; status says what there is; refused while a backup has it', async () => {
  const world = await makeWorld();
  const tried = world.launch(['quiesce', 'test']);
  await expect(tried.exit).resolves.toBe(0);
  expect(tried.out()).toMatch(/app\s+command-app\s+held for 0\.\d s\s+is held\s+yes/);
  expect(world.appLog()).toEqual(['pre', 'post']);
  const status = world.launch(['quiesce', 'status', '--json']);
  await expect(status.exit).resolves.toBe(0);
  expect(JSON.parse(status.out())).toMatchObject({ apps: [{ name: 'app' }], lease: null, exit_status: 0 });
  world.run();
  await until('held', () => !world.isRunning() && world.lead.posts.length === 1);
  const busy = world.launch(['quiesce', 'test', '--json']);
  await expect(busy.exit).resolves.toBe(1);
  expect(JSON.parse(busy.out())).toMatchObject({ error: { code: 'busy' }, exit_status: 1 });
  expect(world.appLog()).toEqual(['pre', 'post', 'pre']);
});

test('quiesce test with data that no backup includes: says so, and ends with 2', async () => {
  const world = await makeWorld({ app: { data: ['/proc'] } });
  const tried = world.launch(['quiesce', 'test', '--json']);
  await expect(tried.exit).resolves.toBe(2);
  expect(JSON.parse(tried.out())).toMatchObject({
    apps: [{ name: 'app', held: true, covered: false, ok: false, code: 'not-covered' }],
  });
});
