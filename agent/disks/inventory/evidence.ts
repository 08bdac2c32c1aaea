/** What the host's sources said of its drives, source by source. Types only: `gather.ts` collects, `inventory.ts` concludes. */
import type { Mount } from '#shared/mountinfo';
import type { HostConfig } from '../../ports/host-config.ts';
import type { PhysicalVolume } from '../../ports/lvm.ts';
import type { ProxmoxFiles } from '../../ports/proxmox-files.ts';
import type { KernelDevice } from '../../ports/sysfs.ts';
import type { UdevEntry } from '../../ports/udev-db.ts';
import type { ZfsPool } from '../../ports/zpool.ts';

export type { HostConfig } from '../../ports/host-config.ts';
export type { PhysicalVolume } from '../../ports/lvm.ts';
export type { GuestConfigFile, Mapping, ProxmoxFiles, StorageSection } from '../../ports/proxmox-files.ts';
export type { UdevEntry } from '../../ports/udev-db.ts';
export type { ZfsPool } from '../../ports/zpool.ts';

/** A source's whole answer, or why there is none. "Nothing there" is only ever an answer of a source that was asked and could tell. */
export type Known<T> = { known: true; value: T } | { known: false; why: string };

/** A mount of any mount namespace of the host. */
export interface SeenMount {
  mount: Mount;
  /** A process that sees it; 1 for the host's own. */
  pid: number;
  /** In the namespace of PID 1. */
  host: boolean;
}

/** An active md array, from /proc/mdstat. */
export interface MdArray {
  name: string;
  /** Names of drives and partitions, failed and spare ones too. */
  members: readonly string[];
}

/** One signature that wipefs(8) lists, or blkid(8) names. */
export interface Signature {
  /** `sdb`, `sdb1`. */
  device: string;
  /** Bytes from the device's start; null where blkid alone names it. */
  offset: number | null;
  /** `ext4`, `gpt`, `dos`, `LVM2_member`, `zfs_member`, `crypto_LUKS` … */
  type: string;
  uuid: string;
  label: string;
}

/** What is at the known places of a drive and of each of its partitions, read from the device itself. */
export interface Probe {
  signatures: readonly Signature[];
  /** Devices on which blkid found several things that exclude each other. */
  ambivalent: readonly string[];
  /** blkid and wipefs agree that the drive carries nothing, and neither complained. Not yet a proof that it is blank. */
  clean: boolean;
  /** GUID of the partition table, and of each partition by name; lower case. */
  tableUuid: string;
  /** How many partitions the drive's table lists, whether the kernel shows them or not; null where it has none, or one that cannot be read. */
  declared: number | null;
  partitionUuids: Readonly<Record<string, string>>;
}

/** One look into a file system, mounted read-only and without replaying its journal. */
export interface Look {
  /** `vzdump`: archives in `dump/`. `chunks`: the store of a Proxmox Backup Server. */
  found: 'vzdump' | 'chunks' | 'nothing';
}

export interface Evidence {
  kernel: Known<readonly KernelDevice[]>;
  /** By kernel name. A device that udev has not finished with is not in it. */
  udev: Known<ReadonlyMap<string, UdevEntry>>;
  mounts: Known<readonly SeenMount[]>;
  /** Device paths and files of /proc/swaps. */
  swaps: Known<readonly string[]>;
  lvm: Known<readonly PhysicalVolume[]>;
  zfs: Known<readonly ZfsPool[]>;
  md: Known<readonly MdArray[]>;
  /** Of each btrfs in use the names of its devices. */
  btrfs: Known<readonly (readonly string[])[]>;
  host: Known<HostConfig>;
  proxmox: Known<ProxmoxFiles>;
  /** By drive. */
  probes: ReadonlyMap<string, Known<Probe>>;
  /** By the device that carries the file system. */
  looks: ReadonlyMap<string, Known<Look>>;
  /** Drives that a source found asleep, or that stopped answering. */
  asleep: ReadonlySet<string>;
  notAnswering: ReadonlySet<string>;
}
