/** What is known of one archive, and what its name tells. */
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

/**
 * Made by felhom, and named as vzdump names them: the only ones that retention counts and may delete. Whoever gives an archive another
 * name, its note beside it, puts it aside; Proxmox keeps those too (pve-storage Plugin.pm, prune_backups).
 */
export const isOurs = ({ volid, jobId, source }: Pick<Archive, 'volid' | 'jobId' | 'source'>): boolean =>
  jobId !== null && source !== 'proxmox' && archiveName(volid) !== null;

interface ArchiveName {
  vmid: number;
  guest: 'lxc' | 'qemu';
  format: string;
  /** Without directories; empty where it is not a file. */
  fileName: string;
}

const FILE =
  /^[A-Za-z][\w.-]*:backup\/(vzdump-(lxc|qemu)-([1-9]\d{2,8})-\d{4}_\d\d_\d\d-\d\d_\d\d_\d\d\.((?:tar|vma)(?:\.(?:zst|gz|lzo))?|tgz))$/;
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
