/** What the simulated Proxmox VE node consists of: plain data that the areas read and change. No behaviour. */

/** A value of a guest's or a storage's configuration as Proxmox's API answers it: some are numbers, some are strings of digits. */
export type ConfigValue = string | number;

/** Name and value of a line that Proxmox hands to LXC as it stands: `['lxc.mount.entry', …]`. */
export type LxcLine = readonly [string, string];

export interface GuestSnapshot {
  config: Record<string, ConfigValue>;
  lxc?: readonly LxcLine[];
  snaptime: number;
  description: string;
  parent?: string;
}

/** A section of `/etc/pve/mapping/*.cfg`: its id, and each of its `map` lines as they stand. */
export type Mappings = ReadonlyMap<string, readonly string[]>;

export interface Guest {
  vmid: number;
  type: 'lxc' | 'qemu';
  /** As in `/etc/pve`: `rootfs`, `mp0`, `scsi0`, `memory`, `lock`, `description` … */
  config: Record<string, ConfigValue>;
  /** Containers only: the raw lines. Whoever writes them into the file changes them here as well (files.ts). */
  lxc?: readonly LxcLine[];
  /** Snapshot sections by name. */
  snapshots: Record<string, GuestSnapshot>;
  status: 'running' | 'stopped';
  /** QEMU only: `paused` while `status` stays `running`. */
  paused: boolean;
  pid?: number;
  /** Seconds since 1970 of the last start. */
  startedAt?: number;
  /** What `agent` in the configuration meets inside the VM. */
  guestAgentRuns: boolean;
  /** Runs on when it is told to shut down. */
  ignoresShutdown?: boolean;
  /** A real directory that stands for the guest's file systems, by volume key (`rootfs`, `mp0`, `scsi0`); vzdump archives it. */
  directories: Record<string, string>;
}

export interface Archive {
  volid: string;
  vmid: number;
  subtype: 'lxc' | 'qemu';
  format: string;
  /** Seconds since 1970. */
  ctime: number;
  size: number;
  notes: string;
  protected: boolean;
  /** The configuration in the archive; absent: as the guest has it now. */
  config?: string;
  /** The file, where one was really made. */
  path?: string;
  /** What a Proxmox Backup Server found when it read the archive. */
  verification?: { state: 'ok' | 'failed'; upid: string };
}

/** Any other volume of a storage: ISO images, templates, disk images. */
export interface Volume {
  volid: string;
  content: 'iso' | 'vztmpl' | 'images' | 'rootdir' | 'snippets';
  format: string;
  size: number;
  ctime?: number;
  vmid?: number;
  parent?: string | null;
  /** Bytes really taken; absent: 0. */
  used?: number;
}

export interface Storage {
  storage: string;
  type: string;
  /** `storage.cfg` keys other than type and storage. */
  config: Record<string, ConfigValue>;
  /** In the plug-in's sense: activation works. A directory storage whose drive is gone is not active. */
  active: boolean;
  /** True while every access to it blocks (a dead NFS server): activating calls hang, pvestatd stops reporting. */
  hung: boolean;
  /** Bytes. */
  total: number;
  used: number;
  avail: number;
  archives: Archive[];
  volumes: Volume[];
  /** LVM-thin and btrfs subvolumes can; raw files in a directory cannot. Decides vzdump's fallback to suspend mode. */
  snapshots: boolean;
}

export interface User {
  userid: string;
  enable: boolean;
  /** Seconds since 1970; 0 = never. */
  expire: number;
  password?: string;
  groups: string[];
  /** comment, email, firstname … */
  extra: Record<string, ConfigValue>;
  /** Logins need a second factor, which the simulator never gets. */
  secondFactor?: boolean;
  tokens: Record<string, { secret: string; privsep: boolean; expire: number; comment?: string }>;
}

export interface Acl {
  path: string;
  roleid: string;
  type: 'user' | 'group' | 'token';
  ugid: string;
  propagate: boolean;
}

export interface Task {
  upid: string;
  node: string;
  pid: number;
  pstart: number;
  /** Seconds since 1970. */
  starttime: number;
  endtime?: number;
  type: string;
  id: string;
  /** `user@realm`, without the token's name. */
  user: string;
  tokenid?: string;
  /** Whole lines; a running task appends. */
  log: string[];
  /** Set when it has ended: `OK`, `WARNINGS: 2`, an error's text, `unexpected status`. */
  exitstatus?: string;
}

export interface ThinPool {
  lv: string;
  vg: string;
  lv_size: number;
  used: number;
  metadata_size: number;
  metadata_used: number;
}

/** Rows as `/nodes/{node}/disks/*` answers them. */
export interface HostFacts {
  disks?: Record<string, string | number | null>[];
  thinPools?: ThinPool[];
  volumeGroups?: { name: string; size: number; free: number; lvcount?: number }[];
  /** By device path, as `disks/smart` answers. */
  smart?: Record<string, Record<string, unknown>>;
  directories?: Record<string, string>[];
  /** Directories that something is mounted on: a storage that must be a mount point can be made there. */
  mounts?: string[];
  pci?: Record<string, string | number>[];
  /** Rows of `apt/update` and `apt/versions`. */
  updates?: Record<string, string>[];
  packages?: Record<string, string>[];
  nameservers?: Record<string, string>;
  /** 1: the hybrid layout. */
  cgroupMode?: 1 | 2;
  /** Keys that replace those of the node in `/nodes` and `/cluster/resources`. */
  usage?: Record<string, number>;
  /** Keys that replace those of `/nodes/{node}/status`. */
  status?: Record<string, unknown>;
}

export interface World {
  node: string;
  version: { version: string; release: string; repoid: string };
  users: Map<string, User>;
  groups: Map<string, { comment?: string }>;
  /** Roles beside the built-in ones: privileges by name. */
  roles: Map<string, string[]>;
  acl: Acl[];
  pools: Map<string, { comment?: string; vms: Set<number>; storages: Set<string> }>;
  guests: Map<number, Guest>;
  storages: Map<string, Storage>;
  backupJobs: Map<string, Record<string, ConfigValue>>;
  /** Newest last. */
  tasks: Task[];
  /** Network bridges of the node; absent: every bridge exists. A guest whose bridge is missing cannot start. */
  bridges?: string[];
  /** Other names that resolve: a request for such a node is answered 595, for any other name 500. */
  resolvable?: string[];
  /** The cluster log, newest last. */
  log?: { time: number; pri: number; tag: string; user: string; msg: string }[];
  /** What the node's hardware and disks answer, where a test wants other than the defaults of `host.ts`. */
  host?: HostFacts;
  /** False until pvestatd has reported, or while it hangs: `/cluster/resources` then knows ids only. */
  pvestatdReported: boolean;
  /** Of a cluster of two, this node being one; absent: a node of its own. */
  quorate?: boolean;
  /** Absent: no such file. */
  mappings?: { pci?: Mappings; usb?: Mappings; directory?: Mappings };
}

/** Where the node keeps on disk what the agent reads beside the API. */
export interface NodeFiles {
  /** Stands for `/etc/pve`: `local` → `nodes/<node>`, `.vmlist`, `.members`, `.version`, certificates. */
  configDir: string;
  /** Stands for `/var/log/pve/tasks`: `<last hex digit of starttime>/<UPID>`. */
  taskLogDir: string;
  /** Stands for `/var/run/vzdump.lock`. */
  lockFile: string;
}
