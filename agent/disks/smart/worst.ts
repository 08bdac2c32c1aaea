/** Several drives' health as one: of what lies on all of them. Pure. */
import type { SmartReading } from './parse.ts';

/** Nobody's word is good enough where another drive's is missing. */
const RANK = { FAILING: 2, UNKNOWN: 1, PASSED: 0 } as const satisfies Record<SmartReading['health'], number>;

const most = (figures: readonly (number | null)[]): number | null =>
  figures.reduce<number | null>((best, one) => (one === null || (best !== null && best >= one) ? best : one), null);

/** @param drives at least one; `name` is what its reasons begin with, where there are several */
export const worstOf = (drives: readonly { name: string; reading: SmartReading }[]): SmartReading => {
  const readings = drives.map(({ reading }) => reading);
  const sorted = drives.toSorted((one, other) => RANK[other.reading.health] - RANK[one.reading.health]);
  return {
    health: sorted[0]?.reading.health ?? 'UNKNOWN',
    temperature_c: most(readings.map(({ temperature_c }) => temperature_c)),
    percentage_used: most(readings.map(({ percentage_used }) => percentage_used)),
    power_on_hours: most(readings.map(({ power_on_hours }) => power_on_hours)),
    standby: readings.length > 0 && readings.every(({ standby }) => standby),
    reasons: sorted.flatMap(({ name, reading }) =>
      drives.length === 1 ? reading.reasons : reading.reasons.map((reason) => `${name}: ${reason}`),
    ),
  };
};
