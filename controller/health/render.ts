/** One screen of plain words. Pure. */
import { RELEASE_REASONS, type ReleaseReason } from '../backup/hold.ts';
import { applicationsBlock } from './applications.ts';
import { archivesBlock, backupBlock, guestBlock } from './backup-blocks.ts';
import type { Finding } from './finding.ts';
import { findings } from './findings.ts';
import { block, row, wrap } from './layout.ts';
import type { Overview, OwnState } from './overview.ts';
import { notices } from './problems.ts';
import { age, fill, secondsBetween, span } from './words.ts';

const identityBlock = ({ identity, agent }: Overview): string[] =>
  block('The host', identity, ({ node, host_scope, version, vmid, fingerprints }) => [
    ...row('name', `${node} (${host_scope}); this guest is number ${vmid}`),
    ...row(
      'agent',
      `version ${version}, at ${agent.known ? agent.value.endpoints.map(({ address, port }) => `${address}:${port}`).join(', ') : 'unknown'}`,
    ),
    ...row('pinned certificate', fingerprints.now),
    ...(fingerprints.next === null ? [] : row('next certificate', fingerprints.next)),
    ...row('asked', 'just now'),
  ]);

const orUnknown = (value: number | null, unit: string): string => (value === null ? 'unknown' : `${value} ${unit}`);

const healthBlock = ({ host }: Overview): string[] =>
  block('How the host is (measured just now)', host, ({ host: now, stale }) => [
    ...row('processor', `${orUnknown(now.cpu_percent, '%')}, load ${now.loadavg.join(' ')}`),
    ...row('its temperature', orUnknown(now.cpu_temp_c, '°C')),
    ...row('memory', fill(now.memory_used_bytes, now.memory_total_bytes)),
    ...row('its own disk', fill(now.disk_used_bytes, now.disk_total_bytes)),
    ...row('running for', now.uptime_seconds === null ? 'unknown' : span(now.uptime_seconds)),
    ...stale.flatMap(({ source, age_seconds }) => row('not measured', `${source}: the figures are from ${age(age_seconds)}`)),
  ]);

const targetsBlock = ({ host }: Overview): string[] =>
  block('Storage of the host', host, ({ storage_targets: targets }) => {
    if (targets.length === 0) return ['  none'];
    return targets.flatMap(({ name, state, reachable, used_bytes, total_bytes, age_seconds, smart }) => {
      const drive = smart.health === 'UNKNOWN' ? '' : `, drive ${smart.health === 'PASSED' ? 'healthy' : 'FAILING'}`;
      return row(
        name,
        `${reachable ? state : 'does not answer'}, ${fill(used_bytes, total_bytes)}${drive}; as of ${age(age_seconds)}`,
      );
    });
  });

const lastWords = ({ last }: OwnState, takenAt: string): string[] => {
  if (last === null) return row('last try', 'none that is known');
  const why = RELEASE_REASONS[last.release as ReleaseReason];
  return [
    ...row(
      'last try',
      `${last.outcome}, ${age(secondsBetween(last.finished_at, takenAt))}${last.error === '' ? '' : `: ${last.error}`}`,
    ),
    ...(last.held_ms === null
      ? []
      : row('last hold', `for ${(last.held_ms / 1000).toFixed(1)} s, let go because ${why ?? last.release}`)),
  ];
};

const ownBlock = ({ controller, taken_at }: Overview): string[] =>
  block('This controller', controller, (own) => [
    ...row('loop', own.loop === null ? 'does not run' : `runs (process ${own.loop})`),
    ...lastWords(own, taken_at),
  ]);

/** `(critical; began 3 hours ago)`, where that is known. */
const judgement = ({ severity, since }: Finding, takenAt: string): string => {
  if (severity === undefined) return '';
  return since === undefined ? ` (${severity})` : ` (${severity}; began ${age(secondsBetween(since, takenAt))})`;
};

const findingLines = (list: Finding[], takenAt: string): string[] =>
  list.flatMap((one) => [
    ...wrap('  - ', `${one.sentence}${judgement(one, takenAt)}`),
    ...(one.next === '' ? [] : wrap('    next: ', one.next)),
  ]);

const verdictLines = (overview: Overview): string[] => {
  const attention = findingLines(findings(overview), overview.taken_at);
  const known = findingLines(notices(overview), overview.taken_at);
  return [
    ...(attention.length === 0 ? ['All is well.'] : ['What needs attention', ...attention]),
    ...(known.length === 0 ? [] : ['Good to know', ...known]),
  ];
};

const answeredBlocks = (overview: Overview): string[] => [
  ...healthBlock(overview),
  ...targetsBlock(overview),
  ...guestBlock(overview),
  ...backupBlock(overview),
  ...archivesBlock(overview),
];

/** The whole screen, with its last newline. */
export const render = (overview: Overview): string =>
  [
    ...identityBlock(overview),
    ...(overview.identity.known ? answeredBlocks(overview) : []),
    ...applicationsBlock(overview),
    ...ownBlock(overview),
    ...verdictLines(overview),
    '',
  ].join('\n');
