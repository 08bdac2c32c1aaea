/** The moments that Proxmox names for a schedule, with those that it leaves out: local times that the clocks skip. Pure. */
import type { OffsetAt } from '#agent/ports/local-time';
import { instantOf } from './zone.ts';

export const isUtc = (schedule: string): boolean => /(^|\s)UTC\s*$/.test(schedule);

/**
 * `local`: what Proxmox answered. `walls`: what it answered for the same schedule in UTC, so the wall clocks that the schedule
 * names, whether or not they exist. One that does not is done at the end of the gap.
 */
export const withSkipped = (local: readonly number[], walls: readonly number[], offsetAt: OffsetAt): number[] => {
  const last = local.at(-1) ?? Number.POSITIVE_INFINITY;
  const skipped = walls.map((wall) => instantOf(offsetAt, wall)).filter((found) => found.skipped && found.at <= last);
  return ascending([...local, ...skipped.map(({ at }) => at)]);
};

/** What was known until `from`, and what is known anew from then on. */
export const merged = (before: readonly number[], after: readonly number[], from: number, keep: number): number[] => {
  const past = before.filter((at) => at <= from).slice(-keep);
  return ascending([...past, ...after.filter((at) => at > from)]);
};

const ascending = (moments: number[]): number[] => [...new Set(moments)].sort((a, b) => a - b);
