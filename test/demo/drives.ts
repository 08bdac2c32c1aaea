/** The drives of the demo's host: real loop devices on sparse files, described in a udev database of the demo's own. */
import { mkdir, open, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { createLab, type DriveSpec, type Lab, type LabDrive, type LabFilesystem, labMissing, run } from '../system/drives/lab.ts';
import { followDrives } from './follow-drives.ts';
import { mountRootOf, takeDown } from './take-down.ts';

export interface DemoDrives {
  /** Kernel names, as `demo.json` has them. */
  devices: { system: string; backup: string; user_data: string[]; blank: string };
  /** Of agent.yaml. */
  settings: { mount_root: string; udev_dir: string; loop_drives: readonly string[]; guests: readonly number[] };
  /** Nothing is described any more that is attached from now on. */
  close(): Promise<void>;
}

/** Megabytes; xfs wants 300 at least, beside a partition table. Serial numbers and names as the makers print them; none of them exists. */
const DRIVES = {
  system: { name: 'system', mb: 300, model: 'Samsung SSD 870 EVO', serial: 'S62ANJ0R000101', wwn: '0x5002538f00000101' },
  backup: { name: 'backup', mb: 320, model: 'WDC WD20EFZX-68A', serial: 'WD-WX12A0000102', wwn: '0x50014ee200000102' },
  photos: { name: 'photos', mb: 128, model: 'Portable SSD T7', serial: 'S5SXNS0R000103', bus: 'usb' },
  films: { name: 'films', mb: 320, model: 'ST4000VN006-3CW104', serial: 'ZW6000104', wwn: '0x5000c50000000104' },
  blank: { name: 'blank', mb: 64, model: 'Elements 25A3', serial: 'WXB2A0000105', bus: 'usb' },
} as const satisfies Record<string, DriveSpec>;

const FILES: Readonly<Record<'photos' | 'films', Readonly<Record<string, string>>>> = {
  photos: {
    '2026/beach.txt': 'A photo of a beach, in words.\n',
    '2026/mountains.txt': 'A photo of mountains, in words.\n',
  },
  films: { 'wedding.txt': 'A film of a wedding, in words.\n' },
};

const FIRST_SECTOR = 2048;
const LINUX = 0x83;

/**
 * One partition over the whole drive, in a table as old as the PC: every machine can write it without a program.
 * https://en.wikipedia.org/wiki/Master_boot_record#PTE
 */
const partition = async (lab: Lab, drive: LabDrive): Promise<string> => {
  const table = Buffer.alloc(512);
  table.writeUInt32LE(0xfe1404, 440);
  table.writeUInt8(LINUX, 446 + 4);
  table.writeUInt32LE(FIRST_SECTOR, 446 + 8);
  table.writeUInt32LE(((drive.spec.mb ?? 0) * 1024 ** 2) / 512 - FIRST_SECTOR, 446 + 12);
  table.writeUInt16LE(0xaa55, 510);
  const handle = await open(drive.device, 'r+');
  await handle.write(table, 0, 512, 0);
  await handle.close();
  await run('partx', '-u', drive.device);
  await lab.settle(drive);
  return `${drive.device}p1`;
};

/** The first of these that this machine can make and mount; it stays mounted at `point`. */
const mountFirst = async (lab: Lab, device: string, types: readonly LabFilesystem[], point: string, label: string) => {
  await mkdir(point, { recursive: true });
  const failures: string[] = [];
  for (const type of types) {
    try {
      await lab.mkfs(device, type, { label });
      return await run('mount', '-t', type, '-o', 'nosuid,nodev', device, point);
    } catch (error) {
      failures.push(error instanceof Error ? error.message : String(error));
    }
  }
  throw new Error(`no file system could be made: ${failures.join('; ')}`);
};

/** Puts files on a drive that lies unmounted afterwards, as one that the customer has brought. */
const fill = async (lab: Lab, device: string, types: readonly LabFilesystem[], label: 'photos' | 'films'): Promise<void> => {
  const point = join(lab.dir, 'filled');
  await mountFirst(lab, device, types, point, label);
  for (const [path, text] of Object.entries(FILES[label])) {
    await mkdir(dirname(join(point, path)), { recursive: true });
    await writeFile(join(point, path), text);
  }
  await run('umount', point);
};

export interface DriveOptions {
  /** The demo's directory, as the kernel names it. */
  dir: string;
  /** Where the storages of guests' disks and of archives are mounted. */
  system: string;
  backup: string;
}

const build = async ({ dir, system, backup }: DriveOptions): Promise<DemoDrives> => {
  const place = join(dir, 'drives');
  await mkdir(place, { recursive: true });
  const lab = await createLab(place, []);
  const systemDrive = await lab.drive(DRIVES.system);
  await mountFirst(lab, systemDrive.device, ['btrfs', 'ext4'], system, 'local');
  const backupDrive = await lab.drive(DRIVES.backup);
  await mountFirst(lab, backupDrive.device, ['ext4'], backup, 'backup');
  const photos = await lab.drive(DRIVES.photos);
  await fill(lab, photos.device, ['ext4'], 'photos');
  const films = await lab.drive(DRIVES.films);
  await fill(lab, await partition(lab, films), ['xfs', 'btrfs', 'ext4'], 'films');
  const blank = await lab.drive(DRIVES.blank);
  const { close } = followDrives(lab, [systemDrive, backupDrive, photos, films, blank]);
  return {
    close,
    devices: { system: systemDrive.name, backup: backupDrive.name, user_data: [photos.name, films.name], blank: blank.name },
    settings: { mount_root: mountRootOf(dir), udev_dir: lab.udevDir, loop_drives: lab.loopDrives, guests: [101] },
  };
};

/** Makes and attaches them; they are for guest 101. @returns why that is not possible here, in words, with nothing left behind */
export const buildDrives = async (options: DriveOptions): Promise<DemoDrives | string> => {
  if (labMissing !== '') return labMissing;
  try {
    return await build(options);
  } catch (error) {
    await takeDown(options.dir);
    return `they could not be made here: ${error instanceof Error ? error.message : String(error)}`;
  }
};
