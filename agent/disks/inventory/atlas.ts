/** Which drives are behind a name, a mount or a path on the host, through every layer. Pure. */
import { isWithin, type Mount, mountOf } from '#shared/mountinfo';
import type { KernelDevice } from '../../ports/sysfs.ts';
import type { Assignment } from './assignment.ts';
import type { Heard } from './heard.ts';
import { isDriveDevice } from './kinds.ts';
import { type Names, namesIn, wholeDevices } from './names.ts';

/** A place where the host mounts something, now or at times. */
export interface Declared {
  point: string;
  what: string;
  /** `/etc/fstab`, a unit's file. */
  where: string;
}

export interface Atlas extends Names {
  drives: readonly KernelDevice[];
  declared: readonly Declared[];
  /** Whether it is a listed drive or a partition of one, and no layer. */
  isOnDrive(name: string): boolean;
  /** Names of the drives (listed ones) that these devices are, or stand on. */
  drivesBehind(names: readonly string[]): Set<string>;
  ofMount(mount: Mount): string[];
  /** Devices that a path of the host lies on, mounted or not. */
  onPath(path: string): string[];
  /** The mount point, mounted or only declared, that a path lies below. */
  pointOf(path: string): string;
}

const declaredIn = ({ host }: Heard): Declared[] => [
  ...host.fstab.map(({ spec, point }) => ({ point, what: spec, where: '/etc/fstab' })),
  ...host.units.map(({ file, what, where }) => ({ point: where, what, where: file })),
];

/** `/mnt/usb/` and `/mnt/usb` are one place. */
const tidy = (path: string): string => (path.length > 1 ? path.replace(/\/+$/, '') || '/' : path);

const deepest = <T extends { point: string }>(places: readonly T[], path: string): T[] => {
  const around = places.filter(({ point }) => point.startsWith('/') && isWithin(path, tidy(point)));
  const length = Math.max(0, ...around.map(({ point }) => tidy(point).length));
  return around.filter(({ point }) => tidy(point).length === length);
};

/** Ends a circle that no kernel would make. */
const DEPTH = 12;

export const atlasOf = (
  heard: Heard,
  { assignments, loopDrives }: { assignments: readonly Assignment[]; loopDrives: readonly string[] },
): Atlas => {
  const names = namesIn(heard, assignments);
  const drives = heard.kernel.filter((device) => isDriveDevice(device, loopDrives));
  const listed = new Set(drives.map(({ name }) => name));
  const wholes = wholeDevices(heard.kernel);
  const hostMounts = heard.mounts.filter(({ host }) => host).map(({ mount }) => mount);
  const declared = declaredIn(heard);

  const ofMount = ({ device, fstype, source }: Mount): string[] => {
    const numbered = names.numbered(device);
    if (numbered.length > 0) return numbered;
    if (fstype === 'zfs') return poolDevices(source.split('/', 1)[0] ?? '');
    const named = names.named(source);
    if (fstype !== 'btrfs') return named;
    return [...named, ...heard.btrfs.filter((set) => set.some((name) => named.includes(name))).flat()];
  };

  const poolDevices = (pool: string): string[] =>
    heard.zfs.filter(({ name }) => name === pool).flatMap(({ devices }) => devices.flatMap(names.named));

  const ofDeclared = ({ what }: Declared, depth: number): string[] =>
    what.startsWith('/') && !what.startsWith('/dev/') ? onPathAt(what, depth - 1) : names.named(what);

  /** The deepest mount and the deepest declared one, and both where they are one place: it may be that the right one is not mounted. */
  const onPathAt = (path: string, depth: number): string[] => {
    if (depth === 0) return [];
    const mount = mountOf(hostMounts, path);
    return [...(mount ? ofMount(mount) : []), ...deepest(declared, path).flatMap((one) => ofDeclared(one, depth))];
  };
  const onPath = (path: string): string[] => [...new Set(onPathAt(tidy(path), DEPTH))];

  const below = (device: KernelDevice): string[] => [
    ...device.slaves,
    ...(device.md?.members ?? []),
    ...heard.md.filter(({ name }) => name === device.name).flatMap(({ members }) => members),
    ...ofBackingFile(device.backingFile?.replace(/ \(deleted\)$/, '') ?? ''),
    ...(/^zd\d+$/.test(device.name) ? heard.zfs.flatMap(({ devices }) => devices.flatMap(names.named)) : []),
  ];
  const ofBackingFile = (file: string): string[] =>
    file.startsWith('/dev/') ? names.named(file) : file === '' ? [] : onPath(file);

  const drivesBehind = (from: readonly string[]): Set<string> => {
    const seen = new Set<string>();
    const found = new Set<string>();
    const walk = (name: string): void => {
      const device = wholes.get(name);
      if (device === undefined || seen.has(device.name)) return;
      seen.add(device.name);
      if (listed.has(device.name)) found.add(device.name);
      else for (const lower of below(device)) walk(lower);
    };
    for (const name of from) walk(name);
    return found;
  };

  return {
    ...names,
    drives,
    declared,
    isOnDrive: (name) => listed.has(wholes.get(name)?.name ?? ''),
    drivesBehind,
    ofMount,
    onPath,
    pointOf: (path) => {
      const points = [...hostMounts.map(({ point }) => ({ point })), ...declared];
      return tidy(deepest(points, tidy(path))[0]?.point ?? '/');
    },
  };
};
