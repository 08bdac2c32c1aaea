/**
 * Takes storages and backup jobs of Proxmox out of use, and puts them back: by the API, and where the agent's token may not, which has few
 * rights (`Datastore.Allocate` on /storage, `Sys.Modify` on /), by Proxmox's own pvesh(1), which root may use for everything.
 */
import { FelhomError } from '#shared/errors';
import type { RunCommand } from './command.ts';
import { type Proxmox, ProxmoxError } from './proxmox.ts';

export interface StorageSwitch {
  /** Checked: when it resolves Proxmox says so itself. Rejects (FelhomError) with the command that root runs instead. */
  storage(id: string, on: boolean): Promise<void>;
  backupJob(id: string, on: boolean): Promise<void>;
}

export interface StorageSwitchPorts {
  proxmox: Pick<Proxmox, 'enableStorage' | 'storageConfigs' | 'enableBackupJob' | 'backupJobs'>;
  run: RunCommand<'pvesh'>;
  /** False with a copy of Proxmox's files: pvesh would change those of this machine. */
  isHost: boolean;
}

interface Wish {
  byApi: () => Promise<void>;
  pvesh: readonly string[];
  isDone: () => Promise<boolean>;
  what: string;
  /** What root types. */
  command: string;
}

export const createStorageSwitch = ({ proxmox, run, isHost }: StorageSwitchPorts): StorageSwitch => {
  /** Both ways may be gone twice without harm, so whatever the API's failure was, the other one is tried. */
  const tried = async ({ byApi, pvesh }: Wish): Promise<unknown> => {
    try {
      await byApi();
    } catch (error) {
      if (!(error instanceof ProxmoxError) || !isHost) return error;
      return run('pvesh', ['set', ...pvesh]).then(
        () => null,
        (cause: unknown) => cause,
      );
    }
    return null;
  };

  const carryOut = async (wish: Wish): Promise<void> => {
    const failure = await tried(wish);
    if (await wish.isDone()) return;
    throw new FelhomError(
      'proxmox-failed',
      `${wish.what} Run this as root on the host, then try again: ${wish.command}`,
      failure ?? undefined,
    );
  };

  const verb = (on: boolean): string => (on ? 'put back into use' : 'taken out of use');

  return {
    storage: (id, on) =>
      carryOut({
        byApi: () => proxmox.enableStorage(id, on),
        pvesh: [`/storage/${id}`, ...(on ? ['--delete', 'disable'] : ['--disable', '1'])],
        isDone: async () => (await proxmox.storageConfigs()).find(({ storage }) => storage === id)?.disabled === !on,
        what: `The Proxmox storage "${id}" could not be ${verb(on)}.`,
        command: `pvesm set ${id} --disable ${on ? 0 : 1}`,
      }),
    backupJob: (id, on) =>
      carryOut({
        byApi: () => proxmox.enableBackupJob(id, on),
        pvesh: [`/cluster/backup/${id}`, '--enabled', on ? '1' : '0'],
        isDone: async () => (await proxmox.backupJobs()).find((job) => job.id === id)?.enabled === on,
        what: `Proxmox's backup job "${id}" could not be ${verb(on)}.`,
        command: `pvesh set /cluster/backup/${id} --enabled ${on ? 1 : 0}`,
      }),
  };
};
