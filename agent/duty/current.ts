/** Whether a stopped guest is still as its last archive has it, so that another would hold the same. */
import type { JobRecord } from '#agent/backups/record';
import { believed } from '#agent/believed';
import type { Journal } from '#agent/ports/journal';
import type { Proxmox } from '#agent/ports/proxmox';
import type { Clock } from '#shared/clock';
import type { Archives as WireArchives } from '#shared/wire/archives';
import type { Passed } from './checks.ts';

export interface CurrentPorts {
  proxmox: Pick<Proxmox, 'guestTasks'>;
  archives: { list(vmid: number, query: Record<string, never>): Promise<WireArchives> };
  clock: Pick<Clock, 'now'>;
  journal: Journal;
}

/** False wherever that is not known: one archive too many does no harm. */
export const createStillCurrent = ({ proxmox, archives, clock, journal }: CurrentPorts) => {
  const isThere = async (vmid: number, volid: string): Promise<boolean> => {
    const { backups } = await archives.list(vmid, {});
    return backups.some((one) => one.volid === volid && one.verification !== 'failed');
  };

  /** Started, rolled back, moved …: whatever changes a stopped guest's data is a task of it. */
  const isUntouched = async (vmid: number, since: number): Promise<boolean> => {
    const tasks = await proxmox.guestTasks(vmid, Math.floor(since / 1000));
    return tasks.every(({ type }) => type === 'vzdump');
  };

  return async ({ guest, configDigest }: Passed, { lastGood }: JobRecord): Promise<boolean> => {
    if (guest.status !== 'stopped' || lastGood?.label !== 'stopped' || lastGood.archive === '') return false;
    if (configDigest === '' || lastGood.configDigest !== configDigest) return false;
    if (believed(lastGood.createdAt, clock.now()) === null) return false;
    try {
      return (await isUntouched(guest.vmid, lastGood.createdAt)) && (await isThere(guest.vmid, lastGood.archive));
    } catch (error) {
      journal('warning', 'It could not be found out whether a stopped guest has changed.', {
        vmid: guest.vmid,
        why: String(error),
      });
      return false;
    }
  };
};
