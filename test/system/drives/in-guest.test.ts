/** Drives in real containers: what is assigned shows in them while they run and goes again, and nothing else of the host does. */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type Container, guestNumber, lxcMissing } from '../../lxc/container.ts';
import { type Lab, type LabDrive, type LabFilesystem, labMissing, outcome, run, withLab } from './lab.ts';
import { makeWorld, type World } from './world.ts';

const missing = labMissing || lxcMissing;
const GUEST = guestNumber(1);
const OTHER = guestNumber(5);
const MB: Partial<Record<LabFilesystem, number>> = { xfs: 320, btrfs: 128 };

const withWorld = <T>(use: (world: World, lab: Lab) => Promise<T>): Promise<T> =>
  withLab(async (lab) => use(await makeWorld(lab, { enrolled: [GUEST] }), lab));

/** A guest as enrolment leaves it; not started. */
const enrolled = async ({ guests }: World, vmid = GUEST, options: { privileged?: true } = {}): Promise<Container> => {
  const container = guests.container(vmid, options);
  await guests.directories.prepare(vmid);
  expect(await guests.directories.give(vmid)).toEqual({ note: '' });
  return container;
};

const started = async (world: World, ...more: [vmid?: number, options?: { privileged?: true }]): Promise<Container> => {
  const container = await enrolled(world, ...more);
  await container.start();
  return container;
};

/** A new drive with a file system, which the agent assigns. */
const connect = async (world: World, name: string, fstype: LabFilesystem = 'ext4', vmid = GUEST) => {
  const drive = await world.lab.drive({ name, serial: `S-${name}`, mb: MB[fstype] ?? 32 });
  const uuid = await world.lab.mkfs(drive.device, fstype);
  if (vmid !== GUEST) await giveTo(world, drive, vmid);
  const answer = await world.assign(uuid, name, { vmid, fstype });
  return { drive, answer };
};

/** Only the enrolled guest may take what is nobody's. */
const giveTo = async ({ current, records, ports }: World, { name }: LabDrive, vmid: number): Promise<void> => {
  const { record } = (await current.fresh()).drives.find((one) => one.name === name) ?? {};
  const instance = ports.claims().instances.get(vmid) ?? '';
  await records.setOwner(record?.id ?? 0, { vmid, instance, since: 1 }, 'root');
};

/** What the container has mounted for drives, as it sees it. */
const mountedIn = async (container: Container): Promise<string[]> =>
  (await container.run('cut', '-d ', '-f5', '/proc/self/mountinfo')).split('\n').filter((point) => point.startsWith('/mnt'));
const own = ({ mountRoot }: World, ...path: string[]): string => join(mountRoot, '.guests', String(GUEST), ...path);
const beganAt = (container: Container): Promise<string> => container.run('stat', '-c', '%Y %i', '/proc/1');

// A machine that does much else is slow at all of it.
const PATIENT = { timeout: 90_000 };

describe.skipIf(missing !== '')(`drives in a container${missing === '' ? '' : ` (skipped: ${missing})`}`, PATIENT, () => {
  test.each(['ext4', 'xfs', 'btrfs'] as const)(
    '%s shows in the running container, whose root writes to it, and goes with eject',
    (fstype) =>
      withWorld(async (world) => {
        const container = await started(world);
        const began = await beganAt(container);
        const path = `/mnt/felhom/${fstype}`;
        const { answer } = await connect(world, fstype, fstype);
        expect(answer).toMatchObject({ vmid: GUEST, where: world.path(fstype), guest_path: path, note: '' });
        expect(await container.run('stat', '-c', '%u:%g', path)).toBe('0:0');
        await container.run('sh', '-c', `mkdir ${path}/album && echo sunset > ${path}/album/1 && sync ${path}`);
        expect(await run('cat', world.path(`${fstype}/album/1`))).toBe('sunset');
        expect(statSync(world.path(`${fstype}/album/1`)).uid).toBe(100_000);
        expect(await world.eject(fstype, GUEST)).toMatchObject({ ejected: true });
        expect(await container.run('ls', '-A', '/mnt/felhom')).toBe('');
        expect(await beganAt(container)).toBe(began);
      }),
  );

  test.each([
    ['an unprivileged', {}],
    ['a privileged', { privileged: true as const }],
  ])('%s container writes nothing beside its drives, nor where one is missing', (_what, options) =>
    withWorld(async (world) => {
      const container = await started(world, GUEST, options);
      await connect(world, 'photos');
      const fails = async (...attempts: string[]): Promise<void> => {
        for (const attempt of attempts)
          expect([attempt, (await container.try('sh', '-c', `cd /mnt/felhom && ${attempt}`)).code]).not.toEqual([attempt, 0]);
        expect(readdirSync(own(world))).toEqual(['photos']);
      };
      await container.run('touch', '/mnt/felhom/photos/kept');
      await fails('touch x', 'mkdir x', 'mv photos/kept .', 'mv photos x', 'ln -s /etc x');
      expect(readdirSync(world.path('photos'))).toContain('kept');
      // The drive is gone: what it was mounted on is there still, and empty.
      for (const point of [own(world, 'photos'), world.path('photos')]) await run('umount', '--lazy', point);
      expect(await mountedIn(container)).toEqual(['/mnt/felhom']);
      await fails('touch photos/x', 'mkdir photos/x', 'rmdir photos', 'mv photos x');
      for (const place of [own(world, 'photos'), world.path('photos')]) expect(readdirSync(place)).toEqual([]);
    }),
  );

  test('two guests do not see each other’s drives', () =>
    withWorld(async (world) => {
      const one = await started(world);
      const other = await started(world, OTHER);
      await connect(world, 'photos');
      await connect(world, 'music', 'ext4', OTHER);
      expect(await one.run('ls', '/mnt/felhom')).toBe('photos');
      expect(await other.run('ls', '/mnt/felhom')).toBe('music');
      expect(await mountedIn(other)).toEqual(['/mnt/felhom', '/mnt/felhom/music']);
      await expect(world.eject('music', GUEST)).rejects.toMatchObject({ code: 'not-assigned' });
      expect(await other.run('ls', '/mnt/felhom')).toBe('music');
    }));

  test('a directory that is open in the container is named, a copy of the mount too, and the drive stays until both are let go', () =>
    withWorld(async (world) => {
      const container = await started(world);
      const { drive } = await connect(world, 'photos');
      await container.run('mkdir', '/mnt/felhom/photos/album');
      const held = await container.hold('exec 3< /mnt/felhom/photos/album; echo ready; exec sleep 60');
      await expect(world.eject('photos', GUEST)).rejects.toMatchObject({
        code: 'drive-in-use',
        message: expect.stringMatching(/still used by "sleep" in this guest \(\S*\/album\).*do not unplug/),
        details: { dependentGuests: [GUEST] },
      });
      expect(await world.ports.check.users([drive.numbers])).toMatchObject([
        { pid: held.pid, command: 'sleep', vmid: GUEST, path: expect.stringMatching(/\/album$/) },
      ]);
      await held.end();

      await container.run('sh', '-c', 'mkdir /tmp/copy && mount --bind /mnt/felhom/photos /tmp/copy');
      await expect(world.eject('photos', GUEST)).rejects.toMatchObject({
        code: 'drive-in-use',
        message: expect.stringContaining('/tmp/copy'),
        details: { dependentGuests: [GUEST] },
      });
      await container.run('umount', '/tmp/copy');

      const { directories } = world.guests;
      const before = world.guests.configOf(GUEST);
      await expect(directories.takeBack(GUEST)).rejects.toMatchObject({ code: 'drive-in-use' });
      expect(world.guests.configOf(GUEST)).toBe(before);
      expect(await container.run('ls', '/mnt/felhom/photos')).toContain('album');
      expect(await world.eject('photos', GUEST)).toMatchObject({ ejected: true });
      expect(await mountedIn(container)).toEqual(['/mnt/felhom']);
      expect(await container.run('ls', '-A', '/mnt/felhom')).toBe('');
      await directories.takeBack(GUEST);
      expect(readdirSync(join(world.mountRoot, '.guests'))).toEqual([]);
    }));

  test('drives are there after the container was stopped and started, and after the agent was', () =>
    withWorld(async (world) => {
      const container = await started(world);
      await connect(world, 'photos');
      const before = world.guests.configOf(GUEST);
      await container.stop();
      expect(await world.guests.directories.shown(GUEST, 'photos')).toEqual({
        guestPath: '',
        note: 'The container does not run. The drive shows in it when it does.',
      });
      const again = await world.restarted();
      const directories = again.guests.restarted();
      await directories.prepare(GUEST);
      await container.start();
      expect(await directories.give(GUEST)).toEqual({ note: '' });
      expect(world.guests.configOf(GUEST)).toBe(before);
      expect(await directories.shown(GUEST, 'photos')).toEqual({ guestPath: '/mnt/felhom/photos', note: '' });
      expect(await again.eject('photos', GUEST)).toMatchObject({ ejected: true });
      expect(await container.run('ls', '-A', '/mnt/felhom')).toBe('');
    }));

  test('a container that ran before it was enrolled is to be restarted, and then it sees its drives', () =>
    withWorld(async (world) => {
      const { directories } = world.guests;
      const container = world.guests.container(GUEST);
      await container.start();
      await directories.prepare(GUEST);
      expect((await directories.give(GUEST)).note).toMatch(/^Restart container \d+ once \(pct reboot \d+\)/);
      const { answer } = await connect(world, 'photos');
      expect(answer).toMatchObject({
        guest_path: '',
        note: 'The drive is mounted on the server. It shows at /mnt/felhom once this container was restarted.',
      });
      await container.stop();
      await container.start();
      expect(await directories.shown(GUEST, 'photos')).toEqual({ guestPath: '/mnt/felhom/photos', note: '' });
      expect(await directories.give(GUEST)).toEqual({ note: '' });
    }));

  test('a container starts without its directory: on a host without felhom, or after it was removed', () =>
    withWorld(async (world) => {
      const { guests } = world;
      const container = await enrolled(world);
      const given = guests.configOf(GUEST);
      await guests.directories.takeBack(GUEST);
      expect(guests.configOf(GUEST)).not.toContain('felhom');
      expect(readdirSync(join(world.mountRoot, '.guests'))).toEqual([]);
      guests.writeConfig(GUEST, given);
      await container.start();
      expect(await container.run('ls', '-A', '/mnt/felhom')).toBe('');
    }));

  test('a clone does not get the drives of the guest that it was made from', () =>
    withWorld(async (world, lab) => {
      const { guests } = world;
      await enrolled(world);
      const clone = guests.container(OTHER);
      guests.writeConfig(OTHER, guests.configOf(GUEST));
      await clone.start();
      // It runs already, with the other's directory in it: nothing is mounted there until it was restarted.
      const { device } = await lab.drive({ name: 'photos', serial: 'S1', mb: 32 });
      const uuid = await lab.mkfs(device, 'ext4');
      await expect(world.assign(uuid, 'photos', { vmid: GUEST })).rejects.toMatchObject({
        code: 'mount-failed',
        message: expect.stringContaining(`Guest ${OTHER} was made from guest ${GUEST}`),
      });
      expect(guests.configOf(OTHER)).not.toContain('.guests');
      expect((await outcome('grep', '-c', world.path('photos'), '/proc/self/mountinfo')).stdout.trim()).toBe('0');
      await clone.stop();
      await clone.start();
      await world.assign(uuid, 'photos', { vmid: GUEST });
      expect(readdirSync(own(world))).toEqual(['photos']);
      expect((await clone.try('ls', '/mnt/felhom/photos')).code).not.toBe(0);
      expect(await guests.directories.guard()).toEqual([]);
    }));
});
