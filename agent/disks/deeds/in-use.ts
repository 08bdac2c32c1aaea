/** Who has a drive in use at this moment, by every way there is to find out; what cannot be found out counts as in use. */
import type { DriveCheck } from '../../ports/drive-check.ts';
import type { GuestOfProcess } from '../../ports/guest-of-process.ts';
import { deviceFile } from '../../ports/probe.ts';
import type { KernelDevice } from '../../ports/sysfs.ts';
import { asKnown } from '../inventory/as-known.ts';
import type { Assignment } from '../inventory/assignment.ts';
import type { Drive, Holder } from '../inventory/drive.ts';
import type { Known, SeenMount } from '../inventory/evidence.ts';
import { type HolderSources, holder, holdersFrom, mountsOn, notKnown, type Parts, partsOf } from './holders.ts';

export interface InUsePorts {
  check: Pick<DriveCheck, 'exclusive' | 'users'>;
  /** The sources as they are now. Never rejects. */
  gather: () => Promise<HolderSources['sources']>;
  assignments: () => readonly Pick<Assignment, 'mountPoint' | 'vmid'>[];
  guestOf: GuestOfProcess;
}

export interface InUse {
  /**
   * Empty: nobody. Never rejects. Twins are taken for the drive itself. A mount of felhom's own on the host has the vmid of the guest that
   * it was made for, one inside a guest the vmid of that guest.
   * @param heldBy a process that has the drive for itself alone for whoever asks; it is left out, and the kernel is not asked again
   */
  holders(drive: Pick<Drive, 'name' | 'device' | 'twins'>, heldBy?: number): Promise<Holder[]>;
}

/** Null where the drive is not what it was, or the kernel cannot be asked. */
const partsNow = (
  { name, device, twins }: Pick<Drive, 'name' | 'device' | 'twins'>,
  kernel: Known<readonly KernelDevice[]>,
): Parts | null => {
  const found = kernel.known ? kernel.value.filter((one) => one.name === name || twins.includes(one.name)) : [];
  const same = found.find((one) => one.name === name);
  return same !== undefined && same.diskseq === device.diskseq && same.numbers === device.numbers ? partsOf(found) : null;
};

export const createInUse = ({ check, gather, assignments, guestOf }: InUsePorts): InUse => {
  const guestsOf = async (mounts: readonly SeenMount[]): Promise<HolderSources['guestOf']> => {
    const pids = [...new Set(mounts.filter(({ host }) => !host).map(({ pid }) => pid))];
    const byPid = new Map(await Promise.all(pids.map(async (pid) => [pid, await guestOf(pid)] as const)));
    const byDevice = new Map<string, number>();
    for (const { mountPoint, vmid } of assignments())
      for (const { host, mount } of mounts) if (host && mount.point === mountPoint) byDevice.set(mount.device, vmid);
    return ({ host, pid, mount }) => (host ? byDevice.get(mount.device) : byPid.get(pid)) ?? null;
  };

  /** The kernel's own word. Where somebody was named already it adds nothing. */
  const claims = async ({ devices }: Parts): Promise<Holder[]> => {
    const answers = await Promise.all(devices.map(({ name }) => asKnown(check.exclusive(deviceFile(name)))));
    return answers.flatMap((answer) => {
      if (!answer.known) return [notKnown('somebody claims it', answer.why)];
      return answer.value === 'busy' ? [holder('exclusive', 'The kernel says that somebody claims it, or a part of it.')] : [];
    });
  };

  return {
    holders: async (drive, heldBy) => {
      const sources = await gather();
      const parts = partsNow(drive, sources.kernel);
      if (parts === null) return [notKnown('it is in use', 'it is not plugged in as it was')];
      const own = sources.mounts.known ? mountsOn(sources.mounts.value, parts) : [];
      const numbers = [...new Set([...parts.numbers, ...own.map(({ mount }) => mount.device)])];
      const [users, claimed, whose] = await Promise.all([
        asKnown(check.users(numbers, [], heldBy === undefined ? [] : [heldBy])),
        heldBy === undefined ? claims(parts) : [],
        guestsOf(own),
      ]);
      const named = holdersFrom(parts, { sources, users, guestOf: whose });
      return named.length > 0 ? [...named, ...claimed.filter(({ kind }) => kind === 'unknown')] : claimed;
    },
  };
};
