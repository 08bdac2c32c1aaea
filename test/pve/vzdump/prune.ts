/** Which of a guest's archives Proxmox's retention removes (PVE/Storage.pm, prune_mark_backup_group). Pure. */

import type { Archive, ConfigValue } from '../world.ts';

/** `keep-last`, `keep-daily` …, or `keep-all`. */
export type Retention = Record<string, number>;

const DAY_MS = 86_400_000;

/** ISO 8601 week, `2026-47`: that of its Thursday. */
const isoWeek = (d: Date): string => {
  const thursday = new Date(Date.UTC(d.getFullYear(), d.getMonth(), d.getDate() + 3 - ((d.getDay() + 6) % 7)));
  const week = 1 + Math.floor((thursday.getTime() - Date.UTC(thursday.getUTCFullYear(), 0, 1)) / (7 * DAY_MS));
  return `${thursday.getUTCFullYear()}-${week}`;
};

/** In the order in which Proxmox applies them; archives of one period share an id. Local time. */
const RULES: readonly [name: string, period: (d: Date, index: number) => string][] = [
  ['keep-last', (_d, index) => String(index)],
  ['keep-hourly', (d) => `${d.getFullYear()}-${d.getMonth()}-${d.getDate()}-${d.getHours()}`],
  ['keep-daily', (d) => `${d.getFullYear()}-${d.getMonth()}-${d.getDate()}`],
  ['keep-weekly', isoWeek],
  ['keep-monthly', (d) => `${d.getFullYear()}-${d.getMonth()}`],
  ['keep-yearly', (d) => String(d.getFullYear())],
];

export const parseRetention = (text: ConfigValue | undefined): Retention | undefined => {
  if (text === undefined || text === '') return undefined;
  const pairs = String(text)
    .split(',')
    .map((p) => p.split('='));
  return Object.fromEntries(pairs.map(([name = '', value]) => [name, Number(value)]));
};

/** Unlimited: nothing is ever removed. */
export const keepsAll = (r: Retention): boolean => (r['keep-all'] ?? 0) === 1;

/** `keep-daily=7, keep-last=3` */
export const describeRetention = (r: Retention): string =>
  Object.keys(r)
    .sort()
    .map((name) => `${name}=${r[name]}`)
    .join(', ');

interface Mark {
  archive: Archive;
  at: Date;
  index: number;
  keep?: boolean;
}

const apply = (marks: Mark[], count: number, period: (d: Date, index: number) => string): void => {
  const idOf = (m: Mark) => period(m.at, m.index);
  const before = new Set(marks.filter((m) => m.keep === true).map(idOf));
  const now = new Set<string>();
  for (const mark of marks) {
    if (mark.keep !== undefined || before.has(idOf(mark))) continue;
    if (now.has(idOf(mark))) mark.keep = false;
    else if (now.size >= count) break;
    else {
      now.add(idOf(mark));
      mark.keep = true;
    }
  }
};

/** The archives to remove, of one guest and type, newest first. Protected ones neither count nor go. */
export const toPrune = (archives: readonly Archive[], retention: Retention): Archive[] => {
  if (keepsAll(retention)) return [];
  const marks: Mark[] = archives
    .filter((a) => !a.protected)
    .sort((a, b) => b.ctime - a.ctime)
    .map((archive, index) => ({ archive, at: new Date(archive.ctime * 1000), index }));
  for (const [name, period] of RULES) {
    const count = retention[name] ?? 0;
    if (count > 0) apply(marks, count, period);
  }
  return marks.filter((m) => m.keep !== true).map((m) => m.archive);
};
