/** Asks every source of the host what it knows of drives. Each answers whole or is said to be missing; none holds up the others. */
import type { Clock } from '#shared/clock';
import { LateError } from '../../collector.ts';
import { createFreshReading } from '../../fresh-reading.ts';
import { NotUnderstood } from '../../not-understood.ts';
import { CommandError } from '../../ports/command.ts';
import type { HostFiles } from '../../ports/host-config.ts';
import type { Proc } from '../../ports/proc.ts';
import type { ProxmoxFilesPort } from '../../ports/proxmox-files.ts';
import type { Sysfs } from '../../ports/sysfs.ts';
import type { UdevDb } from '../../ports/udev-db.ts';
import type { Zpool } from '../../ports/zpool.ts';
import type { Evidence, Known } from '../inventory/evidence.ts';
import { parseBlockDrivers, parseFilesystems, parseMdstat, parseSwaps } from './kernel-text.ts';
import { createPhysicalVolumes, type VolumePorts } from './physical-volumes.ts';
import { type MountsProc, seenMounts } from './seen-mounts.ts';

export type Gathered = Omit<Evidence, 'probes' | 'looks' | 'asleep' | 'notAnswering'>;
type Source = keyof Gathered;

export interface GatherPorts extends VolumePorts {
  clock: Clock;
  sysfs: Pick<Sysfs, 'kernelDevices' | 'btrfsMembers'>;
  udev: UdevDb;
  proc: MountsProc & Pick<Proc, 'swaps' | 'mdstat' | 'devices' | 'filesystems'>;
  zpool: Zpool;
  hostFiles: HostFiles;
  proxmoxFiles: ProxmoxFilesPort;
}

export interface Gather {
  /** Never rejects, and answers in little more than three seconds. */
  gather(): Promise<Gathered>;
}

const DEADLINE_MS = 3_000;

/** For people: what is said to be missing. */
const NAMES: Readonly<Record<Source, string>> = {
  kernel: "The kernel's list of block devices",
  udev: "udev's database",
  mounts: 'The mounts of all processes',
  swaps: 'The list of swap space',
  lvm: 'LVM',
  zfs: 'ZFS',
  md: 'The list of software RAIDs',
  btrfs: 'The list of btrfs file systems',
  host: "The host's own configuration",
  proxmox: "Proxmox's configuration",
};

const FAILURES: Readonly<Record<CommandError['reason'], string>> = {
  start: 'its program could not be started',
  exit: 'its program failed',
  timeout: 'its program did not answer in time',
  output: 'its program said more than it could have to say',
  stuck: 'its program still hangs',
};

/** Why, in words that give nothing away of what was read. */
const reason = (error: unknown): string => {
  if (error instanceof LateError || error instanceof NotUnderstood) return error.message;
  if (error instanceof CommandError)
    return error.exit === null ? FAILURES[error.reason] : `${FAILURES[error.reason]} (exit status ${error.exit})`;
  if (error instanceof Error && 'code' in error && 'path' in error) return `${error.path} cannot be read (${error.code})`;
  return 'an unexpected error';
};

const missing = (source: Source, error: unknown) => ({ known: false, why: `${NAMES[source]}: ${reason(error)}.` }) as const;

/** The value of another source; where that one is missing, so is whoever needs it. */
const needed = <T>(source: Source, known: Known<T>): T => {
  if (known.known) return known.value;
  throw new NotUnderstood(`it needs another source (${NAMES[source]})`);
};

/** @param loopDrives files whose loop devices count as drives */
export const createGather = (ports: GatherPorts, { loopDrives }: { loopDrives: readonly string[] }): Gather => {
  const { clock, sysfs, udev, proc, zpool, hostFiles, proxmoxFiles } = ports;
  const source = <Args extends unknown[], T>(name: Source, read: (...args: Args) => Promise<T>) => {
    const reading = createFreshReading(clock, DEADLINE_MS, read);
    return (...args: Args): Promise<Known<T>> =>
      reading(...args).then(
        (value) => ({ known: true, value }),
        (error: unknown) => missing(name, error),
      );
  };
  const physicalVolumes = createPhysicalVolumes(ports, loopDrives);

  // What the kernel has no driver for is not there, and its program is not asked.
  const drives = async (driver: string): Promise<boolean> => parseBlockDrivers(await proc.devices()).has(driver);
  const mounts = async (fstype: string): Promise<boolean> => parseFilesystems(await proc.filesystems()).has(fstype);

  const read = {
    kernel: source('kernel', () => sysfs.kernelDevices()),
    udev: source('udev', async (kernel: Promise<Gathered['kernel']>) => udev.read(needed('kernel', await kernel))),
    mounts: source('mounts', () => seenMounts(proc)),
    swaps: source('swaps', async () => parseSwaps(await proc.swaps())),
    lvm: source('lvm', async (kernel: Promise<Gathered['kernel']>, known: Promise<Gathered['udev']>) =>
      (await drives('device-mapper')) ? physicalVolumes(needed('kernel', await kernel), needed('udev', await known)) : [],
    ),
    zfs: source('zfs', async () => ((await mounts('zfs')) ? zpool.pools() : [])),
    md: source('md', async () => ((await drives('md')) ? parseMdstat(await proc.mdstat()) : [])),
    btrfs: source('btrfs', async () => ((await mounts('btrfs')) ? sysfs.btrfsMembers() : [])),
    host: source('host', () => hostFiles.read()),
    proxmox: source('proxmox', () => proxmoxFiles.read()),
  };

  return {
    gather: async () => {
      const kernel = read.kernel();
      const known = read.udev(kernel);
      const [devices, entries, seen, swaps, lvm, zfs, md, btrfs, host, proxmox] = await Promise.all([
        ...([kernel, known, read.mounts(), read.swaps(), read.lvm(kernel, known)] as const),
        ...([read.zfs(), read.md(), read.btrfs(), read.host(), read.proxmox()] as const),
      ]);
      return { kernel: devices, udev: entries, mounts: seen, swaps, lvm, zfs, md, btrfs, host, proxmox };
    },
  };
};
