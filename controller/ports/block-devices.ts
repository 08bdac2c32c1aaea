/** The whole disks behind a mounted device, from sysfs: partitions, device mapper, md and btrfs followed down to them. */
import { readdir, readFile, realpath } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

export interface Disk {
  /** `sda`. */
  name: string;
  /** Below sysfs, links followed: `/devices/pci0000:00/…`. */
  path: string;
  /** What it calls itself: wwid, serial and SCSI's device identification (VPD page 0x83), as text. */
  ids: string;
}

const text = (file: string): Promise<string> => readFile(file, 'latin1').catch(() => '');
const names = (directory: string): Promise<string[]> => readdir(directory).catch(() => []);

const diskAt = async (sys: string, path: string): Promise<Disk> => {
  const ids = ['device/wwid', 'wwid', 'serial', 'device/serial', 'device/vpd_pg83'].map((name) => text(join(path, name)));
  return { name: basename(path), path: path.slice(sys.length), ids: (await Promise.all(ids)).join('\n') };
};

/** Follows a block device down; null where sysfs does not know it. */
const below = async (sys: string, link: string): Promise<Disk[] | null> => {
  const path = await realpath(link).catch(() => null);
  if (path === null) return null;
  const slaves = await names(join(path, 'slaves'));
  if (slaves.length > 0) return allOf(slaves.map((name) => below(sys, join(path, 'slaves', name))));
  const isPartition = (await text(join(path, 'partition'))) !== '';
  return isPartition ? below(sys, dirname(path)) : [await diskAt(sys, path)];
};

/** One that is not known makes the whole not known. */
const allOf = async (parts: Promise<Disk[] | null>[]): Promise<Disk[] | null> => {
  const found = await Promise.all(parts);
  if (found.some((one) => one === null)) return null;
  const disks = found.flatMap((one) => one ?? []);
  return disks.filter(({ path }, index) => disks.findIndex((one) => one.path === path) === index);
};

/** All members of the btrfs that this device belongs to. */
const btrfsMembers = async (sys: string, device: string): Promise<Disk[] | null> => {
  for (const uuid of await names(join(sys, 'fs/btrfs'))) {
    const members = join(sys, 'fs/btrfs', uuid, 'devices');
    const found = await names(members);
    if (found.includes(device)) return allOf(found.map((name) => below(sys, join(members, name))));
  }
  return null;
};

export interface MountedDevice {
  /** `8:1`, as mountinfo has it. */
  device: string;
  fstype: string;
  /** `/dev/sda1`; empty where it is not known. */
  source: string;
}

/** Null: not known. A file system of several devices has no number of its own in sysfs; only btrfs is followed. */
export const disksBehind = async ({ device, fstype, source }: MountedDevice, sys = '/sys'): Promise<Disk[] | null> => {
  const root = await realpath(sys).catch(() => sys);
  if (fstype !== 'btrfs') return below(root, join(root, 'dev/block', device));
  const name = basename(await realpath(source).catch(() => source));
  return name === '' ? null : btrfsMembers(root, name);
};
