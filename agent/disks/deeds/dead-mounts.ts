/** Guests that still have mounts of drives that were pulled out: what is plugged in again does not show there until they restart. */
import type { Clock } from '#shared/clock';
import type { GuestOfProcess } from '../../ports/guest-of-process.ts';
import type { Sysfs } from '../../ports/sysfs.ts';
import type { Current } from '../known/current.ts';
import type { Wrong } from './assigned-wrong.ts';
import { isDead } from './mount-source.ts';

export interface DeadMountPorts {
  clock: Clock;
  current: Pick<Current, 'inventory' | 'last'>;
  sysfs: Pick<Sysfs, 'kernelDevices'>;
  guestOf: GuestOfProcess;
}

/** As long as there are any they are looked for so often. */
const AGAIN_MS = 60_000;

export const createDeadMounts = ({ clock, current, sysfs, guestOf }: DeadMountPorts) => {
  let known: readonly Wrong[] = [];
  /** Infinity: nobody has lost a drive since there were none. The first look is for what was lost before this start. */
  let nextAt = Number.NEGATIVE_INFINITY;

  const look = async (): Promise<readonly Wrong[]> => {
    await current.inventory();
    const mounts = current.last()?.evidence.mounts;
    if (mounts?.known !== true) return known;
    const devices = await sysfs.kernelDevices();
    const inside = mounts.value.filter(({ host, mount }) => !host && isDead(mount, devices));
    const found = await Promise.all(
      inside.map(async ({ pid, mount }): Promise<Wrong[]> => {
        const vmid = await guestOf(pid);
        return vmid === null
          ? []
          : [{ code: 'drive-mount-dead', vmid, what: '', evidence: `gone, and still mounted at ${mount.point}` }];
      }),
    );
    known = found.flat();
    nextAt = known.length > 0 ? clock.monotonic() + AGAIN_MS : Number.POSITIVE_INFINITY;
    return known;
  };

  return {
    /** A drive was lost. */
    lost: (): void => {
      nextAt = Number.NEGATIVE_INFINITY;
    },
    now: async (): Promise<readonly Wrong[]> => (clock.monotonic() < nextAt ? known : look()),
  };
};
