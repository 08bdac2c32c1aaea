/** The mounts that systemd makes, in a guest whose first process it is: our units, our link, and what stays of them. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { CommandError, type RunCommand } from '#agent/ports/command';
import type { MountSpec } from '#agent/ports/drive-mounts';
import { createSystemdMounts } from '#agent/ports/systemd-mounts';
import { bootHost, lacks, type NspawnHost } from '../../nspawn/host.ts';
import { labMissing, withLab } from './lab.ts';

// Real devices and programs: on a busy machine a test may take long.
vi.setConfig({ testTimeout: 120_000 });

const missing = labMissing || (lacks() ?? '');

const PROGRAMS: Record<string, string> = { systemctl: '/usr/bin/systemctl', systemdRun: '/usr/bin/systemd-run' };

/** The port as the agent has it, its programs run where systemd is the first process. */
const portIn = (host: NspawnHost, specs: () => readonly MountSpec[]) => {
  const run: RunCommand = async (name, args) => {
    const { code, stdout, stderr } = await host.try(PROGRAMS[name] ?? name, ...args);
    if (code !== 0) throw new CommandError(name, 'exit', stderr, code);
    return stdout;
  };
  return createSystemdMounts({
    run,
    specs,
    root: `/proc/${host.pid()}/root`,
    proc: { mountinfoOf: () => readFile(`/proc/${host.pid()}/mountinfo`, 'utf8') },
  });
};

describe.skipIf(missing !== '')(`mounts by systemd${missing && ` (skipped: there is no ${missing} here)`}`, () => {
  test('a file system comes, is kept by who uses it, is cut off, and goes without a trace', async () => {
    await withLab(async (lab) => {
      const drive = await lab.drive({ name: 'photos', mb: 32 });
      const uuid = await lab.mkfs(drive.device, 'ext4', { args: ['-e', 'continue'] });
      const host = await bootHost();
      lab.undo(host.close);
      const spec: MountSpec = {
        mountPoint: '/mnt/felhom/my-photos',
        guestPoint: '/mnt/felhom/.guests/101/my-photos',
        link: 'my-photos.0123456789ab',
        uuid,
        fstype: 'ext4',
        options: 'nosuid,nodev,errors=remount-ro',
        match: { serial: 'S1', wwn: '', sizeBytes: 32 * 1024 ** 2 },
      };
      const mounts = portIn(host, () => [spec]);
      const points = async () =>
        (await mounts.seen()).filter(({ point }) => point.startsWith('/mnt/felhom')).map(({ point, source }) => [point, source]);
      const units = () => readdirSync(join(host.root, 'etc/systemd/system'), { recursive: true, encoding: 'utf8' });
      const before = units();
      await host.run('mkdir', '-p', spec.mountPoint, spec.guestPoint);
      const [major = '', minor = ''] = drive.numbers.split(':');
      await host.run('mknod', drive.device, 'b', major, minor);

      await mounts.keep(spec);
      const file = join(host.root, 'etc/systemd/system', 'mnt-felhom-my\\x2dphotos.mount');
      expect(statSync(file).mode & 0o777).toBe(0o644);
      expect(readFileSync(file, 'utf8')).toContain('\nWhat=/dev/felhom/my-photos.0123456789ab\n');
      const written = statSync(file).ino;
      await mounts.keep(spec);
      expect(statSync(file).ino).toBe(written);

      // A link that leads elsewhere is not followed.
      await host.run('mkdir', '-p', '/dev/felhom');
      await host.run('ln', '-s', '../null', `/dev/felhom/${spec.link}`);
      await mounts.mount(spec, drive.device);
      await mounts.show(spec);
      const both = [
        [spec.mountPoint, drive.device],
        [spec.guestPoint, drive.device],
      ];
      expect(await points()).toEqual(both);
      for (const { point, options } of await mounts.seen())
        if (point.startsWith('/mnt/felhom'))
          expect(options).toEqual(expect.arrayContaining(['nosuid', 'nodev', 'errors=remount-ro']));
      await mounts.mount(spec, drive.device);
      expect(await points()).toEqual(both);

      await host.run('systemd-run', '--quiet', '--unit=user', 'sh', '-c', `cd ${spec.mountPoint}; exec sleep 600`);
      await host.run('sh', '-c', 'until grep -q sleep /proc/$(systemctl show -P MainPID user)/comm; do sleep 0.05; done');
      await expect(mounts.unmount(spec)).rejects.toThrow();
      expect((await points()).map(([point]) => point)).toContain(spec.mountPoint);
      await mounts.cutOff(spec);
      expect(await points()).toEqual([]);
      await host.run('systemctl', 'stop', 'user.service');

      await mounts.mount(spec, drive.device);
      await mounts.show(spec);
      expect(await points()).toEqual(both);
      // Where the first place goes, so does the guest's.
      await host.run('systemctl', 'stop', 'mnt-felhom-my\\x2dphotos.mount');
      expect(await points()).toEqual([]);
      await mounts.mount(spec, drive.device);
      await mounts.show(spec);
      await mounts.unmount(spec);
      expect(await points()).toEqual([]);

      await mounts.drop(spec);
      expect(units().filter((name) => !before.includes(name) && !name.endsWith('.wants'))).toEqual([]);
      expect((await host.try('ls', `/dev/felhom/${spec.link}`)).code).not.toBe(0);
      expect(await host.run('systemctl', 'list-units', '--all', '--plain', '--no-legend', 'mnt-felhom*')).toBe('');
      await mounts.drop(spec);
    });
  });
});
