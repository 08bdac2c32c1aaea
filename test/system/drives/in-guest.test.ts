import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { runCommand } from '#agent/ports/command';
import type { MountSpec } from '#agent/ports/drive-mounts';
import { createMountDirectories } from '#agent/ports/immutable';
import { createPlainMounts } from '#agent/ports/plain-mounts';
import { createProc } from '#agent/ports/proc';
import { lxcMissing } from '../../lxc/container.ts';
import { type Guests, makeGuests } from './guests.ts';
import { type Lab, type LabDrive, type LabFilesystem, labMissing, outcome, run, withLab } from './lab.ts';

const missing = labMissing || lxcMissing;

/** What is mounted by hand here is mounted as the agent does it: its port for hosts without systemd, its directories. */
const mounts = createPlainMounts({ run: runCommand, proc: createProc() });
const points = createMountDirectories(runCommand);

const specOf = ({ mountRoot, directories }: Guests, vmid: number, name: string, fstype: string): MountSpec => ({
  mountPoint: join(mountRoot, name),
  guestPoint: directories.pointFor(vmid, name),
  link: name,
  uuid: '',
  fstype,
  options: 'nosuid,nodev',
  match: { serial: '', wwn: '', sizeBytes: null },
});

interface Connected {
  drive: LabDrive;
  spec: MountSpec;
  disconnect(): Promise<void>;
}

/** A new drive with a file system, mounted for a guest. */
const connect = async (
  lab: Lab,
  guests: Guests,
  vmid: number,
  name: string,
  fstype: LabFilesystem = 'ext4',
): Promise<Connected> => {
  const drive = await lab.drive({ name, mb: fstype === 'xfs' ? 320 : fstype === 'btrfs' ? 128 : 32 });
  await lab.mkfs(drive.device, fstype);
  const spec = specOf(guests, vmid, name, fstype);
  const { uid, gid } = await guests.directories.mappedRoot(vmid);
  for (const point of [spec.mountPoint, spec.guestPoint]) {
    await points.make(point);
    await points.protect(point);
  }
  lab.undo(async () => {
    await mounts.cutOff(spec);
    for (const point of [spec.guestPoint, spec.mountPoint]) await points.remove(point);
  });
  await mounts.mount(spec, drive.device);
  await run('chown', `${uid}:${gid}`, spec.mountPoint);
  await mounts.show(spec);
  return {
    drive,
    spec,
    disconnect: async () => {
      await mounts.unmount(spec);
      for (const point of [spec.guestPoint, spec.mountPoint]) await points.remove(point);
    },
  };
};

/** A guest as enrolment leaves it, and started. */
const enrolled = async (lab: Lab, guests: Guests, vmid: number, options: { privileged?: true } = {}) => {
  const container = guests.container(vmid, options);
  await guests.directories.prepare(vmid);
  lab.undo(() => outcome('umount', join(guests.mountRoot, '.guests', String(vmid))));
  expect(await guests.directories.give(vmid)).toEqual({ note: '' });
  await container.start();
  return container;
};

const initOf = async (container: { run(...argv: string[]): Promise<string> }): Promise<string> =>
  container.run('stat', '-c', '%Y', '/proc/1');

describe.skipIf(missing !== '')(`drives in a container${missing === '' ? '' : `: ${missing}`}`, () => {
  test('each file system that is made for customers shows in the running container, which writes to it, and goes again', () =>
    withLab(async (lab) => {
      const guests = makeGuests(lab);
      const container = await enrolled(lab, guests, 101);
      const began = await initOf(container);
      for (const fstype of ['ext4', 'xfs', 'btrfs'] as const) {
        const { spec, disconnect } = await connect(lab, guests, 101, fstype, fstype);
        const path = `/mnt/felhom/${fstype}`;
        expect(await guests.directories.shown(101, fstype)).toEqual({ guestPath: path, note: '' });
        await container.run('sh', '-c', `mkdir ${path}/album && echo sunset > ${path}/album/1`);
        expect(await run('cat', join(spec.mountPoint, 'album/1'))).toBe('sunset');
        expect(statSync(join(spec.mountPoint, 'album/1')).uid).toBe(100_000);
        expect(await container.run('stat', '-c', '%u:%g', path)).toBe('0:0');
        await disconnect();
        expect(await container.run('ls', '-A', '/mnt/felhom')).toBe('');
        expect(await guests.directories.shown(101, fstype)).toMatchObject({ guestPath: '' });
      }
      expect(await initOf(container)).toBe(began);
    }));

  test.each([
    ['an unprivileged', {}],
    ['a privileged', { privileged: true as const }],
  ])('%s container can write nothing beside its drives, nor where one is missing', (_what, options) =>
    withLab(async (lab) => {
      const guests = makeGuests(lab);
      const container = await enrolled(lab, guests, 101, options);
      const { spec } = await connect(lab, guests, 101, 'photos');
      await container.run('touch', '/mnt/felhom/photos/kept');
      // The drive is pulled out: what it is mounted on is there, and empty.
      const gone = await connect(lab, guests, 101, 'gone');
      await mounts.cutOff(gone.spec);
      expect(readdirSync(gone.spec.guestPoint)).toEqual([]);
      for (const attempt of [
        'touch /mnt/felhom/x',
        'mkdir /mnt/felhom/x',
        'touch /mnt/felhom/gone/x',
        'rmdir /mnt/felhom/gone',
        'mv /mnt/felhom/gone /mnt/felhom/x',
      ])
        expect([attempt, (await container.try('sh', '-c', attempt)).code]).not.toEqual([attempt, 0]);
      expect(readdirSync(join(guests.mountRoot, '.guests/101')).sort()).toEqual(['gone', 'photos']);
      expect(readdirSync(gone.spec.guestPoint)).toEqual([]);
      expect(readdirSync(spec.mountPoint)).toContain('kept');
    }),
  );

  test('two guests do not see each other’s drives', () =>
    withLab(async (lab) => {
      const guests = makeGuests(lab);
      const one = await enrolled(lab, guests, 101);
      const other = await enrolled(lab, guests, 105);
      await connect(lab, guests, 101, 'photos');
      await connect(lab, guests, 105, 'music');
      expect(await one.run('ls', '/mnt/felhom')).toBe('photos');
      expect(await other.run('ls', '/mnt/felhom')).toBe('music');
      const mounted = await other.run('cut', '-d ', '-f5', '/proc/self/mountinfo');
      expect(mounted.split('\n').filter((point) => point.startsWith('/mnt'))).toEqual(['/mnt/felhom', '/mnt/felhom/music']);
      expect(await guests.directories.shown(105, 'photos')).toMatchObject({ guestPath: '' });
    }));

  test('a drive in use inside does not go, and comes back after the container was stopped', () =>
    withLab(async (lab) => {
      const guests = makeGuests(lab);
      const container = await enrolled(lab, guests, 101);
      const { spec, disconnect } = await connect(lab, guests, 101, 'photos');
      await container.run('mkdir', '/mnt/felhom/photos/album');
      const held = await container.hold('cd /mnt/felhom/photos/album; echo ready; exec sleep 60');
      await expect(mounts.unmount(spec)).rejects.toThrow(/busy/);
      expect(await guests.directories.shown(101, 'photos')).toMatchObject({ guestPath: '/mnt/felhom/photos' });
      await held.end();
      await container.stop();
      expect(await guests.directories.shown(101, 'photos')).toEqual({
        guestPath: '',
        note: 'The container does not run. The drive shows in it when it does.',
      });
      await container.start();
      expect(await container.run('ls', '/mnt/felhom/photos')).toContain('album');
      await disconnect();
    }));

  test('a container that was started too early is told to restart, and then it sees its drives', () =>
    withLab(async (lab) => {
      const guests = makeGuests(lab);
      const container = guests.container(101);
      await container.start();
      await guests.directories.prepare(101);
      lab.undo(() => outcome('umount', join(guests.mountRoot, '.guests/101')));
      expect((await guests.directories.give(101)).note).toMatch(/^Restart container 101 once \(pct reboot 101\)/);
      await connect(lab, guests, 101, 'photos');
      expect(await guests.directories.shown(101, 'photos')).toEqual({
        guestPath: '',
        note: 'The drive is mounted on the server. It shows at /mnt/felhom once this container was restarted.',
      });
      await container.stop();
      await container.start();
      expect(await guests.directories.shown(101, 'photos')).toEqual({ guestPath: '/mnt/felhom/photos', note: '' });
      expect(await guests.directories.give(101)).toEqual({ note: '' });
    }));

  test('an agent that starts again changes nothing, and goes on', () =>
    withLab(async (lab) => {
      const guests = makeGuests(lab);
      const container = await enrolled(lab, guests, 101);
      await connect(lab, guests, 101, 'photos');
      const before = guests.configOf(101);
      const again = guests.restarted();
      await again.prepare(101);
      expect(await again.give(101)).toEqual({ note: '' });
      expect(guests.configOf(101)).toBe(before);
      const { disconnect } = await connect(lab, guests, 101, 'music');
      expect(await container.run('ls', '/mnt/felhom')).toBe('music\nphotos');
      await disconnect();
      expect(await container.run('ls', '/mnt/felhom')).toBe('photos');
    }));

  test('a container starts without felhom: its directory is not there on another host', () =>
    withLab(async (lab) => {
      const guests = makeGuests(lab);
      const container = await enrolled(lab, guests, 101);
      await container.stop();
      const given = guests.configOf(101);
      await guests.directories.takeBack(101);
      expect(guests.configOf(101)).not.toContain('felhom');
      guests.writeConfig(101, given);
      await container.start();
      expect(await container.run('ls', '-A', '/mnt/felhom')).toBe('');
    }));

  test('the directory is not taken back while a drive is mounted in it', () =>
    withLab(async (lab) => {
      const guests = makeGuests(lab);
      await enrolled(lab, guests, 101);
      const { disconnect } = await connect(lab, guests, 101, 'photos');
      const before = guests.configOf(101);
      await expect(guests.directories.takeBack(101)).rejects.toMatchObject({ code: 'drive-in-use' });
      expect(guests.configOf(101)).toBe(before);
      await disconnect();
      await guests.directories.takeBack(101);
      expect(readdirSync(join(guests.mountRoot, '.guests'))).toEqual([]);
    }));

  test('a clone does not get the drives of the guest that it was made from', () =>
    withLab(async (lab) => {
      const guests = makeGuests(lab);
      await enrolled(lab, guests, 101);
      const clone = guests.container(105);
      guests.writeConfig(105, guests.configOf(101).replaceAll('ct101', 'ct105'));
      await clone.start();
      // It runs already, with the other's directory in it: nothing is mounted there until it was restarted.
      await expect(guests.directories.prepare(101)).rejects.toMatchObject({
        code: 'mount-failed',
        message: expect.stringContaining('Guest 105'),
      });
      expect(guests.configOf(105)).not.toContain('.guests');
      await clone.stop();
      await clone.start();
      await guests.directories.prepare(101);
      await connect(lab, guests, 101, 'photos');
      expect((await clone.try('ls', '/mnt/felhom/photos')).code).not.toBe(0);
      expect(await guests.directories.guard()).toEqual([]);
    }));
});
