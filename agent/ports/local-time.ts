/** Local time in the host's zone. By Date, whose tables are loaded anyway: the first Intl.DateTimeFormat costs 8 MB. */
import { statSync } from 'node:fs';

/** Milliseconds to add to an instant to get its wall clock, both read as UTC. */
export type OffsetAt = (instant: number) => number;

export interface LocalTime {
  /** Makes a zone this process's own, as `Europe/Budapest`; null for one that the host does not know. */
  inZone(name: string): OffsetAt | null;
  /** In the zone that this process has now. */
  here: OffsetAt;
}

/** tzfile(5). */
const ZONES = '/usr/share/zoneinfo';
const NAME = /^[A-Za-z0-9_+-]+(?:\/[A-Za-z0-9_+-]+){0,2}$/;

const isKnown = (name: string): boolean =>
  NAME.test(name) && (name === 'UTC' || (statSync(`${ZONES}/${name}`, { throwIfNoEntry: false })?.isFile() ?? false));

const here: OffsetAt = (instant) => -new Date(instant).getTimezoneOffset() * 60_000;

export const createLocalTime = (): LocalTime => ({
  inZone: (name) => {
    if (!isKnown(name)) return null;
    return (instant) => {
      // Node.js takes a change over at once (process.env, "TZ").
      if (process.env.TZ !== name) process.env.TZ = name;
      return here(instant);
    };
  },
  here,
});
