/** Whether a guest should be backed up now. */

/** A time this far in the future was written by a clock that jumped: it is not believed. */
const SKEW_MS = 5 * 60_000;

export interface DueFacts {
  now: number;
  maxAgeMs: number;
  minIntervalMs: number;
  /** The data of the newest good backup is no younger than this. */
  lastGoodAt: number | null;
  lastStartAt: number | null;
  /** A backup that runs on this node: of this guest, or of another. */
  runs: 'here' | 'elsewhere' | null;
}

export interface Due {
  due: boolean;
  reason: string;
}

/** Null for what lies in the future. */
const believed = (at: number | null, now: number): number | null => (at !== null && at <= now + SKEW_MS ? at : null);

export const decideDue = ({ now, maxAgeMs, minIntervalMs, lastGoodAt, lastStartAt, runs }: DueFacts): Due => {
  if (runs === 'here') return { due: false, reason: 'A backup of this guest is running.' };
  if (runs === 'elsewhere') return { due: false, reason: "Another guest's backup is running on this host." };
  const wait = waitMs({ now, minIntervalMs, lastStartAt });
  if (wait > 0)
    return { due: false, reason: `A backup was started ${span(minIntervalMs - wait)} ago; the next may start in ${span(wait)}.` };
  const good = believed(lastGoodAt, now);
  if (lastGoodAt === null) return { due: true, reason: 'No backup yet.' };
  if (good === null) return { due: true, reason: "The last good backup's time lies in the future, so its age is not known." };
  const age = Math.max(0, now - good);
  return { due: age >= maxAgeMs, reason: `The last good backup is ${span(age)} old.` };
};

/** How long the next start has to wait; 0 = none. */
export const waitMs = ({ now, minIntervalMs, lastStartAt }: Pick<DueFacts, 'now' | 'minIntervalMs' | 'lastStartAt'>): number => {
  const started = believed(lastStartAt, now);
  return started === null ? 0 : Math.min(minIntervalMs, Math.max(0, started + minIntervalMs - now));
};

/** `37 hours`, `1 minute`: the largest unit that a person would use, rounded down. */
export const span = (ms: number): string => {
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 1) return 'less than a minute';
  if (minutes < 120) return counted(minutes, 'minute');
  const hours = Math.floor(minutes / 60);
  return hours < 72 ? counted(hours, 'hour') : counted(Math.floor(hours / 24), 'day');
};

const counted = (count: number, unit: string): string => `${count} ${unit}${count === 1 ? '' : 's'}`;
