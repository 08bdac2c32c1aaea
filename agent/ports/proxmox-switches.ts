/** What the Proxmox port switches off and on: storages, and backup jobs of the cluster. */
import type { Proxmox } from './proxmox.ts';
import { flag, list, text } from './proxmox-answers.ts';
import type { Transport } from './proxmox-transport.ts';

type SwitchCalls = Pick<Proxmox, 'enableStorage' | 'backupJobs' | 'enableBackupJob'>;

export const switchCalls = ({ get, put }: Pick<Transport, 'get' | 'put'>): SwitchCalls => ({
  enableStorage: async (storage, on) => {
    await put(`/storage/${encodeURIComponent(storage)}`, on ? { delete: 'disable' } : { disable: 1 });
  },
  // Without the right it refuses (Sys.Audit on /); the list is never filtered.
  backupJobs: async () =>
    list(await get('/cluster/backup')).map(({ id, enabled, storage, dumpdir }) => ({
      id: text(id),
      // Absent means on (PVE/API2/Backup.pm).
      enabled: enabled === undefined || flag(enabled),
      storage: text(storage),
      dumpDir: text(dumpdir),
    })),
  enableBackupJob: async (id, on) => {
    await put(`/cluster/backup/${encodeURIComponent(id)}`, { enabled: on ? 1 : 0 });
  },
});
