/** Puts back what was taken out of use, in the reverse order, each checked. */
import type { Mount } from '#shared/mountinfo';
import type { Drive } from '../disks/inventory/drive.ts';
import type { Current } from '../disks/known/current.ts';
import type { HostMounts } from '../ports/host-mounts.ts';
import type { Journal } from '../ports/journal.ts';
import type { Proxmox } from '../ports/proxmox.ts';
import type { StorageSwitch } from '../ports/storage-switch.ts';
import { createFate, type FatePorts } from './fate.ts';
import { plainOptions, sourceNow, type Unmounted } from './host-mount.ts';
import { topAt } from './lying-on.ts';
import type { Op, Prepared } from './op.ts';
import { asked, theirDrive } from './prepare-scene.ts';
import { beingErased, erased } from './prepare-words.ts';
import type { Steps } from './steps.ts';

export interface PutBackPorts extends FatePorts {
  journal: Journal;
  current: Pick<Current, 'fresh' | 'changed'>;
  mounts: Pick<HostMounts, 'seen' | 'mount'>;
  proxmox: Pick<Proxmox, 'backupJobs' | 'storageConfigs'>;
  storageSwitch: StorageSwitch;
}

export const createPutBack = (ports: PutBackPorts) => {
  const { journal, current, mounts, proxmox, storageSwitch } = ports;
  const fateOf = createFate(ports);

  /** With the options that it had, or at least with those that keep it from doing harm. */
  const mountAt = (one: Unmounted, source: string): Promise<void> =>
    mounts.mount({ ...one, source }).catch(() => mounts.mount({ ...one, source, options: plainOptions(one.options) }));

  const mountAgain = async (one: Unmounted, drive: Drive | undefined): Promise<void> => {
    const source = drive === undefined ? null : sourceNow(drive, one);
    if (source === null)
      throw new Error(`what was mounted at ${one.point} is not on the drive any more, or the drive is not plugged in`);
    const numbers = drive?.filesystems.find(({ device }) => `/dev/${device}` === source)?.numbers;
    const isIt = ({ point, device, source: from }: Mount): boolean =>
      point === one.point && (device === numbers || from === source || one.fstype === 'none');
    const seen = await mounts.seen();
    if (seen.some(isIt)) return;
    // Whoever gave the place to another drive writes there.
    if (topAt(seen, one.point) !== undefined) throw new Error(`something else is mounted at ${one.point} by now`);
    await mountAt(one, source);
    if (!(await mounts.seen()).some(isIt)) throw new Error(`nothing is mounted at ${one.point}`);
  };

  /** What is gone, or was enabled by somebody, is left as it is. */
  const switchOn = async (one: Exclude<Prepared, Unmounted>): Promise<void> => {
    if (one.kind === 'storage-disabled') {
      const found = (await asked(proxmox.storageConfigs())).find(({ storage }) => storage === one.storage);
      if (found?.disabled) await storageSwitch.storage(one.storage, true);
      return;
    }
    const found = (await asked(proxmox.backupJobs())).find(({ id }) => id === one.job);
    if (found !== undefined && !found.enabled) await storageSwitch.backupJob(one.job, true);
  };

  const allOf = async (op: Op, steps: Steps): Promise<void> => {
    const needsDrive = steps.done().some(({ kind }) => kind === 'unmounted');
    const drive = needsDrive ? theirDrive(await current.fresh(), op) : undefined;
    for (const one of steps.done().toReversed()) {
      if (one.kind === 'unmounted') await mountAgain(one, drive);
      else await switchOn(one);
      await steps.isUndone(one);
    }
  };

  return {
    /** Not past one that fails: a storage whose drive is not mounted stays disabled. @returns why it failed; null: all is back */
    putBack: async (op: Op, steps: Steps): Promise<unknown> => {
      if (steps.done().length === 0) return null;
      try {
        await allOf(op, steps);
        return null;
      } catch (error) {
        journal('error', 'A drive that was taken out of use could not be put back.', { op: op.id, cause: String(error) });
        return error;
      } finally {
        current.changed();
      }
    },

    /** A format may have ended before it came to what was mounted: then all of that is still there. */
    refuseErased: async (op: Op): Promise<void> => {
      const fate = fateOf(op);
      if (fate === 'as-it-was') return;
      if (fate === 'at-stake') throw beingErased(op);
      const drive = theirDrive(await current.fresh(), op);
      const mounted = op.prepared.filter((one) => one.kind === 'unmounted');
      const isThere = drive !== undefined && mounted.length > 0 && mounted.every((one) => sourceNow(drive, one) !== null);
      if (!isThere) throw erased(op.prepared);
    },
  };
};
