/** What the controller does, as events: the log's lines, and what tests and the bench measure. */
import type { CommandResult } from '../ports/command.ts';
import { RELEASE_REASONS, type ReleaseReason } from './hold.ts';
import type { AttemptResult } from './result.ts';

export type Happening =
  | { kind: 'started'; apps: string[] }
  | { kind: 'lock-failed'; error: string }
  | { kind: 'recovering'; apps: string[]; unreadable: boolean }
  | { kind: 'app-unknown'; app: string }
  | { kind: 'agent-lost'; code: string; error: string }
  | { kind: 'agent-back' }
  | { kind: 'due'; reason: string; hold: boolean }
  | { kind: 'marker-failed'; error: string }
  | { kind: 'marker-stays'; error: string }
  | { kind: 'app-skipped'; app: string; why: 'not-back' | 'no-time' }
  | { kind: 'app-paused'; app: string; ms: number }
  | { kind: 'app-failed'; app: string; step: 'pre' | 'post'; result: CommandResult; tries: number }
  | { kind: 'app-back'; app: string; ms: number }
  | { kind: 'requesting'; request_id: string }
  | { kind: 'backup-started'; job_id: string }
  | { kind: 'backup-refused'; code: string; error: string }
  | { kind: 'release-started'; reason: ReleaseReason; apps: string[]; held_ms: number; consistency_point_at: string | null }
  | { kind: 'released'; apps: string[]; held_ms: number }
  | { kind: 'backup-ended'; result: AttemptResult }
  | { kind: 'record-failed'; error: string }
  | { kind: 'stopping' }
  | { kind: 'stopped' };

/** Stamped when it happened: wall time, and the monotonic clock's for durations. */
export type ControllerEvent = Happening & { at: number; monotonic: number };

/** syslog(3): 3 error, 4 warning, 5 notice, 6 information. */
type Priority = 3 | 4 | 5 | 6;
export interface Line {
  priority: Priority;
  text: string;
}

const line = (priority: Priority, text: string): Line => ({ priority, text });
const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
const names = (apps: string[]): string => apps.join(', ');

const whatFailed = ({ timedOut, code, ms, tail }: CommandResult): string => {
  const how = timedOut
    ? `did not end within ${seconds(ms)}`
    : code === null
      ? 'could not run to its end'
      : `ended with exit status ${code}`;
  return tail === '' ? how : `${how}: ${tail}`;
};

const ended = ({ outcome, label, error, job_id }: AttemptResult): Line => {
  const job = job_id === '' ? '' : ` (${job_id})`;
  if (outcome === 'done') return line(5, `the backup is done${job}${label === null ? '' : `, label ${label}`}`);
  if (outcome === 'stopped') return line(5, `the controller stops before the backup${job} has ended; the host goes on with it`);
  return line(outcome === 'failed' ? 3 : 4, `no backup${job}: ${error}`);
};

/** One line an event, in plain words; null where the log is better off without. */
const LINES: { [K in Happening['kind']]: (event: Extract<Happening, { kind: K }>) => Line | null } = {
  started: ({ apps }) =>
    line(
      6,
      apps.length === 0
        ? 'started; no application is to be held for backups'
        : `started; applications to hold for backups: ${names(apps)}`,
    ),
  'lock-failed': ({ error }) => line(4, `could not lock the state directory, going on without: ${error}`),
  recovering: ({ apps, unreadable }) =>
    line(
      4,
      unreadable
        ? `an earlier run left an unreadable note of a hold: letting go every application first (${names(apps) || 'none is configured'})`
        : `an earlier run ended while it held ${names(apps)}: letting go first`,
    ),
  'app-unknown': ({ app }) =>
    line(4, `${app} may still be held by an earlier run, but quiesce.yaml no longer names it: bring it back by hand`),
  'agent-lost': ({ code, error }) => line(4, `the agent cannot be asked: ${error} (${code})`),
  'agent-back': () => line(5, 'the agent answers again'),
  due: ({ reason, hold }) => line(6, `a backup is due${hold ? '' : ', to be taken without a hold'}: ${reason}`),
  'marker-failed': ({ error }) => line(4, `the hold could not be noted on disk, so no application is held: ${error}`),
  'marker-stays': ({ error }) =>
    line(4, `the note of the hold could not be brought up to date, the next start will let go once more: ${error}`),
  'app-skipped': ({ app, why }) =>
    line(
      4,
      why === 'not-back' ? `${app} is not held: it is not back yet from the last time` : `${app} is not held: no time was left`,
    ),
  'app-paused': ({ app, ms }) => line(6, `${app} is held (${seconds(ms)})`),
  'app-failed': ({ app, step, result, tries }) =>
    line(
      step === 'post' ? 3 : 4,
      `${step} of ${app} ${whatFailed(result)}${step === 'post' ? ` (try ${tries}); it will be tried again` : ''}`,
    ),
  'app-back': ({ app, ms }) => line(6, `${app} is back (${seconds(ms)})`),
  requesting: () => null,
  'backup-started': ({ job_id }) => line(6, `the backup runs (${job_id})`),
  'backup-refused': ({ code, error }) => line(4, `the backup was refused: ${error} (${code})`),
  'release-started': ({ reason, apps, held_ms }) =>
    apps.length === 0
      ? null
      : line(reason === 'point' ? 6 : 4, `letting go ${names(apps)} after ${seconds(held_ms)}: ${RELEASE_REASONS[reason]}`),
  released: ({ apps, held_ms }) => (apps.length === 0 ? null : line(6, `held for ${seconds(held_ms)} in all: ${names(apps)}`)),
  'backup-ended': ({ result }) => ended(result),
  'record-failed': ({ error }) => line(4, `the result could not be kept for \`status\`: ${error}`),
  stopping: () => line(6, 'stopping'),
  stopped: () => line(6, 'stopped'),
};

export const lineOf = (event: Happening): Line | null => (LINES[event.kind] as (happening: Happening) => Line | null)(event);
