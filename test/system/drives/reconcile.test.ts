/** What keeps an assignment true, on real devices: what is missing comes back, what is not meant goes, what is wrong is said. */
import { execFile } from 'node:child_process';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { systemClock } from '#agent/ports/clock';
import { createSysfs, type Sysfs } from '#agent/ports/sysfs';
import type { Clock } from '#shared/clock';
import { type Mount, parseMountinfo } from '#shared/mountinfo';
import { type Lab, type LabDrive, labMissing, outcome, run, withLab } from './lab.ts';
import { makeWorld, type Over, type World } from './world.ts';

// Real devices and programs: on a busy machine a test may take long.
vi.setConfig({ testTimeout: 120_000 });

const mounts = ({ mountRoot }: World): Mount[] =>
  parseMountinfo(readFileSync('/proc/self/mountinfo', 'utf8')).filter(
    ({ point, fstype }) => point.startsWith(`${mountRoot}/`) && fstype !== 'tmpfs',
  );

/** Both places, with what they are mounted from. */
const places = (world: World): [string, string][] =>
  mounts(world).map(({ point, source }) => [point.slice(world.mountRoot.length + 1), source]);

const both = (device: string): [string, string][] => [
  ['photos', device],
  ['.guests/101/photos', device],
];

/** Devices in `gone` are there no more, as the kernel tells it; time can be let pass. */
const stage = () => {
  const gone = new Set<string>();
  const real = createSysfs();
  let passed = 0;
  const clock: Clock = { ...systemClock, monotonic: () => systemClock.monotonic() + passed };
  const sysfs: Sysfs = { ...real, kernelDevices: async () => (await real.kernelDevices()).filter(({ name }) => !gone.has(name)) };
  return {
    gone,
    pass: (ms: number) => {
      passed += ms;
    },
    over: { clock, sysfs } satisfies Over,
  };
};

const assignOne = async (lab: Lab, world: World): Promise<{ drive: LabDrive; uuid: string }> => {
  const drive = await lab.drive({ name: 'photos', serial: 'S1', mb: 32 });
  const uuid = await lab.mkfs(drive.device, 'ext4');
  await world.assign(uuid, 'photos');
  writeFileSync(world.path('photos/file'), 'x');
  return { drive, uuid };
};

const raised = (world: World): string[] => [...world.problems.keys()].sort();

/** A process somewhere, until it is ended. */
const start = async (...command: [string, ...string[]]) => {
  const [program, ...args] = command;
  const child = execFile(program, args);
  await new Promise((resolve) => child.stdout?.once('data', resolve));
  return async () => {
    child.kill('SIGKILL');
    await new Promise((resolve) => child.once('exit', resolve));
  };
};

describe.skipIf(labMissing !== '')(`reconcile${labMissing && ` (skipped: ${labMissing})`}`, () => {
  test('a drive that is pulled and plugged in again comes back, also while somebody still uses the dead mount', async () => {
    await withLab(async (lab) => {
      const { gone, pass, over } = stage();
      const world = await makeWorld(lab, { over: { ...over, guestOf: async () => 101 } });
      const { drive } = await assignOne(lab, world);
      await world.deeds.tick();
      expect(raised(world)).toEqual([]);

      const copied = await start(
        '/usr/bin/unshare',
        '-m',
        '--propagation',
        'slave',
        '/bin/sh',
        '-c',
        `mount --make-rprivate ${world.mountRoot} && echo ready && exec sleep 60`,
      );
      const inside = await start('/bin/sh', '-c', `cd ${world.path('photos')} && echo ready && exec sleep 60`);
      gone.add(drive.name);
      world.current.changed();
      await world.deeds.tick();
      expect(places(world)).toEqual([]);
      expect(raised(world)).toEqual(['drive-mount-dead 101']);
      expect(await outcome('touch', world.path('photos/x'))).toMatchObject({
        exit: 1,
        stderr: expect.stringContaining('not permitted'),
      });
      pass(40_000);
      await world.deeds.tick();
      expect(raised(world)).toEqual(['drive-missing 101', 'drive-mount-dead 101']);

      await inside();
      await copied();
      await lab.detach(drive);
      const again = await lab.attach(drive.file, drive.spec);
      gone.clear();
      pass(70_000);
      world.current.changed();
      await world.deeds.tick();
      expect(places(world)).toEqual(both(again.device));
      expect(readFileSync(world.path('photos/file'), 'utf8')).toBe('x');
      expect(raised(world)).toEqual([]);
    });
  });

  test('what was unmounted is mounted again, after a restart of the agent too, and in another enclosure', async () => {
    await withLab(async (lab) => {
      const world = await makeWorld(lab);
      const { drive } = await assignOne(lab, world);
      await run('umount', join(world.mountRoot, '.guests/101/photos'));
      await world.deeds.tick();
      expect(places(world)).toEqual(both(drive.device));

      for (const point of [join(world.mountRoot, '.guests/101/photos'), world.path('photos')]) await run('umount', point);
      await run('chattr', '-i', world.path('photos'));
      await lab.detach(drive);
      await world.deeds.tick();
      expect(places(world)).toEqual([]);
      expect(await outcome('touch', world.path('photos/x'))).toMatchObject({ exit: 1 });

      const before = world.records.assignments()[0];
      const moved = await lab.attach(drive.file, { ...drive.spec, serial: 'DOCK' });
      const next = await world.restarted();
      await next.deeds.tick();
      expect(places(next)).toEqual(both(moved.device));
      expect(next.records.assignments()).toMatchObject([{ match: { serial: 'photos_DOCK' }, state: 'assigned' }]);
      expect(next.records.assignments()[0]?.link).not.toBe(before?.link);
      expect(await next.eject('photos')).toMatchObject({ ejected: true });
    });
  });

  test('what is mounted there from anything else is cut off', async () => {
    await withLab(async (lab) => {
      const world = await makeWorld(lab);
      const { drive, uuid } = await assignOne(lab, world);
      const other = await lab.drive({ name: 'other', serial: 'S2', mb: 32 });
      await lab.mkfs(other.device, 'ext4');
      const foreign = await lab.drive({ name: 'foreign', serial: 'S3', mb: 32 });
      await run('mkfs.ext4', '-q', '-F', '-U', uuid, foreign.device);
      await lab.detach(foreign);
      const layer = await run('losetup', '--find', '--show', foreign.file);
      lab.loopDrives.splice(lab.loopDrives.indexOf(foreign.file), 1);

      for (const evil of [other.device, layer]) {
        for (const point of [join(world.mountRoot, '.guests/101/photos'), world.path('photos')]) await run('umount', point);
        await run('mount', evil, world.path('photos'));
        world.current.changed();
        await world.deeds.tick();
        expect(places(world)).toEqual([]);
        expect(raised(world)).toEqual(['drive-not-mounted 101']);
        await world.deeds.tick();
        expect(places(world)).toEqual(both(drive.device));
        await world.deeds.tick();
        expect(raised(world)).toEqual([]);
      }
      await run('losetup', '-d', layer);
    });
  });

  test('a guest that has only the number of the owner sees nothing of the drive', async () => {
    await withLab(async (lab) => {
      const world = await makeWorld(lab);
      const { drive } = await assignOne(lab, world);
      await world.deeds.tick();
      const config = readFileSync(join(world.guests.configDir, 'nodes/pve1/lxc/101.conf'), 'utf8');
      world.guests.writeConfig(101, config.replace(/hwaddr=\S+?,/, 'hwaddr=BC:24:11:99:99:99,'));
      await world.current.fresh();
      await world.deeds.tick();
      expect(places(world)).toEqual([]);
      expect(raised(world)).toEqual(['drive-not-mounted 101']);
      world.guests.writeConfig(101, config);
      await world.current.fresh();
      await world.deeds.tick();
      expect(places(world)).toEqual(both(drive.device));
    });
  });

  test('where directories cannot be protected, and where a mount fails, that is said', async () => {
    await withLab(async (lab) => {
      const { pass, over } = stage();
      let tries = 0;
      const world = await makeWorld(lab, { over });
      // ramfs has no attributes (chattr(1)).
      await run('mount', '-t', 'ramfs', '-o', 'mode=0755', 'none', world.mountRoot);
      const { drive } = await assignOne(lab, world);
      for (const point of [join(world.mountRoot, '.guests/101/photos'), world.path('photos')]) await run('umount', point);
      expect(statSync(world.path('photos')).mode & 0o7777).toBe(0);
      const mount = async () => {
        tries += 1;
        throw new Error('bad superblock');
      };
      const next = await world.restarted({ ...over, mounts: { ...world.ports.mounts, mount } });
      for (const ms of [0, 1_000, 5_000, 5_000, 5_000, 16_000]) {
        pass(ms);
        await next.deeds.tick();
      }
      expect(tries).toBe(3);
      expect(raised(next)).toEqual(['drive-not-mounted 101', 'mount-point-unprotected 101']);
      await lab.undo(() => run('umount', '--recursive', world.mountRoot));
      expect(drive.name).toMatch(/^loop/);
    });
  });
});
