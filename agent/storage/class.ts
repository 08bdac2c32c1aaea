/** How quick the drives behind a path or a storage are, from what the kernel shows of them. Pure. */

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
}

/** A drive, or the drive that a partition belongs to, by name or numbers. */
const deviceOf = (devices: readonly BlockDevice[], key: string): BlockDevice | undefined =>
  devices.find(
    ({ name, numbers, partitions }) =>
      name === key || numbers === key || partitions.some((partition) => partition.name === key || partition.numbers === key),
  );

/** The devices at the bottom of a stack of layers; undefined for one that is gone. `depth` ends a loop that a kernel would not make. */
const leaves = (devices: readonly BlockDevice[], device: BlockDevice | undefined, depth = 8): (BlockDevice | undefined)[] =>
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
const classOfDevices = (devices: readonly BlockDevice[], found: readonly (BlockDevice | undefined)[]): DriveClass => {
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

/** btrfs shows `0:NN` for its numbers and only one of its devices. */
const namesBehind = (drives: Drives, { device, fstype, source }: Mount): string[] => {
  if (!device.startsWith('0:')) return [device];
  if (fstype !== 'btrfs' || !source.startsWith('/dev/')) return [];
  const name = kernelName(drives, source);
  return [...(drives.btrfsMembers.find((members) => members.includes(name)) ?? [name])];
};

/** Of a path on the host: a directory, or a block device. */
export const classOfPath = (drives: Drives, path: string): DriveClass => {
  const { devices } = drives;
  if (path.startsWith('/dev/')) return classOfDevices(devices, [deviceOf(devices, kernelName(drives, path))]);
  const mount = mountOf(drives.mounts, path);
  const names = mount === undefined ? [] : namesBehind(drives, mount);
  return classOfDevices(
    devices,
    names.map((name) => deviceOf(devices, name)),
  );
};

/** `pve-vm--101--disk--0` is volume `vm-101-disk-0` of group `pve`: a hyphen of a name is doubled. */
const splitLvm = (dmName: string): [group: string, volume: string] => {
  const joint = dmName.replaceAll('--', '\0\0').indexOf('-');
  const at = joint < 0 ? dmName.length : joint;
  const plain = (part: string) => part.replaceAll('--', '-');
  return [plain(dmName.slice(0, at)), plain(dmName.slice(at + 1))];
};

/** The group's volumes are on its drives. A thin pool's data may lie on some of them only. */
const classOfGroup = ({ devices }: Drives, group: string, thinPool: string): DriveClass => {
  const volumes = devices.flatMap((device) => {
    if (!device.dm?.uuid.startsWith('LVM-')) return [];
    const [owner, volume] = splitLvm(device.dm.name);
    return owner === group ? [{ device, volume }] : [];
  });
  const data = volumes.filter(({ volume }) => thinPool !== '' && volume === `${thinPool}_tdata`);
  return classOfDevices(
    devices,
    (data.length > 0 ? data : volumes).map(({ device }) => device),
  );
};

/** Proxmox's `is_mountpoint`: the storage's own path, or another one, must be a mount. */
export const requiredMount = ({ path, keys }: StorageConfig): string => {
  const value = keys.is_mountpoint ?? '';
  if (/^(1|on|yes|true)$/i.test(value)) return path;
  return value.startsWith('/') ? value : '';
};

const classOfDirectory = (drives: Drives, config: StorageConfig): DriveClass => {
  const required = requiredMount(config);
  if (config.path === '' || (required !== '' && !drives.mounts.some(({ point }) => point === required))) return '';
  return classOfPath(drives, config.path);
};

/** Only types whose drives are this host's own; a network storage's class is not ours to know. */
export const classOfStorage = (drives: Drives, config: StorageConfig): DriveClass => {
  switch (config.type) {
    case 'dir':
    case 'btrfs':
      return classOfDirectory(drives, config);
    case 'lvm':
    case 'lvmthin':
      return classOfGroup(drives, config.keys.vgname ?? '', config.type === 'lvmthin' ? (config.keys.thinpool ?? '') : '');
    default:
      return '';
  }
};
