/** Where a Proxmox storage lies on this host. Pure. */
import type { StorageConfig } from '../ports/proxmox.ts';

/** Mounted by Proxmox itself at their path. pve-storage: NFSPlugin.pm, CIFSPlugin.pm, CephFSPlugin.pm. */
export const SHARES: ReadonlySet<string> = new Set(['nfs', 'cifs', 'cephfs']);

/** The storage's directory on this host; '' for one that has none. */
export const pathOf = ({ type, path, storage }: StorageConfig): string => {
  const written = path.replace(/(?<=.)\/+$/, '');
  return written === '' && SHARES.has(type) ? `/mnt/pve/${storage}` : written;
};

/** Where archives lie, which may be a mount of its own: `content-dirs` says `backup=somewhere/else` below the path (pve-storage Plugin.pm, get_subdir). */
export const dumpDirOf = (config: StorageConfig): string => {
  const own = /(?:^|,)\s*backup=([^,]+)/.exec(config.keys['content-dirs'] ?? '')?.[1];
  const below = (own ?? 'dump').trim().replace(/^\/+/, '');
  return `${pathOf(config)}/${below}`;
};
