/** Removes what a failed vzdump leaves in the dump directory: as much as the whole archive, and nobody else ever does. */
import type { Journal } from '#agent/ports/journal';
import type { Leftovers } from '#agent/ports/leftovers';
import type { Proxmox } from '#agent/ports/proxmox';
import { dumpDirOf } from './dump-dir.ts';
import type { Job } from './jobs.ts';

export interface CleanUpPorts {
  proxmox: Pick<Proxmox, 'storageConfigs'>;
  leftovers: Pick<Leftovers, 'remove'>;
  journal: Journal;
}

/** `archive` as the log named it; without a name nothing is touched. */
export const createCleanUp =
  ({ proxmox, leftovers, journal }: CleanUpPorts) =>
  async ({ jobId, vmid, storage }: Job, archive: string): Promise<void> => {
    if (!archive.startsWith('vzdump-')) return;
    try {
      const directory = dumpDirOf(await proxmox.storageConfigs(), storage);
      const removed = directory === null ? [] : await leftovers.remove(directory, archive);
      if (removed.length > 0)
        journal('notice', 'What a failed backup left was removed.', { job: jobId, vmid, files: removed.join(', ') });
    } catch (error) {
      journal('warning', 'What a failed backup left could not be removed.', { job: jobId, vmid, why: String(error) });
    }
  };
