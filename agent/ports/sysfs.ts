/** What the kernel says of sensors and block devices: /sys and the links of /dev/disk. A block device is never opened. */
import { readdir, readlink, realpath } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { type BlockDevice, type KernelDevice, kernelDevice } from './sysfs-device.ts';
import { each, entries, line, surelyEntries, surelyLine } from './sysfs-read.ts';

export type { BlockDevice, KernelDevice } from './sysfs-device.ts';

export interface Chip {
  name: string;
  temperatures: { label: string; millidegrees: number }[];
}

export interface Sysfs {
  /** Rejects where /sys cannot be read. A device without numbers (a hidden path to an NVMe drive, or one that has just gone) is left out. */
  kernelDevices(): Promise<KernelDevice[]>;
  /** Sensors of the chips that `wanted` takes by name; of the others no sensor is read (reading drivetemp's may wake a drive). */
  hwmon(wanted: (chip: string) => boolean): Promise<Chip[]>;
  blockDevices(): Promise<BlockDevice[]>;
  /** Of each btrfs in use the names of its devices; none where the kernel has no btrfs. Rejects where /sys cannot be read. */
  btrfsMembers(): Promise<string[][]>;
  /** `/dev/disk/by-id/…` and its like, to the kernel's name. */
  diskLinks(): Promise<Record<string, string>>;
}

const temperature = async (chip: string, input: string) => {
  const [label, value] = await Promise.all([line(chip, input.replace('_input', '_label')), line(chip, input)]);
  return { label, millidegrees: value === '' ? Number.NaN : Number(value) };
};

const temperatures = async (chip: string) =>
  each(
    (await entries(chip)).filter((name) => /^temp\d+_input$/.test(name)),
    (input) => temperature(chip, input),
  );

const partitions = async (device: string, name: string) => {
  const inside = (await surelyEntries(device)).filter((entry) => entry.startsWith(name));
  const found = await each(inside, async (entry) => ({ name: entry, numbers: await surelyLine(device, entry, 'dev') }));
  return found.filter(({ numbers }) => numbers !== '');
};

const blockDevice = async (block: string, name: string): Promise<BlockDevice> => {
  const device = join(block, name);
  const [numbers, rotational, slaves, parts, dmName, dmUuid, real] = await Promise.all([
    surelyLine(device, 'dev'),
    line(device, 'queue', 'rotational'),
    surelyEntries(join(device, 'slaves')),
    partitions(device, name),
    line(device, 'dm', 'name'),
    line(device, 'dm', 'uuid'),
    realpath(device).catch(() => device),
  ]);
  return {
    name,
    numbers,
    rotational: rotational === '' ? null : rotational !== '0',
    usb: /\/usb\d+\//.test(real),
    slaves,
    partitions: parts,
    dm: dmName === '' ? null : { name: dmName, uuid: dmUuid },
  };
};

const linksIn = async (directory: string): Promise<[string, string][]> => {
  const targets = await each(await entries(directory), async (name): Promise<[string, string]> => {
    const link = join(directory, name);
    return [link, basename(await readlink(link).catch(() => ''))];
  });
  return targets.filter(([, target]) => target !== '');
};

export const createSysfs = ({ sys = '/sys', dev = '/dev' }: { sys?: string; dev?: string } = {}): Sysfs => ({
  kernelDevices: async () => {
    const block = join(sys, 'block');
    const [names, real] = await Promise.all([readdir(block), realpath(sys)]);
    const resolve = (path: string) => realpath(path).catch(() => path);
    const basic = (await each(names.sort(), (name) => blockDevice(block, name))).filter(({ numbers }) => numbers !== '');
    return Promise.all(basic.map((device) => kernelDevice(device, { block, sys: real, resolve })));
  },

  hwmon: async (wanted) => {
    const root = join(sys, 'class', 'hwmon');
    const chips = await each(await entries(root), async (entry) => ({
      path: join(root, entry),
      name: await line(root, entry, 'name'),
    }));
    const taken = chips.filter(({ name }) => name !== '' && wanted(name));
    return Promise.all(taken.map(async ({ path, name }) => ({ name, temperatures: await temperatures(path) })));
  },

  blockDevices: async () => {
    const block = join(sys, 'block');
    return each((await readdir(block)).sort(), (name) => blockDevice(block, name));
  },

  btrfsMembers: async () => {
    const root = join(sys, 'fs', 'btrfs');
    const sets = await each(await surelyEntries(root), (fsid) => surelyEntries(join(root, fsid, 'devices')));
    return sets.filter((members) => members.length > 0);
  },

  diskLinks: async () => {
    const root = join(dev, 'disk');
    const found = (await each(await entries(root), (kind) => linksIn(join(root, kind)))).flat();
    return Object.fromEntries(found.map(([link, name]) => [join('/dev', link.slice(dev.length)), name]));
  },
});
