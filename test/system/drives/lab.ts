/** Drives for tests that need real ones: loop devices on sparse files, described in a udev database of the lab's own. Leaves nothing behind. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, open, readdir, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { type Mount, parseMountinfo } from '#shared/mountinfo';

const exec = promisify(execFile);

/** One deadline for everything that the lab runs: a drive that hangs fails its test instead of stopping the run. */
const TIMEOUT_MS = 20_000;
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Standard output, trimmed. Rejects with what the program said when it ends other than with 0. */
export const run = async (program: string, ...args: string[]): Promise<string> => {
  const { stdout } = await exec(program, args, { timeout: TIMEOUT_MS, killSignal: 'SIGKILL', env: { PATH, LC_ALL: 'C' } });
  return stdout.trim();
};

/** Exit status and both outputs, whatever they are. */
export const outcome = async (program: string, ...args: string[]): Promise<{ exit: number; stdout: string; stderr: string }> => {
  try {
    const { stdout, stderr } = await exec(program, args, {
      timeout: TIMEOUT_MS,
      killSignal: 'SIGKILL',
      env: { PATH, LC_ALL: 'C' },
    });
    return { exit: 0, stdout, stderr };
  } catch (error) {
    const { code, stdout = '', stderr = '' } = error as { code?: unknown; stdout?: string; stderr?: string };
    if (typeof code !== 'number') throw error;
    return { exit: code, stdout, stderr };
  }
};

/** Why there can be no lab here; empty where there can be one. For `describe.skipIf(labMissing !== '')`, with the sentence in its title. */
export const labMissing =
  process.getuid?.() !== 0
    ? 'loop devices need root'
    : existsSync('/dev/loop-control')
      ? ''
      : 'the kernel here has no loop devices (/dev/loop-control)';

/** Which of these programs are not installed, as a sentence's end: for a test that needs them. */
export const programsMissing = (...names: readonly string[]): string => {
  const missing = names.filter((name) => !PATH.split(':').some((directory) => existsSync(join(directory, name))));
  return missing.length === 0 ? '' : `${missing.join(', ')} not installed`;
};

/** Whether this kernel can mount a type of file system; elsewhere a test says which it lacks. */
export const kernelMounts = async (fstype: string): Promise<boolean> =>
  (await readFile('/proc/filesystems', 'utf8')).split('\n').some((line) => line.trim().split(/\s+/).at(-1) === fstype);

export interface DriveSpec {
  /** Name of the file behind it, and of the model where that is left out: `photos`. */
  name: string;
  /** Default 64. */
  mb?: number;
  model?: string;
  serial?: string;
  /** `0x5000c500a1b2c3d4` */
  wwn?: string;
  /** `usb`, `ata`: first word of its link in /dev/disk/by-id. Default `ata`. */
  bus?: string;
}

export interface LabDrive {
  /** The file behind. */
  file: string;
  /** `/dev/loop3` */
  device: string;
  /** `loop3` */
  name: string;
  /** `7:3` */
  numbers: string;
  spec: DriveSpec;
}

export interface MakeOptions {
  uuid?: string;
  label?: string;
  /** More arguments for mkfs. */
  args?: readonly string[];
}

export interface Lab {
  /** The lab's own directory, mode 0700, removed at the end. */
  dir: string;
  /** For `disks.udev_dir`. */
  udevDir: string;
  /** For `disks.loop_drives`: the files behind all drives, also those made later. */
  loopDrives: string[];
  /** A new drive, full of zeros. */
  drive(spec: DriveSpec): Promise<LabDrive>;
  /** The same file in another loop device, as a replug brings back a drive under another name. */
  attach(file: string, spec: DriveSpec): Promise<LabDrive>;
  /** Pulls the plug: away with the loop device (its file stays). Rejects when it is still in use. */
  detach(drive: LabDrive): Promise<void>;
  /** Writes a partition table as sfdisk(8) reads it, `label: gpt\n,20M\n,`. @returns the partitions' device files */
  partition(drive: LabDrive, script: string): Promise<string[]>;
  /** Makes a file system (or swap, LUKS, a physical volume) on a drive or partition, and lets the udev database know. @returns its UUID */
  mkfs(device: string, fstype: LabFilesystem, options?: MakeOptions): Promise<string>;
  /** Writes down what udev would know of a drive and its partitions now. Done by all of the above; needed after writing by other means. */
  settle(drive: LabDrive): Promise<void>;
  /** Forgets a device, as while udev is still busy with it. */
  unsettle(numbers: string): Promise<void>;
  /** Mounts in the mount namespace of the test; taken away at the end. */
  mount(device: string, point: string, ...options: string[]): Promise<void>;
  umount(point: string): Promise<void>;
  /** To be done at the end, last first, before the drives go. */
  undo(step: () => unknown): void;
}

const MAKE = {
  ext4: ({ uuid, label }) => ['mkfs.ext4', '-q', '-F', ...(uuid ? ['-U', uuid] : []), ...(label ? ['-L', label] : [])],
  xfs: ({ uuid, label }) => ['mkfs.xfs', '-q', '-f', ...(uuid ? ['-m', `uuid=${uuid}`] : []), ...(label ? ['-L', label] : [])],
  btrfs: ({ uuid, label }) => ['mkfs.btrfs', '-q', '-f', ...(uuid ? ['-U', uuid] : []), ...(label ? ['-L', label] : [])],
  exfat: ({ label }) => ['mkfs.exfat', ...(label ? ['-n', label] : [])],
  vfat: ({ uuid, label }) => ['mkfs.vfat', ...(uuid ? ['-i', uuid.replace('-', '')] : []), ...(label ? ['-n', label] : [])],
  ntfs: ({ label }) => ['mkfs.ntfs', '-q', '-F', '-f', ...(label ? ['-L', label] : [])],
  swap: ({ uuid, label }) => ['mkswap', '-q', ...(uuid ? ['-U', uuid] : []), ...(label ? ['-L', label] : [])],
  lvm2: () => ['pvcreate', '-ff', '-y', '-q', '--config', 'devices/use_devicesfile=0'],
} as const satisfies Record<string, (options: MakeOptions) => readonly string[]>;
export type LabFilesystem = keyof typeof MAKE;

/** `KEY=value` lines of `blkid -p -o export`, of the device itself and never from a cache; none where it finds nothing. */
const probed = async (device: string): Promise<Record<string, string>> => {
  const { stdout } = await outcome('blkid', '-p', '-o', 'export', device);
  return Object.fromEntries(
    stdout.split('\n').flatMap((line): [string, string][] => {
      const [, key = '', value = ''] = /^([A-Z_0-9]+)=(.*)$/.exec(line) ?? [];
      return key === '' ? [] : [[key, value.replace(/\\(.)/g, '$1')]];
    }),
  );
};

/** Names as udev's builtin blkid gives them. */
const contentProperties = (found: Record<string, string>): [string, string][] =>
  [
    ['ID_FS_TYPE', found.TYPE],
    ['ID_FS_USAGE', found.USAGE],
    ['ID_FS_UUID', found.UUID],
    ['ID_FS_LABEL', found.LABEL],
    ['ID_PART_TABLE_TYPE', found.PTTYPE],
    ['ID_PART_TABLE_UUID', found.PTUUID],
    ['ID_PART_ENTRY_UUID', found.PART_ENTRY_UUID],
    ['ID_PART_ENTRY_TYPE', found.PART_ENTRY_TYPE],
    ['ID_PART_ENTRY_NAME', found.PART_ENTRY_NAME],
  ].filter((entry): entry is [string, string] => entry[1] !== undefined);

const hardwareProperties = ({ name, model = name, serial = '', wwn = '', bus = 'ata' }: DriveSpec): [string, string][] => [
  ['ID_BUS', bus],
  ['ID_MODEL', model.replaceAll(' ', '_')],
  ...(serial === ''
    ? []
    : ([
        ['ID_SERIAL_SHORT', serial],
        ['ID_SERIAL', `${model.replaceAll(' ', '_')}_${serial}`],
      ] as [string, string][])),
  ...(wwn === '' ? [] : ([['ID_WWN', wwn]] as [string, string][])),
];

const linksOf = (spec: DriveSpec, part: string, found: Record<string, string>): string[] => {
  const suffix = part === '' ? '' : `-part${part}`;
  const { name, model = name, serial = '', wwn = '', bus = 'ata' } = spec;
  return [
    ...(serial === '' ? [] : [`disk/by-id/${bus}-${model.replaceAll(' ', '_')}_${serial}${suffix}`]),
    ...(wwn === '' ? [] : [`disk/by-id/wwn-${wwn}${suffix}`]),
    ...(found.UUID === undefined ? [] : [`disk/by-uuid/${found.UUID}`]),
    ...(found.PART_ENTRY_UUID === undefined ? [] : [`disk/by-partuuid/${found.PART_ENTRY_UUID}`]),
  ];
};

const numbersOf = (name: string): Promise<string> => readFile(`/sys/class/block/${name}/dev`, 'utf8').then((text) => text.trim());

const partitionsOf = async (name: string): Promise<string[]> =>
  (await readdir(`/sys/block/${name}`)).filter((entry) => entry.startsWith(`${name}p`)).sort();

/** One entry of udev's database, as systemd's sd-device writes it to /run/udev/data (device-private.c, device_update_db). */
const writeEntry = async (udevDir: string, spec: DriveSpec, name: string, part: string): Promise<void> => {
  const found = await probed(`/dev/${name}`);
  const lines = [
    ...linksOf(spec, part, found).map((link) => `S:${link}`),
    'I:1000000',
    ...[...hardwareProperties(spec), ...contentProperties(found)].map(([key, value]) => `E:${key}=${value}`),
    'V:1',
  ];
  await writeFile(join(udevDir, 'data', `b${await numbersOf(name)}`), `${lines.join('\n')}\n`);
};

const mounts = async (): Promise<Mount[]> => parseMountinfo(await readFile('/proc/self/mountinfo', 'utf8'));

/** Everything mounted from a loop device or one of its partitions, or below a directory; the last mounted first. */
const unmountAll = async (concerns: (mount: Mount) => boolean): Promise<void> => {
  for (const { point } of (await mounts()).filter(concerns).reverse()) await run('umount', point);
};

const isOf = (device: string, source: string): boolean => source === device || source.startsWith(`${device}p`);

const backingFile = (name: string): Promise<string> =>
  readFile(`/sys/block/${name}/loop/backing_file`, 'utf8').then(
    (text) => text.trim(),
    () => '',
  );

/** Takes a loop device away, and says so if the kernel only promised to do it later (somebody still has it open). */
const detachLoop = async (device: string, file: string): Promise<void> => {
  await outcome('partx', '-d', device);
  await run('losetup', '-d', device);
  for (let tries = 0; (await backingFile(basename(device))).startsWith(file); tries += 1) {
    if (tries >= 50) throw new Error(`${device} is still in use`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
};

/** What partx(8) says of a table without any. */
const NO_PARTITION = /range <1:0>/;

const PREFIX = 'felhom-lab-';
const alive = (pid: number): boolean => existsSync(`/proc/${pid}`);

/** What labs of runs that were killed have left: their mounts, loops and directories. Another run's are left alone. */
const sweep = async (): Promise<void> => {
  const dead = (await readdir(tmpdir())).filter((entry) => {
    const [, pid = ''] = /^felhom-lab-(\d+)-/.exec(entry) ?? [];
    return pid !== '' && !alive(Number(pid));
  });
  for (const entry of dead) await clear(join(await realpath(tmpdir()), entry));
};

/** Ends everything that stands on files of one lab, and removes them. */
const clear = async (dir: string): Promise<void> => {
  const loops = (await readdir('/sys/block')).filter((name) => /^loop\d+$/.test(name));
  const own = (await Promise.all(loops.map(async (name) => ({ name, file: await backingFile(name) })))).filter(({ file }) =>
    file.startsWith(`${dir}/`),
  );
  const failed: unknown[] = [];
  const attempt = (step: Promise<unknown>): Promise<unknown> => step.catch((error: unknown) => failed.push(error));
  for (const { name } of own) await attempt(unmountAll(({ source }) => isOf(`/dev/${name}`, source)));
  await attempt(unmountAll(({ point }) => point.startsWith(`${dir}/`)));
  for (const { name, file } of own) await attempt(detachLoop(`/dev/${name}`, file));
  // The files behind the drives were open in it.
  await attempt(unmountAll(({ point }) => point === dir));
  // Directories below mount points are made so that nothing can be written into them.
  await attempt(outcome('chattr', '-R', '-f', '-i', dir));
  await attempt(rm(dir, { recursive: true, force: true }));
  if (failed.length > 0) throw new AggregateError(failed, `the lab in ${dir} could not be cleared`);
};

const loopFor = (file: string): Promise<string> => run('losetup', '--find', '--show', file);

/** For whoever keeps its drives longer than one test, and takes them away itself: the demo. */
export const createLab = async (dir: string, steps: (() => unknown)[]): Promise<Lab> => {
  const udevDir = join(dir, 'udev');
  const loopDrives: string[] = [];
  const drives = new Set<LabDrive>();
  await mkdir(join(udevDir, 'data'), { recursive: true });

  const unsettle = (numbers: string): Promise<void> => rm(join(udevDir, 'data', `b${numbers}`), { force: true });
  const settle = async ({ name, spec }: LabDrive): Promise<void> => {
    await writeEntry(udevDir, spec, name, '');
    for (const part of await partitionsOf(name)) await writeEntry(udevDir, spec, part, part.slice(name.length + 1));
  };
  const settleOf = async (device: string): Promise<void> => {
    for (const drive of drives) if (isOf(drive.device, device)) await settle(drive);
  };
  const attach = async (file: string, spec: DriveSpec): Promise<LabDrive> => {
    const device = await loopFor(file);
    const name = basename(device);
    const drive = { file, device, name, numbers: await numbersOf(name), spec };
    drives.add(drive);
    if (!loopDrives.includes(file)) loopDrives.push(file);
    // Whoever had this loop device before may have left partitions to it.
    await outcome('partx', '-d', device);
    await outcome('partx', '-u', device);
    await settle(drive);
    return drive;
  };

  return {
    dir,
    udevDir,
    loopDrives,
    attach,
    settle,
    unsettle,
    drive: async (spec) => {
      const file = join(dir, `${spec.name}.img`);
      const handle = await open(file, 'wx', 0o600);
      await handle.truncate((spec.mb ?? 64) * 1024 ** 2);
      await handle.close();
      return attach(file, spec);
    },
    detach: async (drive) => {
      const parts = await partitionsOf(drive.name);
      const numbers = await Promise.all([drive.name, ...parts].map(numbersOf));
      await detachLoop(drive.device, drive.file);
      drives.delete(drive);
      await Promise.all(numbers.map(unsettle));
    },
    partition: async (drive, script) => {
      await withInput('sfdisk', ['-q', '--no-reread', '--no-tell-kernel', '--wipe', 'always', drive.device], script);
      // The kernel here reads no partition tables of loops by itself.
      const { exit, stderr } = await outcome('partx', '-u', drive.device);
      if (exit !== 0 && !NO_PARTITION.test(stderr)) throw new Error(`partx: ${stderr}`);
      await settle(drive);
      return (await partitionsOf(drive.name)).map((part) => `/dev/${part}`);
    },
    mkfs: async (device, fstype, options = {}) => {
      const [program = '', ...args] = MAKE[fstype](options);
      await run(program, ...args, ...(options.args ?? []), device);
      await settleOf(device);
      return (await probed(device)).UUID ?? '';
    },
    mount: async (device, point, ...options) => {
      await mkdir(point, { recursive: true });
      await run('mount', ...options, device, point);
      steps.push(() => unmountAll((mount) => mount.point === point));
    },
    umount: async (point) => {
      await run('umount', point);
    },
    undo: (step) => {
      steps.push(step);
    },
  };
};

const withInput = async (program: string, args: readonly string[], input: string): Promise<void> => {
  const running = exec(program, [...args], { timeout: TIMEOUT_MS, killSignal: 'SIGKILL', env: { PATH, LC_ALL: 'C' } });
  running.child.stdin?.end(input);
  await running;
};

/** Runs a test in a lab and ends the lab, however the test ends. What could not be undone fails a test that did not fail by itself. */
export const withLab = async <T>(use: (lab: Lab) => Promise<T>): Promise<T> => {
  await sweep();
  const dir = await realpath(await mkdtemp(join(tmpdir(), `${PREFIX}${process.pid}-`)));
  const steps: (() => unknown)[] = [];
  const failed: unknown[] = [];
  let result: T | undefined;
  try {
    result = await use(await createLab(dir, steps));
  } catch (error) {
    failed.push(error);
  }
  for (const step of [...steps.reverse(), () => clear(dir)]) {
    try {
      await step();
    } catch (error) {
      failed.push(error);
    }
  }
  if (failed.length > 0) throw failed[0];
  return result as T;
};
