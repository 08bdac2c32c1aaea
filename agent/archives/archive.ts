/** What is known of one archive, and what the others may ask. Types, and what its name tells. */
import type { Label } from '#shared/label';
import type { Archive as WireArchive } from '#shared/wire/archives';

/** Times are milliseconds since 1970. */
export interface Archive {
  volid: string;
  vmid: number;
  storage: string;
  /** Null: not made by a job that anybody knows. */
  jobId: string | null;
  source: WireArchive['source'];
  label: Label;
  createdAt: number;
  sizeBytes: number;
  protected: boolean;
  /** First line only. */
  notes: string;
  /** `tar.zst`, `vma.gz`, `pbs-ct`; empty where the name is of another kind. */
  format: string;
  verification: WireArchive['verification'];
  verifiedAt: number | null;
  /** For customers; empty unless it failed or could not be done. */
  verificationError: string;
  provenAt: number | null;
}

/** What retention says of one archive. */
export interface PruneDecision {
  archive: Archive;
  keep: boolean;
  /** In words. */
  reason: string;
}

export interface PrunePlan {
  vmid: number;
  storage: string;
  /** Why nothing is deleted at all for now; empty when the decisions count. */
  stopped: string;
  /** Newest first. */
  decisions: PruneDecision[];
  /** Volume ids that were deleted; none of a dry run. */
  deleted: string[];
}

export interface VerifyState {
  volid: string;
  verification: Archive['verification'];
  verifiedAt: number | null;
  verificationError: string;
  /** `queued`: it is the next one, as soon as no backup runs. */
  progress: 'running' | 'queued' | 'idle';
}

/** What a restore over the existing guest does to one of its volumes or mounts. */
export interface RestoreEffect {
  /** Proxmox's configuration key: `rootfs`, `mp0`, `scsi1` … */
  key: string;
  /** The storage, or the host's path of a bind or a device. */
  where: string;
  /** Inside a container; empty for a virtual machine. */
  mountPoint: string;
  /** `replaced`: by the archive's data. `emptied`: destroyed and made anew. `detached`: kept as an unused disk. `untouched`: not part of it. */
  effect: 'replaced' | 'emptied' | 'detached' | 'untouched';
}

/** How to restore, for the person who does it: nothing of it was run. */
export interface RestoreAdvice {
  archive: Archive;
  /** What the archive can be trusted for, as a sentence. */
  state: string;
  /** Lines to run before, in this order. */
  before: string[];
  /** The line that restores over the guest; to be run as root on this host. */
  command: string;
  /** Of the guest as it stands now; none when it is gone. */
  effects: RestoreEffect[];
  warnings: string[];
  /** The line that restores into a new guest instead and leaves the existing one alone; empty when the guest is gone. */
  beside: string;
}

/** Made by felhom: the only ones that retention counts and may delete. */
export const isOurs = ({ jobId, source }: Pick<Archive, 'jobId' | 'source'>): boolean => jobId !== null && source !== 'proxmox';

interface ArchiveName {
  vmid: number;
  guest: 'lxc' | 'qemu';
  format: string;
  /** On the storage, without directories. */
  fileName: string;
}

const FILE = /^[A-Za-z][\w.-]*:backup\/(vzdump-(lxc|qemu)-([1-9]\d{2,8})-\d{4}_\d\d_\d\d-\d\d_\d\d_\d\d\.((?:tar|vma)(?:\.(?:zst|gz|lzo))?|tgz))$/;
const PBS = /^[A-Za-z][\w.-]*:backup\/(ct|vm)\/([1-9]\d{2,8})\/[\dTZ:-]+$/;

/** What a volume id tells (pve-storage Plugin.pm, BACKUP_EXT; PBSPlugin.pm); null for any that vzdump does not name so. */
export const archiveName = (volid: string): ArchiveName | null => {
  const [, fileName = '', guest = '', vmid = '', format = ''] = FILE.exec(volid) ?? [];
  if (fileName !== '') return { vmid: Number(vmid), guest: guest === 'qemu' ? 'qemu' : 'lxc', format, fileName };
  const [, kind = '', owner = ''] = PBS.exec(volid) ?? [];
  if (kind === '') return null;
  return { vmid: Number(owner), guest: kind === 'vm' ? 'qemu' : 'lxc', format: `pbs-${kind}`, fileName: '' };
};

/** A Proxmox Backup Server reads its archives itself. */
export const isVerifiedElsewhere = (format: string): boolean => format.startsWith('pbs-');

/** What agent/archive-check can read. */
export const isCheckable = (format: string): boolean => format !== '' && !isVerifiedElsewhere(format);
