/** The target storage is looked at before the lock is taken, and only then. */

import type { Storage } from '../world.ts';
import { POLL_MS, type Run } from './run.ts';

/** What activation and `storage_info` say, both of them (PVE/VZDump.pm, new). */
const storageErrors = (id: string, storage: Storage | undefined): string[] => {
  const cannot = (what: string) => (why: string) => `could not ${what} '${id}': ${why}`;
  const [activate, inform] = [cannot('activate storage'), cannot('get storage information for')];
  if (!storage) return [activate(`storage '${id}' does not exist`), inform(`storage '${id}' does not exist`)];
  const path = String(storage.config.path ?? `/mnt/pve/${id}`);
  const gone = `unable to activate storage '${id}' - directory is expected to be a mount point but is not mounted: '${path}'`;
  const content = String(storage.config.content ?? 'backup').split(',');
  return [
    ...(storage.config.disable === 1 || storage.config.disable === '1' ? [activate(`storage '${id}' is disabled`)] : []),
    ...(storage.active ? [] : [activate(gone)]),
    ...(content.includes('backup') ? [] : [inform(`can't use storage '${id}' for backups - wrong content type`)]),
  ];
};

export const activate = async ({ world, job, voice }: Run): Promise<Storage> => {
  const storage = world.storages.get(job.storage);
  while (storage?.hung === true) await voice.pause(POLL_MS);
  const errors = storageErrors(job.storage, storage);
  if (errors.length > 0 || !storage) throw new Error(errors.join('\n'));
  return storage;
};
