/** How many backups a guest may ask for beyond its schedule: a stolen token must not fill the storage. */
import type { Clock } from '#shared/clock';
import { FelhomError } from '#shared/errors';
import { span } from './words.ts';

const DAY_MS = 24 * 3600_000;
const PER_DAY = 2;

export interface ExtraFacts {
  /** Started within the last 24 hours, as the rows say. */
  recorded: number;
  sinceStartMs: number;
  minIntervalMs: number;
}

export const createLimits = (clock: Pick<Clock, 'monotonic'>) => {
  /** By the monotonic clock: what the rows say may be misread when the wall clock jumps. */
  const starts = new Map<number, number[]>();
  const recent = (vmid: number): number[] => (starts.get(vmid) ?? []).filter((at) => clock.monotonic() - at < DAY_MS);

  return {
    /** Throws where one more is too much. */
    require: (vmid: number, { recorded, sinceStartMs, minIntervalMs }: ExtraFacts): void => {
      const left = minIntervalMs - sinceStartMs;
      if (left > 0)
        throw new FelhomError(
          'backup-too-soon',
          `The last backup was started only a while ago. The next may start in ${span(left)}.`,
        );
      if (Math.max(recorded, recent(vmid).length) >= PER_DAY)
        throw new FelhomError(
          'backup-too-soon',
          `No backup is due, and ${PER_DAY} extra ones were started within a day. More are made as scheduled.`,
        );
    },
    started: (vmid: number): void => {
      starts.set(vmid, [...recent(vmid), clock.monotonic()]);
    },
  };
};
