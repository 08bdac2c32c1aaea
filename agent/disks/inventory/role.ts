/** A drive's role: the highest that anything speaks for. Pure. */
import type { Reason, Role } from './drive.ts';
import { type Found, isProtective, type Origin, WEIGHT } from './found.ts';

/** What people should read first: what the drive is for, before what is not known of it. */
const ORDER: readonly Origin[] = [
  'use',
  'given',
  'ordered',
  'seen',
  'together',
  'remembered',
  'kind',
  'unknown',
  'unlooked',
  'none',
];

const FREE: Found = {
  role: 'user-data',
  sentence: "It is for data of a guest's own: the host does not use it, and no backups are on it.",
  lasting: false,
  origin: 'none',
};

/** Weightiest first; never empty. */
export const ordered = (found: readonly Found[]): Reason[] => {
  const protective = found.filter(isProtective);
  return (protective.length > 0 ? protective : [FREE])
    .toSorted(
      (a, b) =>
        WEIGHT[b.role] - WEIGHT[a.role] ||
        ORDER.indexOf(a.origin) - ORDER.indexOf(b.origin) ||
        Number(b.lasting) - Number(a.lasting),
    )
    .map(({ origin: _origin, ...reason }) => reason);
};

/** As guests may read it. */
export const sentenceForGuests = ({ sentence, forGuests = sentence }: Reason): string => forGuests;

export const roleOf = (reasons: readonly Reason[]): Role =>
  reasons.reduce<Role>((highest, { role }) => (WEIGHT[role] > WEIGHT[highest] ? role : highest), 'user-data');
