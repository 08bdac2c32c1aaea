/** Who may ask how often. Pure: the time is given, in milliseconds that never jump. */

/** Fills at `perSecond`, holds one second's worth. */
export interface Bucket {
  level: number;
  filledAt: number;
}

export const fullBucket = (perSecond: number, now: number): Bucket => ({ level: perSecond, filledAt: now });

/** Takes one; false when there is none. */
export const take = (bucket: Bucket, perSecond: number, now: number): boolean => {
  bucket.level = Math.min(perSecond, bucket.level + ((now - bucket.filledAt) * perSecond) / 1000);
  bucket.filledAt = now;
  if (bucket.level < 1) return false;
  bucket.level -= 1;
  return true;
};

const FAILED_TRIES = 20;
const FAILED_WINDOW_MS = 60_000;
/** Sources remembered at once; beyond that the oldest is forgotten, so that nobody can fill the memory. */
const SOURCES = 1000;

export interface FailedTries {
  /** Counts one failed try. `flooding`: this source has spent what it may; `first`: by this very try. */
  note(source: string, now: number): { flooding: boolean; first: boolean };
}

/** Only ever asked about tokens that are not valid: a valid one is neither delayed nor refused, wherever it comes from. */
export const createFailedTries = (): FailedTries => {
  const tries = new Map<string, { since: number; count: number }>();
  return {
    note: (source, now) => {
      const known = tries.get(source);
      const entry = known !== undefined && now - known.since < FAILED_WINDOW_MS ? known : { since: now, count: 0 };
      entry.count += 1;
      tries.delete(source);
      tries.set(source, entry);
      const [oldest] = tries.keys();
      if (tries.size > SOURCES && oldest !== undefined) tries.delete(oldest);
      return { flooding: entry.count > FAILED_TRIES, first: entry.count === FAILED_TRIES + 1 };
    },
  };
};

/** A minute and its spare: the controller asks once a minute. */
const INSTANCE_MEMORY_MS = 60_000;

/** Which running controller was seen last with a token. */
export interface SeenInstance {
  id: string;
  at: number;
}

/** Whether `id` is another controller than the one seen within the last minute: a clone of the guest is running. */
export const isDuplicate = (seen: SeenInstance | null, id: string, now: number): boolean =>
  seen !== null && seen.id !== id && now - seen.at < INSTANCE_MEMORY_MS;
