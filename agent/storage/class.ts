/** Which drives are behind a path or a storage, and how quick they are, from what the kernel shows of them. Pure. */

import { type Mount, mountOf } from '#shared/mountinfo';
import type { StorageConfig } from '../ports/proxmox.ts';
import type { BlockDevice } from '../ports/sysfs.ts';

export type DriveClass = 'fast' | 'slow' | '';

export interface Drives {
  devices: readonly BlockDevice[];
  mounts: readonly Mount[];
  btrfsMembers: readonly (readonly string[])[];
  /** `/dev/disk/by-id/…` to the kernel's name. */
  links: Readonly<Record<string, string>>;
  /** Imported ZFS pools with their devices; left out where nobody asked. */
  zfsPools?: readonly { name: string; devices: readonly string[] }[];
}

/** Devices that carry something; undefined for one that is gone. */
type Found = readonly (BlockDevice | undefined)[];

/** A drive, or the drive that a partition belongs to, by name or numbers. */
const deviceOf = (devices: readonly BlockDevice[], key: string): BlockDevice | undefined =>
  devices.find(
    ({ name, numbers, partitions }) =>
      name === key || numbers === key || partitions.some((partition) => partition.name === key || partition.numbers === key),
  );

/** The devices at the bottom of a stack of layers; undefined for one that is gone. `depth` ends a loop that a kernel would not make. */
const leaves = (devices: readonly BlockDevice[], device: BlockDevice | undefined, depth = 8): Found =>
  device === undefined || device.slaves.length === 0 || depth === 0
    ? [device]
    : device.slaves.flatMap((slave) => leaves(devices, deviceOf(devices, slave), depth - 1));

/** Many USB bridges call every drive a spinning one, so of USB only "does not spin" is believed. */
const classOfLeaf = (device: BlockDevice | undefined): DriveClass => {
  if (device === undefined || device.rotational === null) return '';
  if (device.rotational) return device.usb ? '' : 'slow';
  return 'fast';
};

/** One slow drive slows a set; one that nobody knows makes the set unknown. */
const classOfDevices = (devices: readonly BlockDevice[], found: Found): DriveClass => {
  const classes = found.flatMap((device) => leaves(devices, device)).map(classOfLeaf);
  if (classes.includes('slow')) return 'slow';
  return classes.length > 0 && classes.every((one) => one === 'fast') ? 'fast' : '';
};

const kernelName = ({ devices, links }: Drives, path: string): string => {
  const linked = links[path];
  if (linked !== undefined) return linked;
  const mapped = path.startsWith('/dev/mapper/') ? path.slice('/dev/mapper/'.length) : undefined;
  return devices.find(({ dm }) => mapped !== undefined && dm?.name === mapped)?.name ?? path.slice(path.lastIndexOf('/') + 1);
};

const devicesNamed = ({ devices }: Drives, names: readonly string[]): Found => names.map((name) => deviceOf(devices, name));

/** Of a pool, or of any of its datasets; empty where the pool is not known. */
const devicesOfPool = (drives: Drives, dataset: string): Found => {
  const [name] = dataset.split('/');
  const pool = drives.zfsPools?.find((one) => one.name === name);
  return devicesNamed(drives, pool?.devices.map((path) => kernelName(drives, path)) ?? []);
};

/** btrfs and ZFS show `0:NN` for their numbers, and btrfs only one of its devices. */
const devicesOfMount = (drives: Drives, { device, fstype, source }: Mount): Found => {
  if (!device.startsWith('0:')) return devicesNamed(drives, [device]);
  if (fstype === 'zfs') return devicesOfPool(drives, source);
  if (fstype !== 'btrfs' || !source.startsWith('/dev/')) return [];
  const name = kernelName(drives, source);
  return devicesNamed(drives, drives.btrfsMembers.find((members) => members.includes(name)) ?? [name]);
};

/** Of a path on the host: a directory, or a block device. */
const devicesOfPath = (drives: Drives, path: string): Found => {
  if (path.startsWith('/dev/')) return devicesNamed(drives, [kernelName(drives, path)]);
  const mount = mountOf(drives.mounts, path);
  return mount === undefined ? [] : devicesOfMount(drives, mount);
};

export const classOfPath = (drives: Drives, path: string): DriveClass =>
  classOfDevices(drives.devices, devicesOfPath(drives, path));

/** `pve-vm--101--disk--0` is volume `vm-101-disk-0` of group `pve`: a hyphen of a name is doubled. */
const splitLvm = (dmName: string): [group: string, volume: string] => {
  const joint = dmName.replaceAll('--', '\0\0').indexOf('-');
  const at = joint < 0 ? dmName.length : joint;
  const plain = (part: string) => part.replaceAll('--', '-');
  return [plain(dmName.slice(0, at)), plain(dmName.slice(at + 1))];
};

/** The group's volumes are on its drives. A thin pool's data may lie on some of them only. @param parts the pool's `tdata`, `tmeta` */
const devicesOfGroup = ({ devices }: Drives, group: string, thinPool: string, parts: readonly string[]): Found => {
  const volumes = devices.flatMap((device) => {
    if (!device.dm?.uuid.startsWith('LVM-')) return [];
    const [owner, volume] = splitLvm(device.dm.name);
    return owner === group ? [{ device, volume }] : [];
  });
  const wanted = parts.map((part) => `${thinPool}_${part}`);
  const own = volumes.filter(({ volume }) => thinPool !== '' && wanted.includes(volume));
  return (own.length > 0 ? own : volumes).map(({ device }) => device);
};

/** Proxmox's `is_mountpoint`: the storage's own path, or another one, must be a mount. */
export const requiredMount = ({ path, keys }: StorageConfig): string => {
  const value = keys.is_mountpoint ?? '';
  if (/^(1|on|yes|true)$/i.test(value)) return path;
  return value.startsWith('/') ? value : '';
};

const devicesOfDirectory = (drives: Drives, config: StorageConfig): Found => {
  const required = requiredMount(config);
  if (config.path === '' || (required !== '' && !drives.mounts.some(({ point }) => point === required))) return [];
  return devicesOfPath(drives, config.path);
};

/** Null for types whose drives are not this host's own: a network storage's are not ours to know. */
const devicesOfStorage = (drives: Drives, config: StorageConfig, parts: readonly string[]): Found | null => {
  switch (config.type) {
    case 'dir':
    case 'btrfs':
      return devicesOfDirectory(drives, config);
    case 'lvm':
      return devicesOfGroup(drives, config.keys.vgname ?? '', '', parts);
    case 'lvmthin':
      return devicesOfGroup(drives, config.keys.vgname ?? '', config.keys.thinpool ?? '', parts);
    case 'zfspool':
      return devicesOfPool(drives, config.keys.pool ?? '');
    default:
      return null;
  }
};

export const classOfStorage = (drives: Drives, config: StorageConfig): DriveClass =>
  classOfDevices(drives.devices, devicesOfStorage(drives, config, ['tdata']) ?? []);

export interface DrivesBehind {
  /** Kernel names, each once. */
  names: readonly string[];
  /** False where some are not known, or all. */
  whole: boolean;
}

/** Every drive that a storage is lost with; null where none of this host's is behind it. */
export const drivesBehind = (drives: Drives, config: StorageConfig): DrivesBehind | null => {
  const found = devicesOfStorage(drives, config, ['tdata', 'tmeta']);
  if (found === null) return null;
  const bottom = found.flatMap((device) => leaves(drives.devices, device));
  const names = new Set(bottom.flatMap((device) => (device === undefined ? [] : [device.name])));
  return { names: [...names].sort(), whole: bottom.length > 0 && !bottom.includes(undefined) };
};
