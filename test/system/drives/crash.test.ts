/** The agent killed between any two steps of assign and eject: what the next one finds is ended or undone, and nothing is left half. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { createDeeds, type Deeds, type DeedsPorts } from '#agent/disks/deeds/deeds';
import type { Look } from '#agent/disks/known/current';
import { loadRecords, type Records } from '#agent/disks/known/records';
import { parseMountinfo } from '#shared/mountinfo';
import { labMissing, withLab } from './lab.ts';
import { makeWorld, type World } from './world.ts';

// Real devices and programs: on a busy machine a test may take long.
vi.setConfig({ testTimeout: 120_000 });

const KILLED = 'the agent was killed';

/** What changes something outside the process, by port. */
const STEPS = {
  records: ['setOwner', 'saveAssignment', 'setAssignmentState', 'removeAssignment'],
  store: ['write'],
  mounts: ['keep', 'drop', 'mount', 'show', 'unmount', 'cutOff'],
  directories: ['make', 'protect', 'remove'],
  guests: ['prepare'],
  check: ['exclusive', 'flush'],
} as const satisfies { [Port in keyof DeedsPorts]?: readonly string[] };

/** The same ports until the step `at`; from then on nothing is done any more, as after `kill -9`. */
const dying = (ports: DeedsPorts, at: number): DeedsPorts => {
  let step = 0;
  const wrapped = <Port extends object>(port: Port, names: readonly string[]): Port => {
    const mortal = { ...port } as Record<string, unknown>;
    for (const name of names) {
      const real = mortal[name] as (...args: unknown[]) => unknown;
      mortal[name] = (...args: unknown[]) => {
        step += 1;
        return step >= at ? Promise.reject(new Error(KILLED)) : real(...args);
      };
    }
    return mortal as Port;
  };
  const run: DeedsPorts['run'] = async (name, args, timeoutMs) => {
    if (name !== 'stat') step += 1;
    if (step >= at) throw new Error(KILLED);
    return ports.run(name, args, timeoutMs);
  };
  const entries = Object.entries(STEPS).map(([name, steps]) => [name, wrapped(ports[name as keyof typeof STEPS], steps)]);
  return { ...ports, run, ...(Object.fromEntries(entries) as Pick<DeedsPorts, keyof typeof STEPS>) };
};

interface Stage {
  world: World;
  /** The drive is looked at once; what is on record of it is always as it is now. */
  start(over?: (ports: DeedsPorts) => DeedsPorts): Promise<{ deeds: Deeds; records: Records }>;
  points(): string[];
  /** Neither mount, nor directory, nor row, nor owner; and the drive is free. */
  assertNothing(records: Records): Promise<void>;
  assertAssigned(records: Records): void;
}

const makeStage = (world: World, look: Look, device: string): Stage => {
  const points = (): string[] =>
    parseMountinfo(readFileSync('/proc/self/mountinfo', 'utf8'))
      .filter(({ point, fstype }) => point.startsWith(`${world.mountRoot}/`) && fstype !== 'tmpfs')
      .map(({ point }) => point.slice(world.mountRoot.length + 1));
  return {
    world,
    points,
    start: async (over = (ports) => ports) => {
      const records = await loadRecords({ store: world.store, clock: world.ports.clock });
      const inventory = () => {
        const { conclude } = world;
        const found = conclude(look.evidence);
        const record = (id: number | undefined) => records.drives().find((one) => one.id === id) ?? null;
        return { ...found, drives: found.drives.map((drive) => ({ ...drive, record: record(drive.record?.id) })) };
      };
      const current: DeedsPorts['current'] = {
        fresh: async () => inventory(),
        inventory: async () => ({ inventory: inventory(), ageMs: 0 }),
        last: () => ({ ...look, inventory: inventory() }),
        changed: () => undefined,
      };
      const check = { ...world.ports.check, users: async () => [] };
      const ports = { ...world.ports, records, current, check, inUse: { holders: async () => [] } };
      return { deeds: createDeeds(over(ports)), records };
    },
    assertNothing: async (records) => {
      expect(points()).toEqual([]);
      expect(readdirSync(world.mountRoot).filter((name) => name !== '.guests')).toEqual([]);
      expect(existsSync(join(world.mountRoot, '.guests/101/photos'))).toBe(false);
      expect(records.assignments()).toEqual([]);
      // O_EXCL, open(2).
      await (await open(device, 0x80 | 2)).close();
    },
    assertAssigned: (records) => {
      expect(points()).toEqual(['photos', '.guests/101/photos']);
      expect(records.assignments()).toMatchObject([{ state: 'assigned' }]);
    },
  };
};

const withStage = (use: (stage: Stage, body: { uuid: string; where: string; fstype: string }) => Promise<void>): Promise<void> =>
  withLab(async (lab) => {
    const world = await makeWorld(lab);
    const { device } = await lab.drive({ name: 'photos', serial: 'S1', mb: 32 });
    const uuid = await lab.mkfs(device, 'ext4');
    await world.current.fresh();
    const look = world.current.last();
    if (look === null) throw new Error('nothing was seen');
    await use(makeStage(world, look, device), { uuid, where: world.path('photos'), fstype: 'ext4' });
  });

const MOST = 40;

describe.skipIf(labMissing !== '')(`killed between two steps${labMissing && ` (skipped: ${labMissing})`}`, () => {
  test('of an assign: undone at the next start, ownership too', async () => {
    await withStage(async (stage, body) => {
      let at = 1;
      for (; at < MOST; at += 1) {
        const mortal = await stage.start((ports) => dying(ports, at));
        const ended = await mortal.deeds.assign(101, body).then(
          () => true,
          () => false,
        );
        if (ended) break;
        const { deeds, records } = await stage.start();
        await deeds.tick();
        await stage.assertNothing(records);
        expect(records.drives().filter(({ owner }) => owner !== null)).toEqual([]);
      }
      expect(at).toBeGreaterThan(10);
      stage.assertAssigned((await stage.start()).records);
    });
  });

  test('of an eject: as it was before, or gone altogether', async () => {
    await withStage(async (stage, body) => {
      const ends = new Set<string>();
      let at = 1;
      for (; at < MOST; at += 1) {
        const { deeds, records } = await stage.start();
        if (records.assignments().length === 0) await deeds.assign(101, body);
        const mortal = await stage.start((ports) => dying(ports, at));
        const ended = await mortal.deeds.eject(101, body).then(
          () => true,
          () => false,
        );
        if (ended) break;
        const next = await stage.start();
        await next.deeds.tick();
        if (next.records.assignments().length === 0) await stage.assertNothing(next.records);
        else stage.assertAssigned(next.records);
        ends.add(next.records.assignments().length === 0 ? 'gone' : 'as before');
      }
      expect(at).toBeGreaterThan(8);
      expect(ends).toContain('as before');
      await stage.assertNothing((await stage.start()).records);
    });
  });
});
