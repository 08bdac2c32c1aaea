/** What `quiesce test` and `quiesce status` print, and whether it needs attention. Pure. */
import type { QuiescedStatus } from '#shared/quiesce/protocol';
import type { Trial, TriedApp } from '../backup/trial.ts';
import type { QuiescedFailure } from '../ports/quiesced.ts';
import { heldWords, NEXT_OF } from './applications.ts';
import { row, wrap } from './layout.ts';
import { span } from './words.ts';

const NEXT_OF_FAILURE: Partial<Record<QuiescedFailure, string>> = {
  unreachable: 'systemctl start felhom-quiesced.socket',
  forbidden: 'run it as root or as the user felhom',
  busy: 'a backup has the applications just now, for seconds as a rule: try again in a minute',
  config: 'mend /etc/felhom/quiesce.yaml as it says, then try again',
  lease: 'make room on the disk of /var/lib/felhom-quiesced',
};

export const nextOf = (code: QuiescedFailure): string => NEXT_OF_FAILURE[code] ?? 'journalctl -u felhom-quiesced says more';

/** As its owner wants it, or well. */
const isFine = ({ ok, code, not_back }: TriedApp): boolean => not_back === '' && (ok || code === 'declared');

export const trialNeedsAttention = ({ apps }: Trial): boolean => !apps.every(isFine);
export const statusNeedsAttention = ({ config_error, not_back }: QuiescedStatus): boolean =>
  config_error !== '' || not_back.length > 0;

const inBackup = ({ running, would_hold, code }: TriedApp): string => {
  if (code === 'not-ready') return '';
  if (!running) return 'does not run';
  return would_hold ? 'is held' : 'is not held';
};

const columns = (rows: string[][]): string[] => {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((cells) => (cells[column] ?? '').length)));
  return rows.map((cells) => `  ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}`.trimEnd());
};

const reasons = (app: TriedApp): string[] => [
  ...(app.not_back === '' ? [] : wrap(`  ${app.name} is NOT BACK: `, `${app.not_back}. felhom-quiesced goes on trying.`)),
  ...(app.ok ? [] : wrap(`  ${app.name} does not count: `, `${app.why}.`)),
  ...(NEXT_OF[app.code] === '' || app.ok ? [] : wrap('    next: ', NEXT_OF[app.code])),
];

/** The whole screen, with its last newline. */
export const renderTrial = (trial: Trial): string => {
  const { one_instant, apps } = trial;
  if (apps.length === 0) return 'No application is to be held: quiesce.yaml names none.\n';
  const head = ['application', 'kind', 'just now', 'in a backup', 'counts as consistent'];
  const rows = apps.map((app) => [app.name, app.kind ?? app.adapter, heldWords(app), inBackup(app), app.ok ? 'yes' : 'NO']);
  const why = apps.flatMap(reasons);
  return [
    `Held and let go just now, judged as for a backup that fixes all data ${one_instant ? 'in one instant' : 'one disk after another'}:`,
    '',
    ...columns([head, ...rows]),
    ...(why.length === 0 ? [] : ['', ...why]),
    '',
    trialNeedsAttention(trial) ? 'Something needs attention.' : 'All is well.',
    '',
  ].join('\n');
};

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

export const renderQuiesceStatus = (status: QuiescedStatus): string =>
  [
    'Applications (quiesce.yaml)',
    ...(status.config_error === '' ? [] : wrap('  cannot be used: ', status.config_error)),
    ...(status.apps.length === 0 && status.config_error === '' ? ['  none'] : []),
    ...status.apps.flatMap(({ name, adapter, hold }) => row(name, `${adapter}, hold: ${hold}`)),
    '',
    'felhom-quiesced',
    ...row('version', status.version),
    ...row('holds at the most', seconds(status.hold_max_ms)),
    ...row(
      'held now',
      status.lease ? `${status.lease.apps.join(', ')}, for ${seconds(status.lease.left_ms)} at the most` : 'nothing',
    ),
    ...status.not_back.flatMap(({ app, error, since_ms }) =>
      row('NOT BACK', `${app}, for ${span(Math.round(since_ms / 1000))}: ${error}; it is tried again for ever`),
    ),
    '',
    statusNeedsAttention(status) ? 'Something needs attention.' : 'All is well.',
    '',
  ].join('\n');
