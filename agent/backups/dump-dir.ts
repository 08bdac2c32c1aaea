/** Where vzdump writes on a storage that is a directory, and what it names its unfinished files there. */
import type { StorageConfig } from '#agent/ports/proxmox';
import { dumpDirOf as dumpDirIn, pathOf } from '#agent/storage/directory';

/** Null: no directory. */
export const dumpDirOf = (configs: readonly StorageConfig[], storage: string): string | null => {
  const config = configs.find((one) => one.storage === storage);
  return !config || pathOf(config) === '' ? null : dumpDirIn(config);
};

/** `vzdump-lxc-101-….tar.zst` grows as `vzdump-lxc-101-….tar.dat` (PVE/VZDump.pm). */
export const unfinishedName = (archive: string): string => archive.replace(/\.[^.]+$/, '.dat');
