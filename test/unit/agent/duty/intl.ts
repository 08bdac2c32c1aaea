/** Local time of any zone, by Intl: what the agent's own way is held against. */
import type { LocalTime, OffsetAt } from '#agent/ports/local-time';

const FIELDS = {
  year: 'numeric',
  month: 'numeric',
  day: 'numeric',
  hour: 'numeric',
  minute: 'numeric',
  second: 'numeric',
} as const;

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

export const intlTime: LocalTime = { inZone: offsetsOf, here: () => 0 };
