/** Whether there is an archive that could be restored. Pure. */
import type { Archive } from '#shared/wire/archives';
import { ASK_OPERATOR, type Finding, found } from './finding.ts';
import type { Overview } from './overview.ts';

/** A nightly backup is never older, with an hour or two for the backup itself; it is read to its end within that time. */
const YOUNG_SECONDS = 26 * 3600;

/** Newest first, without those that were found damaged. */
export const goodArchives = ({ archives }: Overview): Archive[] =>
  archives.known ? archives.value.backups.filter(({ verification }) => verification !== 'failed') : [];

const isVerified = ({ verification }: Archive): boolean => verification === 'ok';
/** One from the future is of an age that nobody knows. */
const isYoung = ({ age_seconds }: Archive): boolean => Math.abs(age_seconds) < YOUNG_SECONDS;

export const archiveFindings = (overview: Overview): Finding[] => {
  const { archives, backup } = overview;
  if (!archives.known) return [];
  const good = goodArchives(overview);
  const phase = backup.known ? backup.value.phase : null;
  const trusted = good.some((one) => isVerified(one) || isYoung(one));
  return [
    // Before the first backup that is said in other words.
    ...found(
      good.length === 0 && !(phase === 'idle' && archives.value.backups.length === 0),
      'archive-none',
      'There is no good archive of this guest.',
      phase === 'running' ? 'wait for the backup that runs now' : ASK_OPERATOR,
    ),
    ...found(
      good.length > 0 && !trusted,
      'archive-unproved',
      'No archive of this guest was read to its end and found whole, and none is younger than a day.',
      ASK_OPERATOR,
    ),
  ];
};
