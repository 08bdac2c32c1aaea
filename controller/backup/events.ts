/** What the controller does, as events: the log's lines, and what tests and the bench measure. */
import type { Verb } from '#shared/quiesce/protocol';
import { RELEASE_REASONS, type ReleaseReason } from './hold.ts';
import type { AttemptResult } from './result.ts';

export type Happening =
  | { kind: 'started' }
  | { kind: 'lock-failed'; error: string }
  | { kind: 'agent-lost'; code: string; error: string }
  | { kind: 'agent-back' }
  | { kind: 'due'; reason: string; hold: boolean }
  | { kind: 'quiesced-failed'; step: 'connect' | Verb; code: string; error: string }
  | { kind: 'apps-ready'; apps: string[]; failed: { app: string; error: string }[]; ms: number }
  | { kind: 'apps-held'; apps: string[]; failed: { app: string; error: string }[]; ms: number; left_ms: number }
  | { kind: 'requesting'; request_id: string }
  | { kind: 'backup-started'; job_id: string }
  | { kind: 'backup-refused'; code: string; error: string }
  | { kind: 'release-started'; reason: ReleaseReason; apps: string[]; held_ms: number; consistency_point_at: string | null }
  | { kind: 'released'; apps: string[]; held_ms: number; not_back: { app: string; error: string }[] }
  | { kind: 'held-reported'; apps: number }
  | { kind: 'report-failed'; code: string; error: string }
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

const each = (failed: { app: string; error: string }[]): string => failed.map(({ app, error }) => `${app} (${error})`).join('; ');

const STEPS: Record<'connect' | Verb, string> = {
  connect: 'no application is held for this backup',
  prepare: 'no application is held for this backup',
  hold: 'no application is held for this backup',
  check: 'whether the applications were still held cannot be said',
  release: 'felhom-quiesced lets the applications go by itself',
  status: 'the applications are not known',
};

const ended = ({ outcome, label, error, job_id, apps }: AttemptResult): Line => {
  const job = job_id === '' ? '' : ` (${job_id})`;
  const worse = apps.flatMap(({ name, ok, why }) => (ok ? [] : [{ app: name, error: why }]));
  const without = worse.length === 0 ? '' : `; not counted as consistent: ${each(worse)}`;
  if (outcome === 'done') return line(5, `the backup is done${job}${label === null ? '' : `, label ${label}`}${without}`);
  if (outcome === 'stopped') return line(5, `the controller stops before the backup${job} has ended; the host goes on with it`);
  return line(outcome === 'failed' ? 3 : 4, `no backup${job}: ${error}`);
};

/** One line an event, in plain words; null where the log is better off without. */
const LINES: { [K in Happening['kind']]: (event: Extract<Happening, { kind: K }>) => Line | null } = {
  started: () => line(6, 'started'),
  'lock-failed': ({ error }) => line(4, `could not lock the state directory, going on without: ${error}`),
  'agent-lost': ({ code, error }) => line(4, `the agent cannot be asked: ${error} (${code})`),
  'agent-back': () => line(5, 'the agent answers again'),
  due: ({ reason, hold }) => line(6, `a backup is due${hold ? '' : ', to be taken without a hold'}: ${reason}`),
  'quiesced-failed': ({ step, code, error }) => line(code === 'cancelled' ? 6 : 4, `${STEPS[step]}: ${error} (${code})`),
  'apps-ready': ({ apps, failed, ms }) =>
    failed.length === 0
      ? line(6, `ready for a backup: ${names(apps)} (${seconds(ms)})`)
      : line(4, `not ready for a backup: ${each(failed)}`),
  'apps-held': ({ apps, failed, ms, left_ms }) =>
    failed.length === 0
      ? line(6, `held: ${names(apps)} (${seconds(ms)}), for ${seconds(left_ms)} at the most`)
      : line(4, `could not be held: ${each(failed)}`),
  requesting: () => null,
  'backup-started': ({ job_id }) => line(6, `the backup runs (${job_id})`),
  'backup-refused': ({ code, error }) => line(4, `the backup was refused: ${error} (${code})`),
  'release-started': ({ reason, apps, held_ms }) =>
    apps.length === 0
      ? null
      : line(reason === 'point' ? 6 : 4, `letting go ${names(apps)} after ${seconds(held_ms)}: ${RELEASE_REASONS[reason]}`),
  released: ({ apps, held_ms, not_back }) => {
    if (not_back.length > 0) return line(3, `not back yet, felhom-quiesced goes on trying: ${each(not_back)}`);
    return apps.length === 0 ? null : line(6, `held for ${seconds(held_ms)} in all: ${names(apps)}`);
  },
  'held-reported': () => null,
  'report-failed': ({ code, error }) => line(4, `the host could not be told how the applications were: ${error} (${code})`),
  'backup-ended': ({ result }) => ended(result),
  'record-failed': ({ error }) => line(4, `the result could not be kept for \`status\`: ${error}`),
  stopping: () => line(6, 'stopping'),
  stopped: () => line(6, 'stopped'),
};

export const lineOf = (event: Happening): Line | null => (LINES[event.kind] as (happening: Happening) => Line | null)(event);
