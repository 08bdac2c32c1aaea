/** What needs attention, judged from one overview. Pure. */
import { applicationFindings, notBackFindings } from './applications.ts';
import { archiveFindings } from './archives.ts';
import { ASK_OPERATOR, type Finding, found } from './finding.ts';
import type { Overview } from './overview.ts';
import { isReported, problemFindings } from './problems.ts';

/** A good backup older than this is news: the agent makes one every 36 hours unless told otherwise. */
const OLD_MS = 48 * 3_600_000;
const FULL = 0.9;
/** The host reads a guest's configuration anew for whoever asks. */
const OLD_SECONDS = 60;
/** Clocks of host and guest differ a little; a time further in the future says nothing of an age. */
const SKEW_MS = 5 * 60_000;

const backupFindings = (overview: Overview): Finding[] => {
  const { backup, archives, taken_at } = overview;
  if (!backup.known) return [];
  const { phase, error, warnings, started_at } = backup.value;
  // Of the start: its data is no younger, and an end may have been seen long after it was.
  const age = started_at === null ? null : Date.parse(taken_at) - Date.parse(started_at);
  const isOld = age !== null && age > OLD_MS;
  return [
    ...found(
      phase === 'idle' && !(archives.known && archives.value.backups.length > 0),
      'backup-none',
      'There is no backup of this guest yet.',
      'wait for the next night, or ask whoever looks after the host',
    ),
    ...found(
      phase === 'failed' && !isReported(overview, 'backup-failing'),
      'backup-failed',
      `The last backup failed: ${error}`,
      `the host tries again by itself; if it fails once more, ${ASK_OPERATOR}`,
    ),
    ...found(
      phase === 'done' && isOld && !isReported(overview, 'backup-overdue'),
      'backup-old',
      'The last backup is older than two days.',
      ASK_OPERATOR,
    ),
    ...found(
      phase === 'done' && (age === null || age < -SKEW_MS),
      'backup-age-unknown',
      'How old the last backup is cannot be told: its time is missing or lies in the future.',
      'see that the clocks of this guest and of the host are right',
    ),
    ...found(
      phase === 'done' && warnings.length > 0,
      'backup-warnings',
      `The last backup is done, but with a warning: ${warnings[0] ?? ''}`,
      `if the next one says so too, ${ASK_OPERATOR}`,
    ),
    ...found(phase === 'running' && isOld, 'backup-long', 'A backup has been running for more than two days.', ASK_OPERATOR),
    ...found(
      phase === 'running' && started_at === null,
      'backup-unconfirmed',
      'A backup was asked for, and the host has not confirmed yet that it runs.',
      'look again in a minute',
    ),
  ];
};

const storageFindings = ({ storage }: Overview): Finding[] => {
  if (!storage.known) return [];
  const { age_seconds } = storage.value;
  return found(
    age_seconds === null || age_seconds > OLD_SECONDS,
    'storage-old',
    "What is said of this guest's storage is what the host knew last; it cannot be read at the moment.",
    'look again in a minute',
  );
};

const hostFindings = ({ host }: Overview): Finding[] => {
  if (!host.known) return [];
  const { storage_targets: targets, stale, host: now } = host.value;
  return [
    ...found((now.disk_percent ?? 0) >= FULL * 100, 'host-disk-full', "The host's own disk is nearly full.", ASK_OPERATOR),
    ...stale.flatMap(({ source }) =>
      found(true, 'source-stale', `The host could not measure ${source} just now.`, 'look again in a minute'),
    ),
    ...targets.flatMap(({ name, state, reachable, used_fraction, smart }) => [
      ...found(
        !reachable && state !== 'disabled',
        'storage-unreachable',
        `Storage ${name} of the host does not answer.`,
        `see that its drive is plugged in, or ${ASK_OPERATOR}`,
      ),
      ...found((used_fraction ?? 0) >= FULL, 'storage-full', `Storage ${name} of the host is nearly full.`, ASK_OPERATOR),
      ...found(
        smart.health === 'FAILING',
        'drive-failing',
        `A drive behind storage ${name} says that it is failing.`,
        `have it replaced: ${ASK_OPERATOR}`,
      ),
    ]),
  ];
};

const ownFindings = ({ controller }: Overview): Finding[] => {
  if (!controller.known) return [];
  const { loop, last } = controller.value;
  return [
    ...found(
      loop === null,
      'loop-not-running',
      'The controller does not run, so no application is held for backups.',
      'systemctl start felhom-controller',
    ),
    ...found(
      last !== null && ['refused', 'lapsed', 'unknown'].includes(last.outcome),
      'attempt-failed',
      `The last try to back up came to nothing: ${last?.error ?? ''}`,
      'it is tried again by itself',
    ),
  ];
};

const NEXT: Record<string, string> = {
  'agent-unreachable': `see that the host is on and this guest's network works, then ${ASK_OPERATOR}`,
  'agent-pin-mismatch': 'have this guest enrolled again on the host; until then nothing is sent there',
  'bootstrap-missing': 'run this as root or as the user felhom; if the file is missing: felhom-agent guest enroll, on the host',
  'bootstrap-invalid': 'have the host make it anew: felhom-agent guest enroll',
  'agent-answer-unreadable': 'see that agent and controller are of one version',
  'not-found': 'have the agent on the host brought up to date',
  'duplicate-instance': 'a copy of this guest is running: stop one of them',
};

/** What to try where the agent did not answer what it was asked. */
export const nextWithoutAnswer = (code: string): string => {
  const token = code.startsWith('token-')
    ? 'have this guest enrolled again on the host: felhom-agent guest enroll'
    : ASK_OPERATOR;
  return NEXT[code] ?? token;
};

/** Why there is no answer at all, and what to try; null when the agent answered. */
export const whyNoAnswer = ({ identity }: Overview): Finding | null => {
  if (identity.known) return null;
  const { code, error } = identity;
  return { code, sentence: error, next: nextWithoutAnswer(code) };
};

/** What could not be asked is never well. A token without that right is as its owner wants it. */
const unknownFindings = (overview: Overview): Finding[] => {
  const parts = {
    host: 'How the host is',
    storage: "This guest's storage",
    backup: 'The last backup',
    archives: 'Which archives there are',
    coverage: 'What a backup leaves out',
    problems: 'What is wrong with this guest or its host',
    controller: "The controller's own state",
  } as const;
  const noAnswer = whyNoAnswer(overview);
  if (noAnswer) return [noAnswer];
  return Object.entries(parts).flatMap(([key, what]) => {
    const part = overview[key as keyof typeof parts];
    return part.known || part.code === 'scope-missing'
      ? []
      : [
          {
            code: 'not-known',
            sentence: `${what} is not known: ${part.error}`,
            next: NEXT[part.code] ?? 'look again in a minute',
          },
        ];
  });
};

export const findings = (overview: Overview): Finding[] => [
  ...notBackFindings(overview),
  ...unknownFindings(overview),
  ...problemFindings(overview),
  ...backupFindings(overview),
  ...archiveFindings(overview),
  ...storageFindings(overview),
  ...hostFindings(overview),
  ...ownFindings(overview),
  ...applicationFindings(overview),
];
