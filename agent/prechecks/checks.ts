/** Everything that must hold before a backup may start, in total order: the first that fails is told. Pure. */
import type { Facts } from './facts.ts';
import { INSIDE_CHECKS } from './guest-mounts.ts';
import { whereKnown } from './known.ts';
import { ACCESS_CHECKS, REACH_CHECKS } from './reach.ts';
import { archiveNeed, ROOM_CHECKS } from './room.ts';
import { SUSPEND } from './suspend.ts';
import { TARGET_CHECKS } from './target.ts';
import { THIN_POOL, unseenPools } from './thin-pool.ts';
import type { Check } from './verdict.ts';

/** Read from /proc/locks, never by trying it: that would fail a vzdump that comes in the same moment. */
const NODE_LOCK: Check<Facts> = {
  code: 'node-lock-busy',
  find: ({ nodeLockHeld }) =>
    whereKnown(nodeLockHeld)
      ? {
          sentence: 'Proxmox is making another backup on this server; only one can run at a time.',
          evidence: "vzdump's lock is held",
          nextStep: 'Wait until that backup has ended; Proxmox shows it among its tasks.',
        }
      : null,
};

/** After REACH_CHECKS and ACCESS_CHECKS. */
export const START_CHECKS: readonly Check<Facts>[] = [
  ...TARGET_CHECKS,
  ...ROOM_CHECKS,
  THIN_POOL,
  NODE_LOCK,
  ...INSIDE_CHECKS,
  SUSPEND,
];

export const ORDER = [...REACH_CHECKS, ...ACCESS_CHECKS, ...START_CHECKS].map(({ code }) => code);

/** What could not be known, and does not forbid a backup. */
export const warningsOf = (facts: Facts): string[] => [
  ...unseenPools(facts),
  ...(facts.nodeLockHeld.ok ? [] : ['Whether Proxmox makes another backup now could not be read.']),
  ...(archiveNeed(facts).bytes > 0 ? [] : ['How large the archive will be is not known; only the reserve was asked for.']),
  ...(facts.inside !== null && whereKnown(facts.inside.mounts) === null
    ? ["The guest's file systems could not be synced beforehand; it may be frozen for longer."]
    : []),
];
