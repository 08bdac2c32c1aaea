/** A drive as the agent understands it. Types only. */
import type { KernelDevice } from '../../ports/sysfs.ts';

export type Role = 'system' | 'backup' | 'user-data';

/** A file system (or LUKS) on a drive or on one of its partitions. Strings are stripped of what terminals and pages could misread. */
export interface DriveFilesystem {
  /** Kernel name of what carries it. */
  device: string;
  numbers: string;
  sizeBytes: number | null;
  fstype: string;
  uuid: string;
  label: string;
}

/** What a drive is known by, wherever it is plugged in. */
export interface Identity {
  model: string;
  serial: string;
  /** `0x5000c500a1b2c3d4`, `nvme.…`, `eui.…`; empty where it has none. */
  wwn: string;
  sizeBytes: number | null;
  /** `sata`, `sas`, `nvme`, `usb`, `mmc`, `virtio`, `loop`; empty where nobody says. */
  transport: string;
  /** Where it is plugged in, from its place in sysfs. */
  busPath: string;
  tableUuid: string;
  /**
   * What remembered roles and owners hang on, most telling first: `wwn:…`, `serial:<model>/<serial>/<bytes>` (of the hardware), `table:…`,
   * `part:…`, `fs:…`, `pv:…`, `vg:…`, `md:…`, `pool:…`, `btrfs:…`, `luks:…` (of what is on it).
   */
  keys: readonly string[];
}

export interface Reason {
  role: Role;
  /** For people, whole: `Proxmox keeps guests' disks on it (storage "local-lvm").` */
  sentence: string;
  /** Seen, not guessed, and lasting: to be remembered with the drive's identity until root demotes it. */
  lasting: boolean;
  /** What guests are told instead: where the sentence names one of them, a file of the host's or a program's own words. */
  forGuests?: string;
  /** Of one that root ordered: the entry of `disks.protect`. */
  setAside?: string;
  /** It stands for what cannot be told at this moment, and may be told in a minute: nobody is asked to decide anything on it. */
  passing?: true;
}

/** Whoever keeps a drive in use now. */
export interface Holder {
  kind: 'mount' | 'swap' | 'device' | 'loop' | 'guest' | 'process' | 'exclusive' | 'unknown';
  /** For people: `It is mounted at /mnt/pve/usb-backup.` */
  sentence: string;
  vmid: number | null;
  pid: number | null;
}

export interface Owner {
  vmid: number;
  /** Of the guest when it became the owner; another instance under the same number is another guest (guests' instance.ts). */
  instance: string;
  since: number;
}

/** What the database keeps of a drive. */
export interface DriveRecord {
  id: number;
  name: string;
  model: string;
  serial: string;
  wwn: string;
  sizeBytes: number | null;
  transport: string;
  /** Of its Identity, as often as it was seen, and `taken:…` of each file system that an owner had mounted, or had made. */
  keys: readonly string[];
  firstSeenAt: number;
  lastSeenAt: number;
  /** Remembered; null: none. */
  role: { role: 'system' | 'backup'; why: string; since: number } | null;
  owner: Owner | null;
}

export interface Drive {
  /** The kernel's name, for display and look-up only. */
  name: string;
  device: KernelDevice;
  identity: Identity;
  filesystems: readonly DriveFilesystem[];
  role: Role;
  /** Why it has this role, weightiest first; never empty. */
  reasons: readonly Reason[];
  /** True unless proved blank. */
  dataBearing: boolean;
  dataReason: string;
  /** As far as listings know; a deed looks again (in-use.ts). */
  holders: readonly Holder[];
  /** Names of other paths to the same drive, or of drives that cannot be told from it. */
  twins: readonly string[];
  /** Its record, and others that share a key with it. */
  record: DriveRecord | null;
  related: readonly DriveRecord[];
  state: 'available' | 'mounted' | 'in-use' | 'asleep' | 'not-answering';
  /** While it is being formatted, and after a format that did not come to its end. */
  format?: { state: 'running' | 'broken'; sentence: string };
}

export interface Inventory {
  drives: readonly Drive[];
  /** Records of drives that are not plugged in. */
  unplugged: readonly DriveRecord[];
  /** Sources that gave no whole answer, each with why; then every drive is `system`. */
  missing: readonly { source: string; why: string }[];
  /** Entries of `disks.protect` that match no drive, plugged in or remembered. */
  unmatchedProtect: readonly string[];
}
