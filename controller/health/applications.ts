/** The applications of this guest: how each was held for the last backup, whether it counted, and what to do where it did not. Pure. */
import type { AppOutcome } from '../backup/result.ts';
import { ASK_OPERATOR, type Finding, found } from './finding.ts';
import { block, row } from './layout.ts';
import type { Overview } from './overview.ts';
import { span } from './words.ts';

/** What to do about an application that does not count; empty: nothing. */
export const NEXT_OF: Record<AppOutcome['code'], string> = {
  ok: '',
  declared: '',
  'not-ready': 'mend that, then: felhom-controller quiesce test',
  'not-covered': 'move its data to a disk that backups include, or protect it another way',
  'no-point': `if the next backup says so too, ${ASK_OPERATOR}`,
  'not-held': 'felhom-controller quiesce test shows it; journalctl -u felhom-quiesced says more',
  'hold-lost': 'journalctl -u felhom-quiesced says what became of the hold',
  'several-disks': 'put all of its data on one disk, or have it stopped for backups (adapter systemd or docker)',
  'not-told': `if the next backup says so too, ${ASK_OPERATOR}`,
  'other-backup': '',
};

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

/** `held for 1.2 s`; `not held, which it does not need`. */
export const heldWords = ({ held, held_ms, ok }: Pick<AppOutcome, 'held' | 'held_ms' | 'ok'>): string => {
  if (held) return held_ms === null ? 'held' : `held for ${seconds(held_ms)}`;
  return ok ? 'not held, it needs none' : 'not held';
};

const outcomeWords = (app: AppOutcome): string =>
  app.ok ? `${heldWords(app)}; counts as consistent` : `${heldWords(app)}; does NOT count as consistent: ${app.why}`;

const lastOf = ({ controller }: Overview) => (controller.known ? controller.value.last : null);
const AT_REST = 'at rest: the guest was shut down for its backup';

export const applicationsBlock = (overview: Overview): string[] =>
  block('Applications, as of the last backup with the controller', overview.quiesced, ({ apps, lease, not_back }) => {
    const last = lastOf(overview);
    return [
      ...(apps.length === 0 ? ['  none is to be held (quiesce.yaml)'] : []),
      ...apps.flatMap(({ name }) => {
        const app = last?.apps.find((one) => one.name === name);
        const away = not_back.find((one) => one.app === name);
        if (away) return row(name, `NOT BACK for ${span(Math.round(away.since_ms / 1000))}: ${away.error}`);
        if (!app) return row(name, 'not yet part of a backup');
        return row(name, last?.label === 'stopped' ? AT_REST : outcomeWords(app));
      }),
      ...(lease === null ? [] : row('held now', `${lease.apps.join(', ')}, for ${seconds(lease.left_ms)} at the most`)),
    ];
  });

/** The worst there is: an application that is down because of us. */
export const notBackFindings = ({ quiesced }: Overview): Finding[] =>
  (quiesced.known ? quiesced.value.not_back : []).map(({ app, error }) => ({
    code: 'app-not-back',
    sentence: `${app} was let go after a backup and is not back: ${error}`,
    next: 'it is tried again for ever; see to it by hand, journalctl -u felhom-quiesced says more',
    severity: 'critical',
  }));

const CONFIG_NEXT = 'correct that, then: felhom-controller quiesce test';

const reachFindings = ({ quiesced }: Overview): Finding[] => {
  if (quiesced.known) {
    const { config_error } = quiesced.value;
    return found(config_error !== '', 'quiesce-config', `No application is held for backups: ${config_error}`, CONFIG_NEXT);
  }
  const next =
    quiesced.code === 'forbidden' ? 'run this as root or as the user felhom' : 'systemctl start felhom-quiesced.socket';
  return found(true, 'quiesced-unreachable', `How the applications are is not known: ${quiesced.error}`, next);
};

/** `declared` is as its owner wants it. Without a backup there is nothing to say; of a guest that was shut down for it all is well. */
export const applicationFindings = (overview: Overview): Finding[] => {
  const last = lastOf(overview);
  const reach = reachFindings(overview);
  const isConfigured = (name: string) =>
    !overview.quiesced.known || overview.quiesced.value.apps.some((app) => app.name === name);
  const worse = (last?.outcome === 'done' && last.label !== 'stopped' ? last.apps : []).filter(
    ({ name, ok, code }) => !ok && code !== 'declared' && isConfigured(name),
  );
  return [
    ...reach,
    ...found(
      reach.length === 0 && last?.outcome === 'done' && last.quiesce_error !== '' && worse.length === 0,
      'quiesced-failed',
      `For the last backup no application was held: ${last?.quiesce_error ?? ''}`,
      'felhom-controller quiesce test shows whether it works now',
    ),
    ...worse.flatMap(({ name, code, why }) =>
      found(
        true,
        code === 'not-covered' ? 'app-not-covered' : 'app-not-consistent',
        code === 'not-covered'
          ? `Not all data of ${name} is in the backups: ${why}.`
          : `In the last backup ${name} does not count as consistent: ${why}.`,
        NEXT_OF[code],
      ),
    ),
  ];
};
