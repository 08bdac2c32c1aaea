/** What can be wrong with what is assigned, as problems: of each guest one of a kind, whichever of its drives it is about. */
import type { ProblemCode } from '#shared/problems';
import type { Problems } from '../../health/problems.ts';
import type { Assignment } from '../inventory/assignment.ts';
import { nameOf } from './links.ts';

const CODES = [
  'drive-contested',
  'drive-missing',
  'drive-mount-dead',
  'drive-not-mounted',
  'mount-point-unprotected',
] as const satisfies ProblemCode[];
type Code = (typeof CODES)[number];

/** One thing that is wrong, of one guest. */
export interface Wrong {
  code: Code;
  vmid: number;
  /** Name of what it is about, below the mount root. */
  what: string;
  evidence: string;
}

export const wrong = (code: Code, row: Assignment, evidence: string): Wrong => ({
  code,
  vmid: row.vmid,
  what: nameOf(row),
  evidence,
});

const WORDS: Record<Code, { sentence: (what: string) => string; nextStep: string }> = {
  'drive-contested': {
    sentence: (what) =>
      `A drive that is mounted for this guest is set up for something else too, and both may write to it: ${what}.`,
    nextStep:
      'The operator takes one of the two away, before the host or a guest is started again: "felhom-agent disks eject", or the other.',
  },
  'drive-missing': {
    sentence: (what) => `A drive of this guest is not plugged in: ${what}.`,
    nextStep: 'Plug it in again; it comes back by itself. If it is gone for good, eject it.',
  },
  'drive-mount-dead': {
    sentence: () => 'This guest still holds a drive that was unplugged, and will not see it come back.',
    nextStep: 'Restart the guest.',
  },
  'drive-not-mounted': {
    sentence: (what) => `A drive of this guest is plugged in, but not mounted: ${what}.`,
    nextStep: "The evidence says why, and the agent's log says more. A file system that is damaged has to be checked first.",
  },
  'mount-point-unprotected': {
    sentence: (what) => `While this drive is away, what is written to its place fills the server's own disk: ${what}.`,
    nextStep: 'The operator moves the mount root to a file system that has the immutable attribute: ext4, xfs, btrfs.',
  },
};

const together = (words: readonly string[]): string => [...new Set(words)].sort().join(', ');

/** Raises what is wrong, and clears all else of these kinds. */
export const tellWrong = (problems: Pick<Problems, 'raise' | 'clear' | 'list'>, all: readonly Wrong[]): void => {
  for (const code of CODES) {
    const found = all.filter((one) => one.code === code);
    const guests = new Set(found.map(({ vmid }) => vmid));
    for (const vmid of guests) {
      const own = found.filter((one) => one.vmid === vmid);
      const { sentence, nextStep } = WORDS[code];
      const evidence = together(own.map((one) => one.evidence));
      problems.raise({ code, vmid, sentence: sentence(together(own.map(({ what }) => what))), evidence, nextStep });
    }
    for (const known of problems.list())
      if (known.code === code && known.vmid !== null && !guests.has(known.vmid)) problems.clear(code, known.vmid);
  }
};
