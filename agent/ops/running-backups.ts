/** Backups that write to storages which are to be taken out of use: our own are ended, others' are waited for by whoever asked. */
import { type Clock, sleep } from '#shared/clock';
import { FelhomError } from '#shared/errors';
import { NOTHING_FOREIGN, readForeignLine } from '../backups/foreign-log.ts';
import type { Backups } from '../backups/service.ts';
import { plain } from '../disks/inventory/plain.ts';
import type { Proxmox } from '../ports/proxmox.ts';
import { parseUpid } from '../ports/upid.ts';

export interface RunningBackupsPorts {
  backups: Pick<Backups, 'running' | 'cancel'>;
  proxmox: Pick<Proxmox, 'node' | 'runningVzdump' | 'taskLog'>;
  clock: Clock;
}

/** Proxmox kills a task five seconds after it was told to end; then vzdump takes away what it has begun. */
const END_MS = 60_000;
const LOOK_MS = 250;

export const createRunningBackups = ({ backups, proxmox, clock }: RunningBackupsPorts) => {
  const own = (storages: readonly string[]) =>
    backups.running().filter(({ source, storage }) => source !== 'proxmox' && storages.includes(storage));

  /** Where a vzdump writes, as its first line says; '' where it names no storage. */
  const targetOf = async (upid: string): Promise<string> =>
    (await proxmox.taskLog(upid, 0)).reduce(readForeignLine, NOTHING_FOREIGN).storage;

  return {
    /** Backups of others on this node that write, or may write, to one of these, each a sentence. */
    foreign: async (storages: readonly string[]): Promise<string[]> => {
      if (storages.length === 0) return [];
      const ours = new Set(
        backups
          .running()
          .filter(({ source }) => source !== 'proxmox')
          .map(({ upid }) => upid),
      );
      const found: string[] = [];
      for (const { upid, id, user } of await proxmox.runningVzdump()) {
        if (ours.has(upid) || parseUpid(upid)?.node !== proxmox.node) continue;
        const target = await targetOf(upid);
        if (target !== '' && !storages.includes(target)) continue;
        const whose = `${id === '' ? 'of several guests' : `of guest ${id}`}, started by ${plain(user)}`;
        const where = target === '' ? 'writes to a place that cannot be told' : `writes to the storage "${target}"`;
        found.push(`A backup ${whose}, ${where}. felhom ends no backup of others: wait for it, or stop its task: ${upid}`);
      }
      return found;
    },

    /** Ends our own; resolves when none writes any more. @param onEnd is told the guest of each, which nothing brings back */
    endOwn: async (storages: readonly string[], onEnd: (vmid: number) => void): Promise<void> => {
      const told = new Set<string>();
      for (let waited = 0; own(storages).length > 0; waited += LOOK_MS) {
        if (waited >= END_MS)
          throw new FelhomError('drive-in-use', 'A backup to this drive was told to end and has not done so within a minute.');
        for (const { vmid, jobId } of own(storages).filter((job) => !told.has(job.jobId))) {
          told.add(jobId);
          await backups.cancel(vmid, 'cancelled');
          onEnd(vmid);
        }
        await sleep(clock, LOOK_MS);
      }
    },
  };
};
export type RunningBackups = ReturnType<typeof createRunningBackups>;
