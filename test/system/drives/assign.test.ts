/** Assign, on real devices: what is mounted, by which options, for whom; what is refused leaves nothing behind. */
import { execFile } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { open as openFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test, vi } from 'vitest';
import type { FelhomError } from '#shared/errors';
import { type Mount, parseMountinfo } from '#shared/mountinfo';
import { kernelMounts, type Lab, type LabFilesystem, labMissing, outcome, run, withLab } from './lab.ts';
import { makeWorld, type World } from './world.ts';

// Real devices and programs: on a busy machine a test may take long.
vi.setConfig({ testTimeout: 120_000 });

const exec = promisify(execFile);

/** Everything that is mounted below the mount root, without the guests' own directories. */
const mountsOf = ({ mountRoot }: World): Mount[] =>
  parseMountinfo(readFileSync('/proc/self/mountinfo', 'utf8')).filter(
    ({ point, fstype }) => point.startsWith(`${mountRoot}/`) && fstype !== 'tmpfs',
  );

const refused = (deed: Promise<unknown>): Promise<{ code: string; message: string }> =>
  deed.then(
    (reply) => expect.fail(`it was not refused: ${JSON.stringify(reply)}`),
    ({ code, message }: FelhomError) => ({ code, message }),
  );

/** Nothing below the mount root but the guests' directories. */
const untouched = (world: World): void => {
  expect(mountsOf(world)).toEqual([]);
  expect(readdirSync(world.mountRoot).filter((name) => name !== '.guests')).toEqual([]);
  expect(world.records.assignments()).toEqual([]);
};

const driveWith = async (
  lab: Lab,
  name: string,
  fstype: LabFilesystem = 'ext4',
  options = {},
): Promise<{ uuid: string; device: string }> => {
  const { device } = await lab.drive({
    name,
    serial: `SERIAL-${name}`,
    mb: fstype === 'xfs' ? 320 : fstype === 'btrfs' ? 128 : 32,
  });
  return { device, uuid: await lab.mkfs(device, fstype, options) };
};

describe.skipIf(labMissing !== '')(`assign${labMissing && ` (skipped: ${labMissing})`}`, () => {
  test('a free drive is mounted twice, with options of the agent’s own, and becomes the guest’s', async () => {
    await withLab(async (lab) => {
      const world = await makeWorld(lab);
      const { uuid, device } = await driveWith(lab, 'photos', 'ext4', { args: ['-e', 'continue'] });
      // The same UUID on what a guest could have made: neither a duplicate, nor ever mounted instead.
      writeFileSync(join(lab.dir, 'twin.img'), '');
      await run('truncate', '-s', '32M', join(lab.dir, 'twin.img'));
      const foreign = await run('losetup', '--find', '--show', join(lab.dir, 'twin.img'));
      await run('mkfs.ext4', '-q', '-F', '-U', uuid, '-L', 'EVIL', foreign);

      const reply = await world.assign(uuid, 'photos', { options: 'noatime' });
      expect(reply).toMatchObject({ vmid: 101, uuid, where: world.path('photos'), guest_path: '' });
      expect(reply.note).toContain('is mounted on the server');

      const mounts = mountsOf(world);
      expect(mounts.map(({ point, source }) => [point, source])).toEqual([
        [world.path('photos'), device],
        [join(world.mountRoot, '.guests/101/photos'), device],
      ]);
      for (const { options } of mounts)
        for (const option of ['nosuid', 'nodev', 'noatime', 'errors=remount-ro']) expect(options).toContain(option);
      expect(world.records.assignments()).toMatchObject([{ vmid: 101, uuid, state: 'assigned', fstype: 'ext4' }]);
      expect(world.records.drives().find(({ serial }) => serial === 'SERIAL-photos')?.owner).toMatchObject({ vmid: 101 });
      expect((await world.audit()).map(({ who, what }) => `${who} ${what}`)).toEqual([
        'guest 101 drive-taken',
        'guest 101 drive-assigned',
      ]);

      // Asked again it says the same; asked otherwise it says where it is.
      expect(await world.assign(uuid.toUpperCase(), 'photos', { options: 'noatime' })).toMatchObject({
        where: world.path('photos'),
      });
      expect(await refused(world.assign(uuid, 'other'))).toMatchObject({
        code: 'mount-point-refused',
        message: expect.stringContaining(world.path('photos')),
      });
      expect(await refused(world.assign(uuid, 'photos', { options: 'ro' }))).toMatchObject({ code: 'mount-point-refused' });
      expect(mountsOf(world)).toHaveLength(2);

      // It is nobody else's, whatever is asked; and a guest that has only the number is another guest.
      expect(await refused(world.assign(uuid, 'photos', { vmid: 105 }))).toMatchObject({ code: 'not-yours' });
      expect(await refused(world.assign(uuid, 'mine', { vmid: 105 }))).toMatchObject({ code: 'not-yours' });
      world.guests.writeConfig(101, 'arch: amd64\nhostname: new\nnet0: name=eth0,hwaddr=BC:24:11:99:99:99\nunprivileged: 1\n');
      expect(await refused(world.assign(uuid, 'photos', { options: 'noatime' }))).toMatchObject({ code: 'drive-unknown-owner' });
      await run('losetup', '-d', foreign);

      // Nothing can be written where it is not mounted.
      for (const point of [join(world.mountRoot, '.guests/101/photos'), world.path('photos')]) {
        await run('umount', point);
        expect(statSync(point).mode & 0o7777).toBe(0);
        expect(await outcome('touch', join(point, 'x'))).toMatchObject({
          exit: 1,
          stderr: expect.stringContaining('not permitted'),
        });
      }
    });
  });

  test('what is not the guest’s to have is refused, and nothing is mounted', async () => {
    await withLab(async (lab) => {
      const world = await makeWorld(lab);
      const backup = await driveWith(lab, 'backup');
      const system = await driveWith(lab, 'system');
      const free = await driveWith(lab, 'free');
      const twin = await driveWith(lab, 'twin');
      await lab.mount(backup.device, join(lab.dir, 'usb'));
      await lab.mount(system.device, join(lab.dir, 'srv'));
      writeFileSync(join(world.guests.configDir, 'storage.cfg'), `dir: usb\n\tpath ${lab.dir}/usb\n\tcontent backup\n`);
      await lab.attach(join(lab.dir, 'twin.img'), { name: 'twin', serial: 'SERIAL-twin' });
      // A loop device that is no drive of this host.
      await run('truncate', '-s', '32M', join(lab.dir, 'layer.img'));
      const layer = await run('losetup', '--find', '--show', join(lab.dir, 'layer.img'));
      await run('mkfs.ext4', '-q', '-F', '-U', '11111111-2222-3333-4444-555555555555', layer);

      const codeOf = async (...given: Parameters<World['assign']>) => (await refused(world.assign(...given))).code;
      expect(await codeOf(backup.uuid, 'a')).toBe('drive-protected');
      expect(await codeOf(system.uuid, 'a')).toBe('drive-protected');
      expect(await codeOf('11111111-2222-3333-4444-555555555555', 'a')).toBe('drive-not-found');
      expect(await codeOf(twin.uuid, 'a')).toBe('drive-ambiguous');
      expect(await codeOf(free.uuid, 'a', { vmid: 105 })).toBe('not-yours');
      expect(await codeOf(free.uuid, 'a', { fstype: 'xfs' })).toBe('filesystem-not-supported');
      expect(await codeOf(free.uuid, 'a', { fstype: 'ntfs' })).toBe('filesystem-not-supported');
      await run('losetup', '-d', layer);
      untouched(world);
      expect(world.records.drives().filter(({ owner }) => owner !== null)).toEqual([]);

      // Where a source is missing nothing is anybody's.
      await run('mv', join(world.guests.configDir, 'local'), join(lab.dir, 'local'));
      expect(await codeOf(free.uuid, 'a')).toBe('drive-protected');
      await run('mv', join(lab.dir, 'local'), join(world.guests.configDir, 'local'));
      // A guest that has the whole mount root could put links into it.
      world.guests.writeConfig(105, `arch: amd64\nmp0: ${world.mountRoot},mp=/drives\n`);
      expect(await codeOf(free.uuid, 'a')).toBe('mount-failed');
      untouched(world);
    });
  });

  test('a drive that is in use is refused, and whoever uses it is named', async () => {
    await withLab(async (lab) => {
      const world = await makeWorld(lab);
      const open = await driveWith(lab, 'open');
      const hidden = await driveWith(lab, 'hidden');
      const whyNot = async (uuid: string) => refused(world.assign(uuid, 'a'));

      const handle = await openFile(open.device, 'r');
      const seen = await whyNot(open.uuid);
      await handle.close();
      expect(seen).toEqual({ code: 'drive-in-use', message: expect.stringContaining(`Process ${process.pid} `) });

      mkdirSync(join(lab.dir, 'private'));
      const script = `mount ${hidden.device} ${lab.dir}/private && echo ready && exec sleep 60`;
      const private_ = execFile('/usr/bin/unshare', ['--mount', '--propagation', 'slave', '/bin/sh', '-c', script]);
      await new Promise((resolve) => private_.stdout?.once('data', resolve));
      const kept = await whyNot(hidden.uuid);
      private_.kill('SIGKILL');
      await new Promise((resolve) => private_.once('exit', resolve));
      expect(kept.code).toMatch(/^drive-(in-use|protected)$/);
      expect(kept.message).toContain(`${lab.dir}/private`);
      untouched(world);
    });
  });

  test('the guest’s root can write to what it is given, whatever its file system', async () => {
    await withLab(async (lab) => {
      const world = await makeWorld(lab);
      for (const fstype of ['ext4', 'xfs', 'btrfs'] as const) {
        if (!(await kernelMounts(fstype))) continue;
        const { uuid } = await driveWith(lab, fstype, fstype);
        await world.assign(uuid, fstype, { fstype });
        const as = ['--reuid', '100000', '--regid', '100000', '--clear-groups'];
        await exec('/usr/bin/setpriv', [...as, 'touch', world.path(`${fstype}/file`)]);
        expect(statSync(world.path(`${fstype}/file`)).uid).toBe(100_000);
        expect(await world.eject(fstype)).toMatchObject({ ejected: true });
      }
      untouched(world);
    });
  });

  test('two file systems of one drive are assigned one after the other, and a root directory of the guest’s own is left alone', async () => {
    await withLab(async (lab) => {
      const world = await makeWorld(lab);
      const drive = await lab.drive({ name: 'two', serial: 'S2' });
      const [one = '', two = ''] = await lab.partition(drive, 'label: gpt\n,20M\n,\n');
      const uuids = [await lab.mkfs(one, 'ext4'), await lab.mkfs(two, 'ext4', { args: ['-E', 'root_owner=100033:100033'] })];
      await world.assign(uuids[0] ?? '', 'one', { options: 'ro' });
      await world.assign(uuids[1] ?? '', 'two');
      expect(statSync(world.path('one')).uid).toBe(0);
      expect(statSync(world.path('two')).uid).toBe(100_033);
      expect(mountsOf(world).find(({ point }) => point === world.path('one'))?.options).toContain('ro');
      // They go together: a drive is pulled out as a whole.
      expect(await world.eject('one')).toMatchObject({ ejected: true });
      untouched(world);
    });
  });

  test('a place that is taken, or that others could lead elsewhere, is refused', async () => {
    await withLab(async (lab) => {
      const world = await makeWorld(lab);
      const { uuid } = await driveWith(lab, 'photos');
      mkdirSync(join(world.path('taken'), 'dir'), { recursive: true });
      expect(await refused(world.assign(uuid, 'taken'))).toMatchObject({ code: 'mount-point-refused' });
      await lab.mount('none', world.path('foreign'), '-t', 'tmpfs');
      expect(await refused(world.assign(uuid, 'foreign'))).toMatchObject({ code: 'mount-point-refused' });
      await run('umount', world.path('foreign'));
      await run('chmod', '0777', world.mountRoot);
      expect(await refused(world.assign(uuid, 'photos'))).toMatchObject({ code: 'mount-failed' });
      await run('chmod', '0755', world.mountRoot);
      expect(world.records.assignments()).toEqual([]);
      expect(world.records.drives().filter(({ owner }) => owner !== null)).toEqual([]);
      expect(await world.assign(uuid, 'photos')).toMatchObject({ uuid });
    });
  });
});
