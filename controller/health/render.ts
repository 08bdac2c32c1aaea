/** One screen of plain words. Pure: no colour, no width beyond 100. */
import { RELEASE_REASONS, type ReleaseReason } from '../backup/hold.ts';
import { plainText } from '../ports/agent-error.ts';
import { type Finding, findings } from './findings.ts';
import type { Overview, OwnState, Part } from './overview.ts';
import { age, bytes, fill, LABEL_WORDS, secondsBetween, span } from './words.ts';

const WIDTH = 96;

/** Breaks at spaces; further lines stand under the first word. */
const wrap = (head: string, text: string): string[] => {
  const lines: string[] = [];
  let line = head;
  for (const word of plainText(text).split(' ')) {
    if (line.length + 1 + word.length > WIDTH && line.trim() !== '' && line !== head) {
      lines.push(line);
      line = ' '.repeat(head.length);
    }
    line = line === head || line.trim() === '' ? `${line}${word}` : `${line} ${word}`;
  }
  return [...lines, line];
};

const row = (name: string, text: string): string[] => wrap(`  ${name.padEnd(22)}`, text);

/** A heading with its rows, or why there are none. */
const block = <T>(heading: string, part: Part<T>, rows: (value: T) => string[]): string[] => [
  heading,
  ...(part.known ? rows(part.value) : wrap('  ', `not known: ${part.error}`)),
  '',
];

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

const guestBlock = ({ storage }: Overview): string[] =>
  block("This guest's data", storage, ({ mounts, age_seconds }) => [
    ...mounts.flatMap(({ key, mount_point, storage: on, backup }) =>
      row(backup ? 'in the backup' : 'NOT in the backup', `${mount_point || key} (${key}${on === '' ? '' : ` on ${on}`})`),
    ),
    ...row('as configured', age(age_seconds)),
  ]);

const backupBlock = ({ backup, taken_at }: Overview): string[] =>
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

const holdWords = ({ hold }: OwnState): string => {
  if (hold.kind === 'none') return 'nothing';
  return hold.kind === 'apps' ? `${hold.apps.join(', ')} (or not back yet)` : 'an unreadable note of a hold is there';
};

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
    ...row('held now', holdWords(own)),
    ...lastWords(own, taken_at),
  ]);

const findingLines = (list: Finding[]): string[] =>
  list.length === 0
    ? ['All is well.']
    : ['What needs attention', ...list.flatMap(({ sentence, next }) => [...wrap('  - ', sentence), ...wrap('    next: ', next)])];

const answeredBlocks = (overview: Overview): string[] => [
  ...healthBlock(overview),
  ...targetsBlock(overview),
  ...guestBlock(overview),
  ...backupBlock(overview),
];

/** The whole screen, with its last newline. */
export const render = (overview: Overview): string =>
  [
    ...identityBlock(overview),
    ...(overview.identity.known ? answeredBlocks(overview) : []),
    ...ownBlock(overview),
    ...findingLines(findings(overview)),
    '',
  ].join('\n');
