/** Where vzdump writes on a storage that is a directory, and what it names its unfinished files there. */
import type { StorageConfig } from '#agent/ports/proxmox';

/** `content-dirs` of the storage says `backup=somewhere/else` below its path (PVE/Storage/Plugin.pm, get_subdir). Null: no directory. */
export const dumpDirOf = (configs: readonly StorageConfig[], storage: string): string | null => {
  const config = configs.find((one) => one.storage === storage);
  if (!config || config.path === '') return null;
  const own = /(?:^|,)\s*backup=([^,]+)/.exec(config.keys['content-dirs'] ?? '')?.[1];
  const below = (own ?? 'dump').trim().replace(/^\/+/, '');
  return `${config.path.replace(/\/+$/, '')}/${below}`;
};

/** `vzdump-lxc-101-….tar.zst` grows as `vzdump-lxc-101-….tar.dat` (PVE/VZDump.pm). */
export const unfinishedName = (archive: string): string => archive.replace(/\.[^.]+$/, '.dat');
