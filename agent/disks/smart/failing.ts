/** The problem that drives are failing: told at once, taken back only when they have been well for hours. Pure. */
import type { NewProblem } from '../../health/problems.ts';
import type { SmartReading } from './parse.ts';

/** A drive as it is told of. */
export interface Judged {
  /** Names this plugging in. */
  plug: string;
  /** Its kernel name, and no more: every guest of the host reads this, whoever the drive belongs to. */
  name: string;
  /** The newest whole reading; null where there is none. */
  reading: SmartReading | null;
}

/** Drives that are told of, each with since when it has been well again; null while it is not. */
export type Failing = ReadonlyMap<string, number | null>;

/** Longer than from one reading to the next, so that at least two of them were good. */
const WELL_MS = 2.5 * 3_600_000;

/** A drive that was pulled out is no longer told of; when it is back, so is what it said. */
export const nextFailing = (before: Failing, drives: readonly Judged[], now: number): Failing =>
  new Map(
    drives.flatMap(({ plug, reading }): [string, number | null][] => {
      if (reading?.health === 'FAILING') return [[plug, null]];
      if (!before.has(plug)) return [];
      if (reading?.health !== 'PASSED') return [[plug, null]];
      const since = before.get(plug) ?? now;
      return now - since >= WELL_MS ? [] : [[plug, since]];
    }),
  );

/** Null where no drive is to be told of. */
export const failingProblem = (failing: Failing, drives: readonly Judged[]): NewProblem | null => {
  const told = drives.filter(({ plug }) => failing.has(plug));
  const [first] = told;
  if (first === undefined) return null;
  return {
    code: 'drive-failing',
    vmid: null,
    sentence:
      told.length === 1
        ? `The drive ${first.name} is failing: what is on it may be lost at any time.`
        : `${told.length} drives are failing: what is on them may be lost at any time.`,
    evidence: told.map(({ name, reading }) => `${name}: ${(reading?.reasons ?? []).join(' ')}`).join('\n'),
    nextStep: `Copy what matters to another drive now. The operator replaces it; "felhom-agent disks show ${first.name}" tells which one it is.`,
  };
};
