/**
 * Mounts by systemd, the host's first process: a unit for each place, brought back by a link that udev makes by our own rule. Our own
 * mount(8) would mount where only the agent's sandbox sees it (systemd.exec(5), "Sandboxing").
 */
import { access, chmod, lstat, mkdir, readFile, readlink, rename, rm, symlink, unlink, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { parseMountinfo } from '#shared/mountinfo';
import type { RunCommand } from './command.ts';
import type { DriveMounts, MountSpec } from './drive-mounts.ts';
import { linkPath, mountUnitName, type UnitFile, unitsOf } from './mount-units.ts';
import type { Proc } from './proc.ts';
import { udevRules } from './udev-rules.ts';

export interface SystemdMountsPorts {
  run: RunCommand;
  proc: Pick<Proc, 'mountinfoOf'>;
  /** Every assignment, for the one file of rules. */
  specs: () => readonly MountSpec[];
  /** Where the host's files are; only tests have it elsewhere. */
  root?: string;
}

const UNITS = '/etc/systemd/system';
const RULES = '/etc/udev/rules.d/61-felhom.rules';
/** There while udevd runs (udev(7)); in a container it does not. */
const UDEV_CONTROL = '/run/udev/control';

const isThere = (path: string): Promise<boolean> =>
  lstat(path).then(
    () => true,
    () => false,
  );

/** As root makes directories, whatever the agent's own umask is. */
const makeDirectory = async (path: string): Promise<void> => {
  if ((await mkdir(path, { recursive: true })) !== undefined) await chmod(path, 0o755);
};

/** Whole or not at all, and durable before it answers. @returns false where the file says so already */
const writeWhole = async (path: string, text: string): Promise<boolean> => {
  if ((await readFile(path, 'utf8').catch(() => null)) === text) return false;
  const beside = join(dirname(path), `.${basename(path)}.felhom`);
  await writeFile(beside, text, { flush: true });
  await chmod(beside, 0o644);
  await rename(beside, path);
  return true;
};

/** @returns false where it leads there already */
const linkTo = async (path: string, target: string): Promise<boolean> => {
  if ((await readlink(path).catch(() => null)) === target) return false;
  await makeDirectory(dirname(path));
  const beside = join(dirname(path), `.${basename(path)}.felhom`);
  await rm(beside, { force: true });
  await symlink(target, beside);
  await rename(beside, path);
  return true;
};

/** @returns false where there was nothing */
const removeFile = async (path: string): Promise<boolean> => {
  if (!(await isThere(path))) return false;
  await unlink(path);
  return true;
};

export const createSystemdMounts = (ports: SystemdMountsPorts): DriveMounts => {
  const { run, proc, specs, root = '/' } = ports;
  const at = (...path: string[]): string => join(root, ...path);

  const seen = async () => parseMountinfo(await proc.mountinfoOf(1));
  const isMounted = async (where: string): Promise<boolean> => (await seen()).some(({ point }) => point === where);
  const udevRuns = (): Promise<boolean> => isThere(at(UDEV_CONTROL));
  const wants = ({ name, wantedBy }: UnitFile): string[] => wantedBy.map((wanting) => at(UNITS, `${wanting}.wants`, name));

  const writeRules = async (all: readonly MountSpec[]): Promise<void> => {
    if (!(await udevRuns())) return;
    if (await writeWhole(at(RULES), udevRules(all))) await run('udevadm', ['control', '--reload']);
  };

  const writeUnits = async (units: readonly UnitFile[]): Promise<boolean> => {
    let changed = false;
    for (const unit of units) {
      changed = (await writeWhole(at(UNITS, unit.name), unit.text)) || changed;
      for (const link of wants(unit)) changed = (await linkTo(link, `../${unit.name}`)) || changed;
    }
    return changed;
  };

  const removeUnits = async (units: readonly UnitFile[]): Promise<boolean> => {
    let changed = false;
    for (const unit of units) {
      for (const path of [...wants(unit), at(UNITS, unit.name)]) changed = (await removeFile(path)) || changed;
    }
    return changed;
  };

  /** The device that a link leads to, as the host names it; empty where there is no link. */
  const leadsTo = async (link: string): Promise<string> => {
    const target = await readlink(at(linkPath(link))).catch(() => '');
    return target === '' ? '' : resolve(dirname(linkPath(link)), target);
  };

  /** udev makes the link, by our rule; without udev the agent does, which has just looked at the device itself. */
  const makeLink = async (link: string, device: string): Promise<void> => {
    if (!(await udevRuns())) {
      await linkTo(at(linkPath(link)), `../${basename(device)}`);
    } else if ((await leadsTo(link)) !== device) {
      await run('udevadm', ['trigger', '--action=change', '--settle', `--name-match=${device}`]);
    }
    const found = await leadsTo(link);
    if (found !== device) throw new Error(`${linkPath(link)} leads to ${found || 'nothing'}, not to ${device}`);
  };

  const removeLink = async (link: string): Promise<void> => {
    const device = await leadsTo(link);
    if (device !== '' && (await udevRuns()))
      await run('udevadm', ['trigger', '--action=change', '--settle', `--name-match=${device}`]);
    await removeFile(at(linkPath(link)));
  };

  const start = (point: string): Promise<unknown> => run('systemctl', ['start', '--', mountUnitName(point)]);

  /** A mount that was not made by the unit is unknown to it only until systemd has read mountinfo again, so the unit is asked first. */
  const unmountAt = async (point: string): Promise<void> => {
    if (!(await isMounted(point))) return;
    await run('systemctl', ['stop', '--', mountUnitName(point)]);
    if (await isMounted(point)) throw new Error(`${point} is still mounted`);
  };

  /** In the host's namespace, which a unit without a sandbox has. Of `oneshot` the end is waited for, which needs no bus (`--wait` does). */
  const detachAt = async (point: string): Promise<void> => {
    if (!(await isMounted(point))) return;
    const umount = ['/usr/bin/umount', '--no-canonicalize', '--lazy', '--', point];
    await run('systemdRun', ['--quiet', '--collect', '--service-type=oneshot', '--', ...umount]);
    if (await isMounted(point)) throw new Error(`${point} is still mounted`);
  };

  return {
    seen,
    keep: async (spec) => {
      if (await writeUnits(unitsOf(spec, await udevRuns()))) await run('systemctl', ['daemon-reload']);
      await writeRules(specs());
    },
    drop: async (spec) => {
      await writeRules(specs().filter(({ link }) => link !== spec.link));
      const units = unitsOf(spec, true);
      if (await removeUnits(units)) await run('systemctl', ['daemon-reload']);
      // A unit that failed is remembered by name; it is no failure that there is none.
      await run('systemctl', ['reset-failed', '--', ...units.map(({ name }) => name)]).catch(() => undefined);
      await removeLink(spec.link);
    },
    mount: async ({ mountPoint, link }, device) => {
      await makeLink(link, device);
      try {
        await start(mountPoint);
      } catch (error) {
        // What is still on its way must not arrive when nobody waits for it any more.
        await run('systemctl', ['stop', '--no-block', '--', mountUnitName(mountPoint)]).catch(() => undefined);
        throw error;
      }
    },
    show: async ({ guestPoint }) => {
      await start(guestPoint);
    },
    unmount: async ({ mountPoint, guestPoint }) => {
      await unmountAt(guestPoint);
      await unmountAt(mountPoint);
    },
    cutOff: async ({ mountPoint, guestPoint }) => {
      await detachAt(guestPoint);
      await detachAt(mountPoint);
    },
  };
};

/** Whether systemd is this machine's first process (sd_booted(3)). */
export const systemdRuns = (): Promise<boolean> =>
  access('/run/systemd/system').then(
    () => true,
    () => false,
  );
