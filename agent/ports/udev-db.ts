/** udev's database, /run/udev/data: what udev found out of each block device. Only files are read; udevadm(8) is not asked. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { NotUnderstood } from '../not-understood.ts';
import type { KernelDevice } from './sysfs.ts';

/** What udev's database holds of one block device. */
export interface UdevEntry {
  /** `ID_SERIAL_SHORT`, `ID_WWN`, `ID_MODEL`, `ID_FS_UUID` … as they stand; never trusted to prove a drive blank. */
  properties: Readonly<Record<string, string>>;
  /** `/dev/disk/by-id/…`, whole. */
  links: readonly string[];
}

export interface UdevDb {
  /**
   * By kernel name, of drives and of their partitions. A device that udev has not finished with is left out.
   * Rejects where the database cannot be read, knows no block device at all, or has a file that is not understood.
   */
  read(devices: readonly Pick<KernelDevice, 'name' | 'numbers' | 'partitions'>[]): Promise<Map<string, UdevEntry>>;
}

/** One file: `I:` when udev had finished with it, microseconds; `S:` links below /dev; `E:` properties; others are of no use here (systemd:src/libsystemd/sd-device/device-private.c). */
export const parseUdevFile = (text: string, file: string): UdevEntry | null => {
  const lines = text.split('\n').filter((line) => line !== '');
  if (lines.some((line) => !/^[A-Z]:/.test(line))) throw new NotUnderstood(`udev's ${file} is not understood`);
  const values = (kind: string) => lines.filter((line) => line.startsWith(`${kind}:`)).map((line) => line.slice(2));
  if (!values('I').some((at) => /^[1-9]\d*$/.test(at))) return null;
  const properties = values('E').map((line): [string, string] => {
    const equals = line.indexOf('=');
    if (equals < 1) throw new NotUnderstood(`udev's ${file} is not understood`);
    return [line.slice(0, equals), line.slice(equals + 1)];
  });
  return { properties: Object.fromEntries(properties), links: values('S').map((link) => join('/dev', link)) };
};

export const createUdevDb = (directory = '/run/udev'): UdevDb => {
  const data = join(directory, 'data');
  /** Null where udev knows nothing of it. */
  const entry = async (numbers: string): Promise<UdevEntry | null> => {
    const file = `b${numbers}`;
    try {
      return parseUdevFile(await readFile(join(data, file), 'utf8'), file);
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
      throw error;
    }
  };
  return {
    read: async (devices) => {
      // An empty directory is what a sandbox shows, or a host on which udev has not begun.
      if (!(await readdir(data)).some((name) => /^b\d+:\d+$/.test(name))) throw new NotUnderstood('it knows no block device');
      const wanted = devices.flatMap((device) => [device, ...device.partitions]);
      const found = await Promise.all(wanted.map(async ({ name, numbers }) => [name, await entry(numbers)] as const));
      return new Map(found.filter((one): one is [string, UdevEntry] => one[1] !== null));
    },
  };
};
