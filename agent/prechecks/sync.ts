/**
 * Writes back what a container's file systems hold, from the host, before Proxmox does it with the container frozen: that freeze
 * has no other upper bound (pve-container:src/PVE/LXC.pm, sync_container_namespace).
 */
import { isLate } from '#agent/ports/command';
import { createTurn, type InTurn } from '#agent/turn';
import type { Clock } from '#shared/clock';
import type { Mount } from '#shared/mountinfo';
import { mountsToSync } from './guest-mounts.ts';

export interface GuestSyncPorts {
  guestMounts: {
    /** Null: the container's first process is not there. */
    list(vmid: number): Promise<readonly Mount[] | null>;
    /** Resolves to the milliseconds it took. */
    sync(vmid: number, mountPoint: string, timeoutMs: number): Promise<number>;
  };
  clock: Clock;
}

/** A freeze is as long as what is left to write: about so long after a pass that took no longer. */
const QUICK_MS = 2_000;
const PASSES = 5;
const LIMIT_MS = 120_000;
/** What was written back counts for so long. */
const KEEP_MS = 60_000;

export interface Settled {
  quick: boolean;
  /** How the passes went. */
  evidence: string;
  /** Mount points that cannot be synced at all. */
  failed: readonly string[];
}

interface Pass {
  ms: number;
  late: string[];
  failed: string[];
}

export type GuestSync = ReturnType<typeof createGuestSync>;

export const createGuestSync = ({ guestMounts, clock }: GuestSyncPorts) => {
  const quickAt = new Map<number, number>();
  const turns = new Map<number, InTurn>();

  /** Two passes over one guest at once would only wait for each other. */
  const inTurnOf = (vmid: number): InTurn => {
    const turn = turns.get(vmid) ?? createTurn();
    turns.set(vmid, turn);
    return turn;
  };

  /** One after the other, as Proxmox does it. `limitMs` of one, told what was spent so far. */
  const pass = async (vmid: number, mounts: readonly Mount[], limitMs: (spentMs: number) => number): Promise<Pass> => {
    const result: Pass = { ms: 0, late: [], failed: [] };
    for (const { point } of mounts) {
      const startedAt = clock.monotonic();
      const limit = limitMs(result.ms);
      if (limit <= 0) result.late.push(point);
      else
        await guestMounts.sync(vmid, point, limit).catch((error: unknown) => {
          result[isLate(error) ? 'late' : 'failed'].push(point);
        });
      result.ms += clock.monotonic() - startedAt;
    }
    if (result.late.length === 0 && result.ms < QUICK_MS) quickAt.set(vmid, clock.monotonic());
    return result;
  };

  const isRecent = (vmid: number): boolean => clock.monotonic() - (quickAt.get(vmid) ?? Number.NEGATIVE_INFINITY) < KEEP_MS;

  /** Passes until one is quick. A file system that is stuck is not asked again: the next pass would find it stuck. */
  const settle = (vmid: number, mounts: readonly Mount[]): Promise<Settled> =>
    inTurnOf(vmid)(async () => {
      if (isRecent(vmid)) return { quick: true, evidence: 'synced a moment ago', failed: [] };
      const took: string[] = [];
      for (let count = 1; count <= PASSES; count += 1) {
        const { ms, late, failed } = await pass(vmid, mountsToSync(mounts), () => LIMIT_MS);
        took.push(`${(ms / 1000).toFixed(1)} s`);
        if (late.length > 0)
          return { quick: false, evidence: `${late[0]} was not written back within ${LIMIT_MS / 1000} s`, failed };
        if (ms < QUICK_MS) return { quick: true, evidence: took.join(', '), failed };
      }
      return {
        quick: false,
        evidence: `writing back took ${took.join(', ')}; it has to be under ${QUICK_MS / 1000} s`,
        failed: [],
      };
    });

  /** One pass, of two seconds at most: what was written since the prechecks. */
  const once = (vmid: number): Promise<void> =>
    inTurnOf(vmid)(async () => {
      const mounts = await guestMounts.list(vmid);
      if (mounts !== null) await pass(vmid, mountsToSync(mounts), (spentMs) => QUICK_MS - spentMs);
    });

  return { settle, once };
};
