/** The host's own mounts where systemd is the first process: never unmounted under somebody who uses them, and nobody is ended for it. */
import { writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { CommandError } from '#agent/ports/command';
import { createHostMounts } from '#agent/ports/host-mounts';
import { bootHost, lacks, type NspawnHost } from '../../nspawn/host.ts';
import { labMissing, withLab } from './lab.ts';

vi.setConfig({ testTimeout: 120_000 });

const missing = labMissing || (lacks() ?? '');

const PROGRAMS: Record<string, string> = { systemctl: '/usr/bin/systemctl', systemdRun: '/usr/bin/systemd-run' };

const portIn = (host: NspawnHost) =>
  createHostMounts({
    byUnits: true,
    run: async (name, args) => {
      const { code, stdout, stderr } = await host.try(PROGRAMS[name] ?? name, ...args);
      if (code !== 0) throw new CommandError(name, 'exit', stderr, code);
      return stdout;
    },
    proc: {
      mountinfo: () => Promise.reject(new Error("not the agent's own")),
      mountinfoOf: () => readFile(`/proc/${host.pid()}/mountinfo`, 'utf8'),
    },
  });

describe.skipIf(missing !== '')(`the host's own mounts${missing && ` (skipped: there is no ${missing} here)`}`, () => {
  test('go, with a unit or without one, not while somebody uses them, not lazily, and come back', async () => {
    await withLab(async (lab) => {
      const drive = await lab.drive({ name: 'backup', mb: 32 });
      await lab.mkfs(drive.device, 'ext4');
      const host = await bootHost();
      lab.undo(host.close);
      const mounts = portIn(host);
      const [major = '', minor = ''] = drive.numbers.split(':');
      await host.run('mknod', drive.device, 'b', major, minor);
      const point = '/mnt/usb';
      await host.run('mkdir', '-p', point);
      const unit = 'mnt-usb.mount';
      const write = (more: string) =>
        writeFileSync(
          join(host.root, 'etc/systemd/system', unit),
          `[Mount]\nWhat=${drive.device}\nWhere=${point}\nType=ext4\nOptions=noatime\n${more}`,
        );
      const isMounted = async () => (await mounts.seen()).some((mount) => mount.point === point);
      const spec = { point, source: drive.device, fstype: 'ext4', options: 'rw,noatime' };

      for (const [more, named] of [
        ['', unit],
        ['LazyUnmount=yes\n', unit],
        ['', ''],
      ] as const) {
        write(more);
        await host.run('systemctl', 'daemon-reload');
        await mounts.mount({ ...spec, unit: named });
        expect(await isMounted()).toBe(true);
        await host.run('systemd-run', '--quiet', '--collect', '--unit=user', 'sh', '-c', `cd ${point}; exec sleep 600`);
        await host.run('sh', '-c', 'until grep -q sleep /proc/$(systemctl show -P MainPID user)/comm; do sleep 0.05; done');
        await expect(mounts.unmount({ point })).rejects.toThrow(CommandError);
        expect(await isMounted()).toBe(true);
        await host.run('systemctl', 'stop', 'user.service');
        await mounts.unmount({ point });
        expect(await isMounted()).toBe(false);
      }

      // Its unit is gone: by hand then.
      await host.run('rm', `/etc/systemd/system/${unit}`);
      await host.run('systemctl', 'daemon-reload');
      await mounts.mount({ ...spec, unit });
      expect((await mounts.seen()).find((mount) => mount.point === point)?.options).toContain('noatime');
      await mounts.unmount({ point });
      expect(await isMounted()).toBe(false);
    });
  });

  test('a unit that names what is another drive by now does not mount that one', async () => {
    await withLab(async (lab) => {
      const [drive, other] = [await lab.drive({ name: 'backup', mb: 32 }), await lab.drive({ name: 'other', mb: 32 })];
      const host = await bootHost();
      lab.undo(host.close);
      for (const { device, numbers } of [drive, other]) {
        await lab.mkfs(device, 'ext4');
        const [major = '', minor = ''] = numbers.split(':');
        await host.run('mknod', device, 'b', major, minor);
      }
      host.write('etc/systemd/system/mnt-usb.mount', `[Mount]\nWhat=${other.device}\nWhere=/mnt/usb\nType=ext4\n`);
      await host.run('mkdir', '-p', '/mnt/usb');
      await host.run('systemctl', 'daemon-reload');
      const mounts = portIn(host);
      await mounts.mount({ point: '/mnt/usb', source: drive.device, fstype: 'ext4', options: 'rw', unit: 'mnt-usb.mount' });
      const seen = (await mounts.seen()).filter(({ point }) => point === '/mnt/usb');
      expect(seen.map(({ device }) => device)).toEqual([drive.numbers]);
      await mounts.unmount({ point: '/mnt/usb' });
    });
  });

  test('a service that requires a mount is not ended so that it can go', async () => {
    const host = await bootHost();
    try {
      const mounts = portIn(host);
      const points = async () => (await mounts.seen()).map(({ point }) => point);
      const isActive = async (unit: string) => (await host.try('/usr/bin/systemctl', 'is-active', unit)).stdout.trim();
      const usb = { point: '/mnt/usb', unit: 'mnt-usb.mount' };
      host.write('etc/systemd/system/mnt-usb.mount', '[Mount]\nWhat=usb\nWhere=/mnt/usb\nType=tmpfs\n');
      const service = (directory: string): string =>
        `[Unit]\nRequiresMountsFor=/mnt/usb\n[Service]\nWorkingDirectory=${directory}\nExecStart=/usr/bin/sleep 1000\n`;
      host.write('etc/systemd/system/borg.service', service('/mnt/usb'));
      host.write('etc/systemd/system/idle.service', service('/'));
      await host.run('/usr/bin/systemctl', 'daemon-reload');
      await host.run('/usr/bin/systemctl', 'start', 'borg.service', 'idle.service');

      await expect(mounts.unmount(usb)).rejects.toThrow(CommandError);
      expect([await points(), await isActive('borg.service')]).toEqual([expect.arrayContaining([usb.point]), 'active']);

      await host.run('/usr/bin/systemctl', 'stop', 'borg.service');
      await mounts.unmount(usb);
      expect(await points()).not.toContain(usb.point);
      expect(await isActive('idle.service')).toBe('active');

      await mounts.mount({ ...usb, source: 'usb', fstype: 'tmpfs', options: 'rw' });
      expect(await points()).toContain(usb.point);
    } finally {
      await host.close();
    }
  });
});
