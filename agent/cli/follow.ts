/** Follows a running backup to its end, and says on the way what happens. */
import { followBackup } from '#shared/wire/admin-backups';
import type { BackupStatus } from '#shared/wire/backups';
import { ask } from './admin-client.ts';
import { CommandFailed, type Io } from './io.ts';
import { time } from './words.ts';

/** A step of the talk; the same twice is said once. */
const talk = ({ progress, progress_estimated, consistency_point_at, mode }: BackupStatus): string => {
  if (consistency_point_at === null) return mode === null ? 'Waiting for Proxmox.' : `Running in mode ${mode}.`;
  if (progress === null) return `The data is fixed since ${time(consistency_point_at)}; it is being copied.`;
  return `${progress_estimated ? 'About ' : ''}${Math.floor(progress * 10) * 10} % copied.`;
};

export const followToEnd = async (
  { vmid, jobId, config }: { vmid: string; jobId: string; config: string },
  { err }: Io,
): Promise<BackupStatus> => {
  let said = '';
  for (let after = ''; ; ) {
    const query = after === '' ? { vmid } : { vmid, wait: '8', after };
    const status = await ask(followBackup, { config, query });
    if (status.job_id !== jobId)
      throw new CommandFailed(
        'Another backup of this guest has begun since, so this one has ended. See "felhom-agent backup list".',
      );
    if (status.phase !== 'running') return status;
    const words = talk(status);
    if (words !== said) err(words);
    said = words;
    after = status.revision;
  }
};
