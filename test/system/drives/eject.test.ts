/** Eject, on real devices: what still uses a drive is named and keeps it; "ejected" is true; what failed is as it was. */
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import type { FelhomError } from '#shared/errors';
import { parseMountinfo } from '#shared/mountinfo';
import { type Lab, labMissing, run, withLab } from './lab.ts';
import { makeWorld, type World } from './world.ts';

// Real devices and programs: on a busy machine a test may take long.
vi.setConfig({ testTimeout: 120_000 });

const points = ({ mountRoot }: World): string[] =>
  parseMountinfo(readFileSync('/proc/self/mountinfo', 'utf8'))
    .filter(({ point, fstype }) => point.startsWith(`${mountRoot}/`) && fstype !== 'tmpfs')
    .map(({ point }) => point.slice(mountRoot.length + 1));

interface Refusal {
  code: string;
  message: string;
  dependent: readonly number[];
}

const refused = (deed: Promise<unknown>): Promise<Refusal> =>
  deed.then(
    (reply) => expect.fail(`it was not refused: ${JSON.stringify(reply)}`),
    ({ code, message, details }: FelhomError) => ({ code, message, dependent: details.dependentGuests ?? [] }),
  );

/** Mounted at both places, on record as assigned. */
const assertThere = (world: World, name = 'photos'): void => {
  expect(points(world)).toEqual([name, `.guests/101/${name}`]);
  expect(world.records.assignments()).toMatchObject([{ mountPoint: world.path(name), state: 'assigned' }]);
};

const assignOne = async (lab: Lab, world: World): Promise<{ device: string; uuid: string }> => {
  const { device } = await lab.drive({ name: 'photos', serial: 'S1', mb: 32 });
  const uuid = await lab.mkfs(device, 'ext4');
  await world.assign(uuid, 'photos');
  writeFileSync(world.path('photos/file'), 'x');
  return { device, uuid };
};

/** A process that runs until the test has seen what it wanted. */
const during = async <T>(command: readonly [string, ...string[]], act: () => Promise<T>): Promise<T> => {
  const [program, ...args] = command;
  const child = execFile(program, args);
  await new Promise((resolve) => child.stdout?.once('data', resolve));
  try {
    return await act();
  } finally {
    child.kill('SIGKILL');
    await new Promise((resolve) => child.once('exit', resolve));
  }
};

describe.skipIf(labMissing !== '')(`eject${labMissing && ` (skipped: ${labMissing})`}`, () => {
  test('an ejected drive opens exclusively, and nothing of it is left', async () => {
    await withLab(async (lab) => {
      const world = await makeWorld(lab);
      const { device, uuid } = await assignOne(lab, world);
      expect(await refused(world.eject('photos', 105))).toMatchObject({ code: 'not-assigned' });
      for (const where of ['/', '/mnt/pve/x', world.mountRoot, `${world.path('photos')}/`])
        expect(await refused(world.deeds.eject(101, { where }))).toMatchObject({ code: 'not-assigned' });
      assertThere(world);

      expect(await world.eject('photos')).toEqual({ vmid: 101, ejected: true, dependent_guests: [] });
      // O_EXCL on a block device, open(2).
      await (await open(device, 0x80 | 2)).close();
      expect(points(world)).toEqual([]);
      expect(existsSync(world.path('photos'))).toBe(false);
      expect(existsSync(join(world.mountRoot, '.guests/101/photos'))).toBe(false);
      expect(world.records.assignments()).toEqual([]);
      expect(world.records.drives().find(({ serial }) => serial === 'S1')?.owner).toMatchObject({ vmid: 101 });
      expect((await world.audit()).at(-1)).toMatchObject({ who: 'guest 101', what: 'drive-ejected' });
      // It stays the guest's own.
      expect(await refused(world.assign(uuid, 'photos', { vmid: 105 }))).toMatchObject({ code: 'not-yours' });
      expect(await world.assign(uuid, 'again')).toMatchObject({ uuid });
      expect(readFileSync(world.path('again/file'), 'utf8')).toBe('x');
    });
  });

  test('whoever would lose something is named, and nothing is unmounted', async () => {
    await withLab(async (lab) => {
      const world = await makeWorld(lab);
      await assignOne(lab, world);
      const folder = join(world.guests.configDir, 'nodes/pve1');
      const original = readFileSync(join(folder, 'lxc/105.conf'), 'utf8');
      const photos = world.path('photos');

      const withConfig = async (file: string, text: string): Promise<Refusal> => {
        const path = join(folder, file);
        const before = existsSync(path) ? readFileSync(path, 'utf8') : '';
        writeFileSync(path, text);
        const seen = await refused(world.eject('photos'));
        writeFileSync(path, before);
        return seen;
      };
      expect(await withConfig('lxc/105.conf', `${original}mp0: ${photos}/sub,mp=/photos\n`)).toMatchObject({
        code: 'drive-in-use',
        message: expect.stringContaining('guest 105 (mp0)'),
        dependent: [105],
      });
      expect(await withConfig('qemu-server/106.conf', `scsi1: ${photos}/disk.raw,size=1G\n`)).toMatchObject({ dependent: [106] });

      mkdirSync(join(world.guests.configDir, 'mapping'));
      writeFileSync(join(world.guests.configDir, 'mapping/directory.cfg'), `shared\n\tmap node=pve1,path=${photos}\n`);
      expect(await withConfig('qemu-server/107.conf', 'virtiofs0: shared\n')).toMatchObject({ dependent: [107] });
      writeFileSync(join(world.guests.configDir, 'mapping/directory.cfg'), '');
      writeFileSync(join(folder, 'qemu-server/107.conf'), '');

      const storages = join(world.guests.configDir, 'storage.cfg');
      const before = readFileSync(storages, 'utf8');
      writeFileSync(storages, `${before}dir: onphotos\n\tpath ${photos}\n\tcontent iso\n`);
      expect(await withConfig('lxc/105.conf', `${original}mp0: onphotos:105/vm-105-disk-0.raw,mp=/x\n`)).toMatchObject({
        message: expect.stringContaining('storage "onphotos"'),
        dependent: [105],
      });
      writeFileSync(storages, before);

      const script = `cd ${photos} && echo ready && exec sleep 60`;
      const used = await during(['/bin/sh', '-c', script], () => refused(world.eject('photos')));
      expect(used).toMatchObject({ code: 'drive-in-use', message: expect.stringContaining('"sleep" on the server') });
      assertThere(world);
      expect(await world.eject('photos')).toMatchObject({ ejected: true });
    });
  });

  test('a copy of the mount that stays behind keeps the drive: it is put back, and not called ejected', async () => {
    await withLab(async (lab) => {
      const world = await makeWorld(lab);
      await assignOne(lab, world);
      // Of this lab only: those of tests beside it go as they should.
      const unshare: [string, ...string[]] = ['/usr/bin/unshare', '--mount', '--propagation', 'slave', '/bin/sh', '-c'];
      const kept = await during([...unshare, `mount --make-rprivate ${world.mountRoot} && echo ready && exec sleep 60`], () =>
        refused(world.eject('photos')),
      );
      expect(kept.code).toBe('drive-in-use');
      expect(kept.message).toContain('where only it sees it');
      expect(kept.message).toContain('do not unplug it');
      assertThere(world);
      expect(readFileSync(world.path('photos/file'), 'utf8')).toBe('x');

      const elsewhere = world.path('copy');
      mkdirSync(elsewhere);
      await run('mount', '--bind', world.path('photos'), elsewhere);
      expect((await refused(world.eject('photos'))).message).toContain(`the server, which has it mounted at ${elsewhere} too`);
      await run('umount', elsewhere);
      assertThere(world);
      expect(await world.eject('photos')).toMatchObject({ ejected: true });
    });
  });
});
