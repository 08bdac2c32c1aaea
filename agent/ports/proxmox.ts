/** The Proxmox VE API as the agent uses it: typed calls; how they travel is proxmox-http.ts. */
import { type ErrorCode, FelhomError } from '#shared/errors';

/** Anything that Proxmox did not grant. `status` 0: it was never reached. */
export class ProxmoxError extends Error {
  override readonly name = 'ProxmoxError';
  readonly method: string;
  readonly path: string;
  /** HTTP status; 0 where no answer came. */
  readonly status: number;
  /** `errors` of a 400: parameter by parameter. */
  readonly errors: Readonly<Record<string, string>>;
  /** `never`: it cannot have been carried out. `unknown`: it may have been (a time-out, a reset, 596). */
  readonly effect: 'never' | 'unknown';
  /** What a guest is told. */
  readonly code: Extract<ErrorCode, 'proxmox-failed' | 'proxmox-permission' | 'proxmox-unreachable'>;

  constructor(facts: {
    method: string;
    path: string;
    status: number;
    message: string;
    errors?: Record<string, string>;
    effect: 'never' | 'unknown';
    /** An empty list that the missing right named in `message` explains. */
    rightMissing?: true;
    cause?: unknown;
  }) {
    super(facts.message, facts.cause === undefined ? undefined : { cause: facts.cause });
    this.method = facts.method;
    this.path = facts.path;
    this.status = facts.status;
    this.errors = facts.errors ?? {};
    this.effect = facts.effect;
    this.code = facts.rightMissing ? 'proxmox-permission' : codeOf(facts.status);
  }
}

/** 595 to 599 are pveproxy's own: it did not reach the daemon, or waited in vain (PVE/APIServer/AnyEvent.pm). */
const codeOf = (status: number): ProxmoxError['code'] => {
  if (status === 0 || status >= 595) return 'proxmox-unreachable';
  return status === 401 || status === 403 ? 'proxmox-permission' : 'proxmox-failed';
};

const SENTENCES: Record<ProxmoxError['code'], string> = {
  'proxmox-unreachable': 'Proxmox on this host does not answer at the moment.',
  'proxmox-permission': 'Proxmox refuses felhom a right that it needs for this.',
  'proxmox-failed': 'Proxmox on this host answered with an error.',
};

/** As a guest may see it; Proxmox's own words stay in `cause`. Any other error is handed back as it came. */
export const forGuest = (error: unknown): unknown =>
  error instanceof ProxmoxError ? new FelhomError(error.code, SENTENCES[error.code], error) : error;

export type GuestType = 'lxc' | 'qemu';

export interface GuestResource {
  vmid: number;
  type: GuestType;
  node: string;
  name: string;
  /** `unknown` until pvestatd has reported. */
  status: 'running' | 'stopped' | 'unknown';
  lock: string;
  /** Bytes in use of its root file system; null where pvestatd does not know (every virtual machine). */
  usedBytes: number | null;
  /** Bytes of its root file system or its first disk. */
  diskBytes: number | null;
}

/** From `/cluster/resources`: pvestatd's figures, never a call that activates (and so may hang on) a storage. */
export interface StorageResource {
  storage: string;
  node: string;
  type: string;
  status: 'available' | 'unknown' | string;
  /** Bytes; null until pvestatd has reported. */
  maxdisk: number | null;
  disk: number | null;
  /** Comma list. */
  content: string;
  shared: boolean;
}

export interface Resources {
  guests: GuestResource[];
  storages: StorageResource[];
}

/** From `/storage`: the configuration, not the state. */
export interface StorageConfig {
  storage: string;
  type: string;
  content: string;
  path: string;
  disabled: boolean;
  /** Empty: every node. */
  nodes: string[];
  /** `vgname`, `thinpool`, `pool`, `export` … as they stand. */
  keys: Readonly<Record<string, string>>;
}

interface TaskStatus {
  upid: string;
  running: boolean;
  /** Absent while it runs. `OK`, `WARNINGS: n`, or why it failed. */
  exitstatus?: string;
}

/** One row of the node's task list. */
export interface TaskRow {
  upid: string;
  type: string;
  id: string;
  /** Whole, as in the UPID: `felhom@pve!pve1`. */
  user: string;
  /** Seconds since 1970. */
  starttime: number;
}

export interface BackupVolume {
  volid: string;
  vmid: number | null;
  sizeBytes: number;
  /** Seconds since 1970. */
  ctime: number;
  /** First line only. */
  notes: string;
  protected: boolean;
  /** `tar.zst`, `vma.zst`, `pbs-ct` … */
  format: string;
  /** A Proxmox Backup Server's own verdict; null elsewhere. */
  verification: 'ok' | 'failed' | null;
}

/** A job of the cluster that runs vzdump by itself: `/cluster/backup`, `jobs.cfg`. */
export interface BackupJob {
  id: string;
  enabled: boolean;
  /** Empty: the default of vzdump.conf, or `dumpDir`. */
  storage: string;
  /** A directory in the place of a storage; empty: none. */
  dumpDir: string;
}

/** The attributes of one volume. */
export interface VolumeInfo {
  /** On the host; of a Proxmox Backup Server not a file's. */
  path: string;
  sizeBytes: number;
  protected: boolean;
}

export interface VzdumpRequest {
  vmid: number;
  storage: string;
  mode: 'snapshot' | 'suspend' | 'stop';
  compress: string;
  /** Plain text for the archive; what Proxmox's template would read as its own is escaped. */
  notes: string;
}

export interface Proxmox {
  /** This node's name. */
  readonly node: string;
  /** The token's name, as UPIDs carry it: `felhom@pve!pve1`. */
  readonly tokenName: string;
  resources(): Promise<Resources>;
  storageConfigs(): Promise<StorageConfig[]>;
  /** A guest's configuration, values as text. */
  guestConfig(type: GuestType, vmid: number): Promise<Record<string, string>>;
  /** Starts vzdump with `lockwait=0` and `prune-backups=keep-all=1` on a fresh connection; answers the UPID. */
  startVzdump(request: VzdumpRequest): Promise<string>;
  /** Null: Proxmox knows no such task. */
  taskStatus(upid: string): Promise<TaskStatus | null>;
  /** Lines of a task's log from line `start` (0 = first), at most 5000; the last may be half written. */
  taskLog(upid: string, start: number): Promise<string[]>;
  /** Running and ended vzdump tasks of one guest since a time (seconds since 1970); this token's own are always among them. */
  vzdumpTasks(vmid: number, since: number): Promise<TaskRow[]>;
  backupVolumes(storage: string, vmid: number): Promise<BackupVolume[]>;
  volumeInfo(storage: string, volid: string): Promise<VolumeInfo>;
  protectVolume(storage: string, volid: string, on: boolean): Promise<void>;
  /** Resolves when it is gone: follows the task that Proxmox makes of it. */
  deleteVolume(storage: string, volid: string): Promise<void>;
  /** Asks a task to end; resolves also when it had ended before. Proxmox kills what has not ended after five seconds. */
  stopTask(upid: string): Promise<void>;
  /** Every task of one guest on this node since a time (seconds since 1970), of whatever type. */
  guestTasks(vmid: number, since: number): Promise<TaskRow[]>;
  /** vzdump tasks that run now, on any node of the cluster, whosever they are. */
  runningVzdump(): Promise<TaskRow[]>;
  /** The next moments of a calendar event after `start` (both seconds since 1970), at most 100. Rejects a schedule that Proxmox does not know. */
  analyzeSchedule(schedule: string, start: number): Promise<number[]>;
  /** Of the whole cluster. Needs `Datastore.Allocate` on `/storage`, not only on this one. Done twice it does no harm. */
  enableStorage(storage: string, on: boolean): Promise<void>;
  backupJobs(): Promise<BackupJob[]>;
  /** Needs `Sys.Modify` on `/`. Done twice it does no harm. */
  enableBackupJob(id: string, on: boolean): Promise<void>;
  /** IANA name: `Europe/Budapest`. */
  timezone(): Promise<string>;
  close(): Promise<void>;
}
