/** What a mount lies on, by what the kernel says of its devices. Pure; a file system is never touched for it. */
import { posix } from 'node:path';
import type { Mount } from '#shared/mountinfo';
import type { KernelDevice } from '../../ports/sysfs.ts';
import type { Drive, DriveFilesystem } from '../inventory/drive.ts';

/** A block device as mounts name it. */
export interface MountedDevice {
  name: string;
  numbers: string;
  /** The drive that it is, or is a partition of. */
  drive: KernelDevice;
}

const nodesOf = (drive: KernelDevice): MountedDevice[] =>
  [drive, ...drive.partitions].map(({ name, numbers }) => ({ name, numbers, drive }));

/** btrfs, network and other file systems without one device of their own have numbers that the kernel made up (`0:43`). */
const hasOwnNumbers = ({ device }: Mount): boolean => !device.startsWith('0:');

/** btrfs is told by the device that it names as its source. */
const isOn =
  (mount: Mount) =>
  ({ name, numbers }: MountedDevice): boolean =>
    hasOwnNumbers(mount) ? numbers === mount.device : mount.source === `/dev/${name}`;

export const deviceOf = (mount: Mount, devices: readonly KernelDevice[]): MountedDevice | undefined =>
  devices.flatMap(nodesOf).find(isOn(mount));

/** The device has gone while it was mounted: it was pulled out. */
export const isDead = (mount: Mount, devices: readonly KernelDevice[]): boolean =>
  (hasOwnNumbers(mount) || posix.dirname(mount.source) === '/dev') && deviceOf(mount, devices) === undefined;

export interface Seen {
  mounts: readonly Mount[];
  devices: readonly KernelDevice[];
  /** Of each btrfs in use the names of its devices. */
  btrfs: readonly (readonly string[])[];
}

/** The mount that a path leads to: of several on it the last, which covers the others. */
export const mountAt = (mounts: readonly Mount[], point: string): Mount | undefined =>
  mounts.findLast((mount) => mount.point === point);

/** Where the kernel has no driver of its own, a program mounts it (mount.exfat-fuse(8)). */
const isType = (mount: Mount, fstype: string): boolean => mount.fstype === fstype || mount.fstype === 'fuseblk';

/** The file system that is meant, on the very device that it was found on. */
export interface Source {
  drive: Pick<Drive, 'device'>;
  filesystem: Pick<DriveFilesystem, 'device' | 'numbers' | 'fstype'>;
}

/** Why what is mounted at a place is not that; empty where it is. For the log. */
export const whyNotMounted = (point: string, { drive, filesystem }: Source, { mounts, devices, btrfs }: Seen): string => {
  const { device, numbers, fstype } = filesystem;
  const mount = mountAt(mounts, point);
  if (mount === undefined) return `nothing is mounted at ${point}`;
  if (!isType(mount, fstype)) return `${mount.fstype} is mounted at ${point}, not ${fstype}`;
  const on = deviceOf(mount, devices);
  if (on === undefined) return `${mount.source} (${mount.device}) at ${point} is not there any more`;
  if (on.name !== device || on.numbers !== numbers)
    return `${on.name} (${on.numbers}) is mounted at ${point}, not ${device} (${numbers})`;
  if (on.drive.diskseq !== drive.device.diskseq) return `another drive is ${on.drive.name} now`;
  const set = btrfs.find((names) => names.includes(device));
  if (set !== undefined && set.length > 1) return `the btrfs at ${point} is on ${set.join(' and ')}`;
  return '';
};
