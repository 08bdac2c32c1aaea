/** Local time of an IANA zone, from Intl's own tables: independent of the zone that this process runs in. Pure. */

/** Milliseconds to add to an instant to get its wall clock, both read as UTC. */
export type OffsetAt = (instant: number) => number;

const FIELDS = {
  year: 'numeric',
  month: 'numeric',
  day: 'numeric',
  hour: 'numeric',
  minute: 'numeric',
  second: 'numeric',
} as const;
const HOUR_MS = 3_600_000;
/** Wider than any offset (−12 to +14 hours), narrower than what lies between two changes of a zone's clocks. */
const AROUND_MS = 24 * HOUR_MS;

/** Null: not a zone that Intl knows. */
export const offsetsOf = (zone: string): OffsetAt | null => {
  try {
    const format = new Intl.DateTimeFormat('en-US', { ...FIELDS, timeZone: zone, calendar: 'iso8601', hourCycle: 'h23' });
    return (instant) => wallIn(format, instant) - Math.floor(instant / 1000) * 1000;
  } catch {
    return null;
  }
};

const wallIn = (format: Intl.DateTimeFormat, instant: number): number => {
  const parts = Object.fromEntries(format.formatToParts(instant).map(({ type, value }) => [type, Number(value)]));
  const { year = 1970, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = parts;
  return Date.UTC(year, month - 1, day, hour, minute, second);
};

/** The instant of a wall clock, the earlier of two; of one that the clocks skip, the moment at which they do. `skipped` says which. */
export const instantOf = (offsetAt: OffsetAt, wall: number): { at: number; skipped: boolean } => {
  const before = offsetAt(wall - AROUND_MS);
  const after = offsetAt(wall + AROUND_MS);
  const found = [before, after].map((offset) => wall - offset).find((at) => at + offsetAt(at) === wall);
  if (found !== undefined) return { at: found, skipped: false };
  return { at: changeBetween(offsetAt, wall - after, wall - before), skipped: true };
};

/** The first whole second at which the later offset holds. */
const changeBetween = (offsetAt: OffsetAt, from: number, to: number): number => {
  const later = offsetAt(to);
  let [low, high] = [Math.floor(from / 1000) - 1, Math.ceil(to / 1000)];
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (offsetAt(middle * 1000) === later) high = middle;
    else low = middle;
  }
  return high * 1000;
};
