/** What the host's sources said of its drives, source by source. Types only: `gather.ts` collects, `inventory.ts` concludes. */
import type { Mount } from '#shared/mountinfo';
import type { KernelDevice } from '../ports/sysfs.ts';

/** A source's whole answer, or why there is none. "Nothing there" is only ever an answer of a source that was asked and could tell. */
export type Known<T> = { known: true; value: T } | { known: false; why: string };

/** What udev's database holds of one block device. */
export interface UdevEntry {
  /** `ID_SERIAL_SHORT`, `ID_WWN`, `ID_MODEL`, `ID_FS_UUID` … as they stand; never trusted to prove a drive blank. */
  properties: Readonly<Record<string, string>>;
  /** `/dev/disk/by-id/…`, whole. */
  links: readonly string[];
}

/** A mount of any mount namespace of the host. */
export interface SeenMount {
  mount: Mount;
  /** A process that sees it; 1 for the host's own. */
  pid: number;
  /** In the namespace of PID 1. */
  host: boolean;
}

/** An LVM physical volume, as pvs(8) lists it. */
export interface PhysicalVolume {
  /** `/dev/sda3`. */
  device: string;
  uuid: string;
  /** Empty where it is in no group. */
  group: string;
  groupUuid: string;
  missing: boolean;
}

/** An imported ZFS pool, as `zpool status -LP` lists it: also its spares, logs and caches. */
export interface ZfsPool {
  name: string;
  guid: string;
  /** `/dev/sdb1`. */
  devices: readonly string[];
}

/** An active md array, from /proc/mdstat. */
export interface MdArray {
  name: string;
  /** Names of drives and partitions, failed and spare ones too. */
  members: readonly string[];
}

export interface FstabLine {
  /** `UUID=…`, `/dev/…`, `LABEL=…`. */
  spec: string;
  point: string;
  fstype: string;
  options: readonly string[];
}

/** What the host's own files say of its drives, plugged in or not. */
export interface HostConfig {
  fstab: readonly FstabLine[];
  crypttab: readonly { name: string; device: string }[];
  /** UUIDs of `ARRAY` lines in mdadm.conf, as hex digits without separators. */
  mdUuids: readonly string[];
  /** Mount and swap units of systemd, generated ones too; not felhom's own. `where` is empty for swap. */
  units: readonly { file: string; what: string; where: string }[];
  /** File systems that proxmox-boot-tool keeps boot loaders on. */
  bootUuids: readonly string[];
  /** Partitions that the firmware's boot entries name, by GUID, lower case. */
  efiPartitions: readonly string[];
  /** Datastores of a Proxmox Backup Server on this host. */
  datastores: readonly { name: string; path: string; backingDevice: string }[];
}

/** A section of storage.cfg. */
export interface StorageSection {
  type: string;
  id: string;
  keys: Readonly<Record<string, string>>;
}

/** A guest's configuration file, as it stands. */
export interface GuestConfigFile {
  vmid: number;
  type: 'lxc' | 'qemu';
  text: string;
}

/** A section of /etc/pve/mapping/{pci,usb,directory}.cfg: each `map` line as its properties. */
export interface Mapping {
  id: string;
  entries: readonly Readonly<Record<string, string>>[];
}

export interface ProxmoxFiles {
  node: string;
  storages: readonly StorageSection[];
  /** This node's, running or not. */
  guests: readonly GuestConfigFile[];
  pci: readonly Mapping[];
  usb: readonly Mapping[];
  directories: readonly Mapping[];
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
