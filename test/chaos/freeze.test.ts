/** The whole guest stands still around the cut, for seconds or for minutes: what was held is let go for the point, and counts. */
import { mkdir } from 'node:fs/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { cleanUp, later } from '../contract/controller-agent.ts';
import type { Engine } from '../engines/engine.ts';
import { redisWith } from '../engines/redis.ts';
import { sqlite } from '../engines/sqlite.ts';
import { makeWorld, pause, until } from './controller-world.ts';
import { cgroupFreezer, type Freezer, hasFreezer, signalFreezer } from './freezer.ts';

afterEach(cleanUp);

const SOAK = process.env.FELHOM_SOAK === '1';
const HOLD_MAX_MS = 6000;
/** Shorter than the lease, about as long, and longer. */
const LENGTHS_MS = SOAK ? [10_000, 40_000, 130_000] : [2500, 6500, 9000];
const WORLDS = SOAK ? 20 : 5;
const FREEZES_EACH = SOAK ? 10 : 4;

/** When the guest stands still, as the agent sees it. */
const MOMENTS = {
  'before the point': async (freeze: () => Promise<void>, point: () => void) => {
    await pause(400);
    await freeze();
    point();
  },
  'with the answer on its way': async (freeze: () => Promise<void>, point: () => void) => {
    await pause(300);
    point();
    await freeze();
  },
  'at once': async (freeze: () => Promise<void>, point: () => void) => {
    await freeze();
    await pause(100);
    point();
  },
} as const;
type Moment = keyof typeof MOMENTS;

const redis = redisWith(true);

/** A guest with a service that is a file, a database of SQLite and, where there is one, a Redis with a log. */
const makeGuest = async () => {
  const world = await makeWorld({ holdMax: '6s' });
  const { quiesced } = world;
  const engines: Engine[] = [];
  const apps = [quiesced.fileApp('app')] as Record<string, unknown>[];
  for (const kind of [sqlite, redis]) {
    if (kind.lacks() !== null) continue;
    const [data, run] = [quiesced.at(`${kind.name}-data`), quiesced.at(`${kind.name}-run`)];
    for (const directory of [data, run]) await mkdir(directory);
    const engine = await kind.start({ data, run });
    later(() => engine.kill());
    await engine.commit(1);
    engines.push(engine);
    apps.push({ name: kind.name, ...engine.entry, hold: 'always' });
  }
  await quiesced.writeConfig({ apps, holdMax: '6s' });
  world.lead.due = false;
  const controller = world.run();
  const pids = () => [
    controller.child.pid as number,
    quiesced.main(),
    ...quiesced.children().map(({ pid }) => pid),
    ...engines.map(({ pid }) => pid),
  ];
  return { world, controller, engines, names: apps.map(({ name }) => name as string), pids };
};

/** One backup with one freeze. Answers what is wrong; empty: nothing. */
const freezeOnce = async (
  { world, controller, engines, names }: Awaited<ReturnType<typeof makeGuest>>,
  freezer: Freezer,
  moment: Moment,
  lengthMs: number,
  row: number,
): Promise<string> => {
  const { lead, quiesced } = world;
  const [posts, reports] = [lead.posts.length, lead.reports.length];
  const logged = controller.log().length;
  lead.due = true;
  await until('requested', () => lead.posts.length > posts, 60_000);
  const heldByThen = !quiesced.isRunning('app');
  let frozenAt = 0;
  const freeze = async () => {
    freezer.freeze();
    frozenAt = performance.now();
  };
  const point = () =>
    lead.tell({ consistency_point_at: new Date().toISOString(), one_instant: true, frozen_seconds: Math.round(lengthMs / 1000) });
  await MOMENTS[moment](freeze, point);
  await pause(lengthMs - (performance.now() - frozenAt));
  freezer.thaw();
  const thawedAt = performance.now();
  await until('reported', () => lead.reports.length > reports, 15_000).catch((error) => {
    throw new Error(`${moment} ${lengthMs}: ${error}\n${controller.log().slice(logged)}\n${quiesced.log()}`);
  });
  await until('back', () => quiesced.isRunning('app'), 5000);
  const backMs = performance.now() - thawedAt;
  await Promise.all(engines.map((engine) => engine.commit(row)));
  lead.tell({ phase: 'done', label: 'app', finished_at: new Date().toISOString() });
  await until('ended', () => controller.log().slice(logged).includes('the backup is done'), 10_000);
  const log = controller.log().slice(logged);
  const report = lead.reports.at(-1)?.apps ?? [];
  return [
    heldByThen ? '' : 'it was not held before',
    log.includes('the data in the archive is fixed') ? '' : `not let go for the point:\n${log}`,
    ...names.map((name) => {
      const one = report.find(({ app }) => app === name);
      return one?.held === true ? '' : `${name} does not count: ${JSON.stringify(one)}\n${log}`;
    }),
    backMs <= 5000 ? '' : `back ${backMs} ms after the thaw`,
  ]
    .filter((line) => line !== '')
    .map((line) => `${moment}, ${lengthMs} ms: ${line}`)
    .join('\n');
};

describe('freezes around the cut', () => {
  test(
    `${WORLDS * FREEZES_EACH} of them, up to ${Math.max(...LENGTHS_MS) / 1000} s: no false expiry`,
    async () => {
      const moments = Object.keys(MOMENTS) as Moment[];
      const played = Array.from({ length: WORLDS }, async (_none, index) => {
        const guest = await makeGuest();
        const freezer = hasFreezer && index % 2 === 0 ? cgroupFreezer(guest.pids) : signalFreezer(guest.pids);
        later(async () => freezer.remove());
        const wrong: string[] = [];
        for (let turn = 0; turn < FREEZES_EACH; turn++) {
          const nth = index * FREEZES_EACH + turn;
          const moment = moments[nth % moments.length] as Moment;
          const lengthMs = LENGTHS_MS[Math.floor(nth / moments.length) % LENGTHS_MS.length] as number;
          wrong.push(await freezeOnce(guest, freezer, moment, lengthMs, 2 + turn));
        }
        return wrong;
      });
      const wrong = (await Promise.all(played)).flat().filter((line) => line !== '');
      expect(wrong).toEqual([]);
    },
    SOAK ? 3_600_000 : 180_000,
  );

  test('a freeze that the host knows nothing of excuses no hold that has ended meanwhile', async () => {
    const { world, controller, pids } = await makeGuest();
    const freezer = signalFreezer(() => pids().slice(0, 1));
    later(async () => freezer.remove());
    world.lead.due = true;
    await until('requested', () => world.lead.posts.length === 1);
    // Only the controller stands still: the lease ends without it, and the applications write again.
    freezer.freeze();
    await until('back by the deadline', () => world.quiesced.isRunning('app'), HOLD_MAX_MS + 5000);
    world.lead.tell({ consistency_point_at: new Date().toISOString(), one_instant: true, frozen_seconds: 60 });
    freezer.thaw();
    await until('reported', () => world.lead.reports.length === 1, 15_000);
    expect(world.lead.reports[0]?.apps.find(({ app }) => app === 'app')).toMatchObject({ held: false });
    expect(controller.log()).toContain('the data in the archive is fixed');
  }, 60_000);
});
