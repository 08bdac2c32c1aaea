/** The host's own mounts: unmounted by umount(8) in the host's namespace, never lazily, never by force; mounted again by their unit where they have one. */
import { expect, test } from 'vitest';
import { CommandError } from '#agent/ports/command';
import { createHostMounts } from '#agent/ports/host-mounts';

const USB = { point: '/mnt/usb', source: '/dev/sdb1', fstype: 'ext4', options: 'rw,noatime' };
const ON_HOST = ['systemdRun', '--quiet', '--collect', '--service-type=oneshot', '--'];

const host = ({ byUnits = true, starts = true, what = '/dev/disk/by-uuid/12ab' } = {}) => {
  const calls: string[][] = [];
  const mounts = createHostMounts({
    byUnits,
    proc: {
      mountinfo: async () => '20 1 8:17 / /own rw - ext4 /dev/sdb1 rw\n',
      mountinfoOf: async (pid) => `20 1 8:17 / /of-${pid} rw - ext4 /dev/sdb1 rw\n`,
    },
    run: async (program, args) => {
      if (args[0] === 'show') return `${what}\n`;
      if (program === 'realpath') return '/dev/sdb1\n';
      calls.push([program, ...args]);
      if (args[0] === 'start' && !starts) throw new CommandError('/usr/bin/systemctl', 'exit', '', 5);
      return '';
    },
  });
  return { mounts, calls };
};

test.each([
  ['with systemd', {}, [...ON_HOST, '/usr/bin/umount', '--no-canonicalize', '--', '/mnt/usb']],
  ['without', { byUnits: false }, ['umount', '--no-canonicalize', '--', '/mnt/usb']],
])('unmounted %s', async (_what, spec, expected) => {
  const { mounts, calls } = host(spec);
  await mounts.unmount({ point: USB.point });
  expect(calls).toEqual([expected]);
});

const MOUNT = ['-t', 'ext4', '-o', 'rw,noatime', '--source', '/dev/sdb1', '--target', '/mnt/usb'];

test.each([
  ['by its unit', { unit: 'mnt-usb.mount' }, {}, [['systemctl', 'start', '--', 'mnt-usb.mount']]],
  ['by hand', { unit: '' }, {}, [[...ON_HOST, '/usr/bin/mount', ...MOUNT]]],
  [
    'by hand, since its unit went with its line in fstab',
    { unit: 'mnt-usb.mount' },
    { starts: false },
    [
      ['systemctl', 'start', '--', 'mnt-usb.mount'],
      [...ON_HOST, '/usr/bin/mount', ...MOUNT],
    ],
  ],
  [
    'by hand, since its unit names nothing any more',
    { unit: 'mnt-usb.mount' },
    { what: '' },
    [[...ON_HOST, '/usr/bin/mount', ...MOUNT]],
  ],
  ['without systemd', { unit: '' }, { byUnits: false }, [['mount', ...MOUNT]]],
])('mounted again: %s', async (_how, { unit }, spec, expected) => {
  const { mounts, calls } = host(spec);
  await mounts.mount({ ...USB, unit });
  expect(calls).toEqual(expected);
});

test.each([
  [true, '/of-1'],
  [false, '/own'],
])("seen as the host's first process sees them (systemd %s)", async (byUnits, point) => {
  expect((await host({ byUnits }).mounts.seen()).map((mount) => mount.point)).toEqual([point]);
});
