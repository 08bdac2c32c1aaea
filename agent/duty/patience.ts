/** How long each guest has been silent, and how long it could have taken its backup and did not. On the monotonic clock. */
import type { Clock } from '#shared/clock';

/** A guest whose controller has not called for so long is not waited for. */
const SILENT_MS = 15 * 60_000;
/** Controllers ask every minute whether a backup is due; one that has missed two of those does not wait for one. */
const ASKING_MS = 3 * 60_000;

export type Patience = ReturnType<typeof createPatience>;

export const createPatience = (clock: Pick<Clock, 'monotonic'>) => {
  const calls = new Map<number, { at: number | null; seen: number }>();
  const asked = new Map<number, number>();
  const waited = new Map<number, number>();
  let counted = clock.monotonic();

  return {
    /** The time of a guest's last call, as it is told: when that changes, it has called. A guest that is new here has until then. */
    heard: (vmid: number, lastSeenAt: number | null): void => {
      const known = calls.get(vmid);
      if (known === undefined || known.at !== lastSeenAt) calls.set(vmid, { at: lastSeenAt, seen: clock.monotonic() });
    },
    silentMs: (vmid: number): number => clock.monotonic() - (calls.get(vmid)?.seen ?? clock.monotonic()),
    isSilent: (vmid: number): boolean => clock.monotonic() - (calls.get(vmid)?.seen ?? clock.monotonic()) >= SILENT_MS,
    /** Its controller asks whether a backup is due. */
    asks: (vmid: number): void => void asked.set(vmid, clock.monotonic()),
    isAsking: (vmid: number): boolean => clock.monotonic() - (asked.get(vmid) ?? Number.NEGATIVE_INFINITY) < ASKING_MS,
    /** Since the last call of this: who is due, and whether each could have had the slot meanwhile. */
    count: (due: readonly number[], could: (vmid: number) => boolean): void => {
      const elapsed = clock.monotonic() - counted;
      counted = clock.monotonic();
      for (const vmid of waited.keys()) if (!due.includes(vmid)) waited.delete(vmid);
      for (const vmid of due) {
        const before = waited.get(vmid);
        waited.set(vmid, before === undefined ? 0 : before + (could(vmid) ? elapsed : 0));
      }
    },
    waitedMs: (vmid: number): number => waited.get(vmid) ?? 0,
    forget: (vmid: number): void => {
      waited.delete(vmid);
    },
  };
};
