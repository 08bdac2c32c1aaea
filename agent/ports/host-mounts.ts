/**
 * The host's own mounts, which were not made by felhom: unmounted and mounted again as the host's first process sees them. Never lazily and
 * never by force: whoever uses a file keeps it mounted, and is heard of.
 */
import { type Mount, parseMountinfo } from '#shared/mountinfo';
import type { RunCommand } from './command.ts';
import type { Proc } from './proc.ts';

export interface HostMount {
  point: string;
  /** `/dev/sdb1`, or a directory where it is bound. */
  source: string;
  fstype: string;
  options: string;
  /** The unit that the host has for it (`mnt-usb.mount`); empty: none. */
  unit: string;
}

/** Everything rejects with what went wrong for the log (`CommandError`). */
export interface HostMounts {
  seen(): Promise<readonly Mount[]>;
  unmount(mount: Pick<HostMount, 'point'>): Promise<void>;
  mount(mount: HostMount): Promise<void>;
}

export interface HostMountsPorts {
  run: RunCommand<'systemctl' | 'systemdRun' | 'umount' | 'mount' | 'realpath'>;
  proc: Pick<Proc, 'mountinfo' | 'mountinfoOf'>;
  /** systemd is the first process; otherwise the agent's own namespace is the host's. */
  byUnits: boolean;
}

/** In the host's namespace, which a unit without a sandbox has. Of `oneshot` the end is waited for, which needs no bus. */
const ON_HOST = ['--quiet', '--collect', '--service-type=oneshot', '--'];

export const createHostMounts = ({ run, proc, byUnits }: HostMountsPorts): HostMounts => {
  /** Whether the unit would mount just that: where it names a device of the kernel's, another drive may have that name by now. */
  const isOf = async (unit: string, source: string): Promise<boolean> => {
    const what = (await run('systemctl', ['show', '--value', '--property=What', '--', unit])).trim();
    return what === source || (what.startsWith('/') && (await run('realpath', ['--', what])).trim() === source);
  };

  const starts = (unit: string): Promise<boolean> =>
    run('systemctl', ['start', '--', unit]).then(
      () => true,
      () => false,
    );

  return {
    seen: async () => parseMountinfo(await (byUnits ? proc.mountinfoOf(1) : proc.mountinfo())),
    // Never by its unit: whoever requires that (RequiresMountsFor=) would be ended first, somebody's backup too. systemd.unit(5), Requires=.
    unmount: async ({ point }) => {
      const args = ['--no-canonicalize', '--', point];
      await (byUnits ? run('systemdRun', [...ON_HOST, '/usr/bin/umount', ...args]) : run('umount', args));
    },
    mount: async ({ point, source, fstype, options, unit }) => {
      // Its line in fstab may have been taken out since, and the unit with it.
      if (byUnits && unit !== '' && (await isOf(unit, source).catch(() => false)) && (await starts(unit))) return;
      const args = ['-t', fstype, '-o', options, '--source', source, '--target', point];
      await (byUnits ? run('systemdRun', [...ON_HOST, '/usr/bin/mount', ...args]) : run('mount', args));
    },
  };
};
