/** What of this guest is backed up, how that went last, and which archives there are. Pure. */
import type { Archive, Coverage } from '#shared/wire/archives';
import { goodArchives } from './archives.ts';
import { block, row } from './layout.ts';
import type { Overview, Part } from './overview.ts';
import { age, bytes, LABEL_WORDS, secondsBetween, span } from './words.ts';

type Mount = Coverage['mounts'][number];

const COVERAGE_WORDS: Record<Exclude<Mount['state'], 'in-backup'>, string> = {
  excluded: 'NOT in the backup',
  bind: 'NOT in the backup',
  device: 'NOT in the backup',
  unknown: 'perhaps in it',
};

const place = ({ key, storage, mount_point }: Pick<Mount, 'key' | 'storage' | 'mount_point'>): string =>
  `${mount_point || key} (${key}${storage === '' ? '' : ` on ${storage}`})`;

const leftOutRows = (coverage: Part<Coverage>): string[] => {
  if (!coverage.known) return row('what is left out', `not known: ${coverage.error}`);
  return coverage.value.mounts.flatMap((mount) =>
    mount.state === 'in-backup' ? [] : row(COVERAGE_WORDS[mount.state], [place(mount), mount.reason].filter(Boolean).join(': ')),
  );
};

/** `/coverage` knows best what is left out, and why. */
export const guestBlock = ({ storage, coverage }: Overview): string[] =>
  block(
    "This guest's data",
    storage,
    ({ mounts, age_seconds }) => [
      ...row('as configured', age(age_seconds)),
      ...mounts
        .filter(({ backup }) => backup || !coverage.known)
        .flatMap((mount) => row(mount.backup ? 'in the backup' : 'NOT in the backup', place(mount))),
    ],
    leftOutRows(coverage),
  );

export const backupBlock = ({ backup, taken_at }: Overview): string[] =>
  block('Last backup', backup, ({ phase, progress, started_at, finished_at, size_bytes, label, error, warnings }) => {
    if (phase === 'idle') return ['  none yet'];
    const begun = row('started', age(secondsBetween(started_at, taken_at)));
    if (phase === 'running')
      return [...row('state', `running${progress === null ? '' : `, ${Math.round(progress * 100)} %`}`), ...begun];
    const took = finished_at === null ? null : secondsBetween(started_at, finished_at);
    return [
      ...row('state', `${phase}, ${age(secondsBetween(finished_at, taken_at))}${took === null ? '' : `, took ${span(took)}`}`),
      ...(phase === 'failed' ? row('why', error) : row('size', bytes(size_bytes))),
      ...(label === null ? [] : row('what it is good for', `${LABEL_WORDS[label]} (${label})`)),
      ...warnings.flatMap((warning) => row('warning', warning)),
    ];
  });

const verdict = ({ verification, verified_at, verification_error }: Archive, takenAt: string): string =>
  ({
    ok: `yes, ${age(secondsBetween(verified_at, takenAt))}: read to its end and whole`,
    pending: 'not yet',
    failed: `NO, it is damaged: ${verification_error}`,
    unsupported: 'no: archives of this kind cannot be read here',
  })[verification];

/** Only where it is another than the newest. */
const newestVerified = (overview: Overview): string[] => {
  const good = goodArchives(overview);
  const verified = good.find(({ verification }) => verification === 'ok');
  return row('newest verified', verified === undefined ? 'none' : age(verified.age_seconds));
};

export const archivesBlock = (overview: Overview): string[] =>
  block('Archives', overview.archives, ({ backups, next, age_seconds }) => {
    const [newest] = backups;
    const listed = `as listed ${age(age_seconds)}`;
    if (newest === undefined) return row('how many', `none, ${listed}`);
    return [
      ...row('how many', `${backups.length}${next === '' ? '' : ' or more'}, ${listed}`),
      ...row('newest', `${age(newest.age_seconds)}, ${bytes(newest.size_bytes)}, label ${newest.label}`),
      ...row('verified', verdict(newest, overview.taken_at)),
      ...(newest.verification === 'ok' ? [] : newestVerified(overview)),
    ];
  });
