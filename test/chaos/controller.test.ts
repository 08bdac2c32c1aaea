import { existsSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { afterEach, expect, test } from 'vitest';
import { cleanUp, TOKEN } from '../contract/controller-agent.ts';
import { makeWorld, pause, until } from './controller-world.ts';

const POINT = { consistency_point_at: '2026-03-01T04:00:01.000Z' };
const DONE = { phase: 'done', label: 'filesystem', finished_at: new Date().toISOString() } as const;

afterEach(cleanUp);

const held = async (options?: Parameters<typeof makeWorld>[0]) => {
  const world = await makeWorld(options);
  const controller = world.run();
  await until('held and requested', () => !world.isRunning() && world.lead.posts.length === 1);
  return { world, controller };
};

test('a backup from the offer to its end; SIGTERM then ends with 0; status says it', async () => {
  const { world, controller } = await held();
  expect(world.hasMarker()).toBe(true);
  world.lead.tell(POINT);
  await until('back', () => world.isRunning() && !world.hasMarker());
  world.lead.tell(DONE);
  await until('recorded', () => existsSync(world.at('state/last.json')));
  expect(JSON.parse(readFileSync(world.at('state/last.json'), 'utf8'))).toMatchObject({ outcome: 'done', release: 'point' });
  const status = world.launch(['status', '--json']);
  await expect(status.exit).resolves.toBe(1);
  expect(status.out()).not.toContain(TOKEN);
  expect(JSON.parse(status.out())).toMatchObject({
    backup: { known: true },
    controller: { value: { loop: controller.child.pid } },
  });
  controller.child.kill('SIGTERM');
  await expect(controller.exit).resolves.toBe(0);
  expect(world.appLog()).toEqual(['pre', 'post']);
  expect(existsSync(world.at('state/lock'))).toBe(false);
});

test('kill -9 while it holds: the next start lets go first, without the agent', async () => {
  const { world, controller } = await held();
  controller.child.kill('SIGKILL');
  await controller.exit;
  expect(world.isRunning()).toBe(false);
  await world.server.close();
  const next = world.run();
  await until('back', () => world.isRunning() && !world.hasMarker());
  expect(world.appLog()).toEqual(['pre', 'post']);
  expect(next.log()).toContain('an earlier run ended while it held app');
});

test('kill -9 in the middle of pre: the same', async () => {
  const world = await makeWorld({ pre: 'sleep 2' });
  const controller = world.run();
  await until('in pre', () => world.appLog().includes('pre'));
  controller.child.kill('SIGKILL');
  await controller.exit;
  world.lead.due = false;
  world.run();
  await until('back', () => world.isRunning() && !world.hasMarker());
});

test('SIGTERM while it holds: lets go, then ends with 0', async () => {
  const { world, controller } = await held();
  controller.child.kill('SIGTERM');
  await expect(controller.exit).resolves.toBe(0);
  expect(world.isRunning()).toBe(true);
  expect(world.hasMarker()).toBe(false);
});

test('the agent dies while it holds: back by hold_max', async () => {
  const { world, controller } = await held({ holdMax: '2s' });
  const since = Date.now();
  await world.server.close();
  await until('back', () => world.isRunning(), 5000);
  expect(Date.now() - since).toBeLessThan(3000);
  expect(controller.log()).toContain('the agent was not reachable for the rest of the time to hold');
});

test('frozen past hold_max with the answer waiting: let go for the point, not for the deadline', async () => {
  const { world, controller } = await held({ holdMax: '3s' });
  await pause(300);
  controller.child.kill('SIGSTOP');
  world.lead.tell(POINT);
  await pause(5500);
  controller.child.kill('SIGCONT');
  await until('back', () => world.isRunning());
  await until('told', () => controller.log().includes('letting go'));
  expect(controller.log()).toContain('the data in the archive is fixed');
  expect(controller.log()).not.toContain('the longest time to hold was reached');
});

test('nobody reads the log any more: let go at the point all the same, and goes on', async () => {
  const { world, controller } = await held();
  controller.child.stderr?.destroy();
  world.lead.tell(POINT);
  await until('back', () => world.isRunning() && !world.hasMarker());
  world.lead.tell(DONE);
  await until('recorded', () => existsSync(world.at('state/last.json')));
  controller.child.kill('SIGTERM');
  await expect(controller.exit).resolves.toBe(0);
});

test('a pre that hangs: its whole process group is ended, post runs, the backup too', async () => {
  const pre = "trap '' TERM; sleep 300 & echo $! > $D/pid; wait; sleep 300";
  const world = await makeWorld({ pre, preTimeout: '500ms' });
  world.run();
  await until('requested', () => world.lead.posts.length === 1);
  const pid = Number(readFileSync(world.at('pid'), 'utf8'));
  const alive = () => existsSync(`/proc/${pid}/stat`) && !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  expect(alive()).toBe(false);
  world.lead.tell(POINT);
  await until('back', () => world.isRunning());
});

test('a second loop is refused with a sentence; a dead one leaves no lock behind', async () => {
  const { world, controller } = await held();
  const second = world.run();
  await expect(second.exit).resolves.toBe(1);
  expect(second.log()).toMatch(/Another felhom-controller \(process \d+\) works on .* already\./);
  expect(world.appLog()).toEqual(['pre']);
  controller.child.kill('SIGKILL');
  await controller.exit;
  world.run();
  await until('back', () => world.isRunning());
});

test('a corrupt note counts as open for every application', async () => {
  const world = await makeWorld();
  world.lead.due = false;
  await writeFile(world.at('state/hold.json'), '{"apps":');
  world.run();
  await until('let go', () => world.appLog().includes('post') && !world.hasMarker());
});
