/** Reasons on their way to becoming a drive's role: each with what it came from. Pure. */
import type { Holder, Reason, Role } from './drive.ts';

/**
 * `use`: the host has, or is set up to have, something on it. `given`: a guest has it. `seen`: backups were seen on it. `together`: it is
 * part of something with another drive. `remembered`: it once had this role. `ordered`: root's configuration says so. `kind`: what sort
 * of drive it is. `unknown`: something could not be determined. `unlooked`: nobody has looked into its file systems, where backups could
 * be; it counts only where nothing else protects the drive. `none`: nothing speaks against a customer's using it.
 */
export type Origin = 'use' | 'given' | 'seen' | 'together' | 'remembered' | 'ordered' | 'kind' | 'unknown' | 'unlooked' | 'none';

export interface Found extends Reason {
  origin: Origin;
}

/** Reasons and holders by drive; what is added twice counts once. */
export interface Findings {
  reasons: ReadonlyMap<string, readonly Found[]>;
  holders: ReadonlyMap<string, readonly Holder[]>;
}

const same = (a: Found, b: Found): boolean => a.role === b.role && a.sentence === b.sentence;

/** Of two alike the lasting one stays. */
export const addFound = (before: readonly Found[], one: Found): Found[] => {
  const known = before.find((other) => same(other, one));
  if (known === undefined) return [...before, one];
  return known.lasting || !one.lasting ? [...before] : before.map((other) => (other === known ? one : other));
};

export const createFindings = () => {
  const reasons = new Map<string, Found[]>();
  const holders = new Map<string, Holder[]>();
  return {
    reasons,
    holders,
    because: (drives: Iterable<string>, one: Found): void => {
      for (const drive of drives) reasons.set(drive, addFound(reasons.get(drive) ?? [], one));
    },
    heldBy: (drives: Iterable<string>, one: Holder): void => {
      for (const drive of drives) {
        const before = holders.get(drive) ?? [];
        if (!before.some(({ sentence }) => sentence === one.sentence)) holders.set(drive, [...before, one]);
      }
    },
  };
};
export type FindingsBuilder = ReturnType<typeof createFindings>;

export const isProtective = ({ role }: Found): boolean => role !== 'user-data';

export const WEIGHT: Record<Role, number> = { 'user-data': 0, backup: 1, system: 2 };
