/** Which archives of a guest stay, each with the reason. Pure. */
import { KEEP, type Retention } from '#agent/config';
import { type Archive, archiveName, isOurs } from './archive.ts';

export interface Decision {
  archive: Archive;
  keep: boolean;
  /** In words. */
  why: string;
}

const DAY_MS = 86_400_000;
/** Of those that the guest asked for outside its schedule. */
const KEEP_EXTRAS = 2;

const two = (value: number): string => String(value).padStart(2, '0');
const dayOf = (at: Date): string => `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;

/** ISO 8601: a week belongs to the year of its Thursday. */
const weekOf = (at: Date): string => {
  const thursday = new Date(Date.UTC(at.getFullYear(), at.getMonth(), at.getDate() - ((at.getDay() + 6) % 7) + 3));
  const days = Math.floor((thursday.getTime() - Date.UTC(thursday.getUTCFullYear(), 0, 1)) / DAY_MS);
  return `${thursday.getUTCFullYear()}-W${two(1 + Math.floor(days / 7))}`;
};

/** Archives of one period share a name. Local time of the node, as Proxmox counts (PVE/Storage.pm, prune_mark_backup_group). */
const PERIODS: Readonly<Record<(typeof KEEP)[number], { period: (at: Date, index: number) => string; word: string }>> = {
  'keep-last': { period: (_at, index) => String(index), word: '' },
  'keep-hourly': { period: (at) => `${dayOf(at)} ${two(at.getHours())}h`, word: 'hourly' },
  'keep-daily': { period: dayOf, word: 'daily' },
  'keep-weekly': { period: weekOf, word: 'weekly' },
  'keep-monthly': { period: (at) => dayOf(at).slice(0, 7), word: 'monthly' },
  'keep-yearly': { period: (at) => dayOf(at).slice(0, 4), word: 'yearly' },
};

/**
 * Proxmox's own choice among archives, newest first. Kinds come in their order; a kind skips the periods that are represented
 * already, and what it passes over within a period no later kind takes up again.
 */
const chosen = (archives: readonly Archive[], retention: Retention): Map<Archive, string> => {
  const kept = new Map<Archive, string>();
  const passed = new Set<Archive>();
  for (const kind of KEEP) {
    const count = retention[kind] ?? 0;
    const { period, word } = PERIODS[kind];
    const named = archives.map((archive, index) => ({ archive, name: period(new Date(archive.createdAt), index) }));
    const represented = new Set(named.filter(({ archive }) => kept.has(archive)).map(({ name }) => name));
    const taken = new Set<string>();
    for (const { archive, name } of named) {
      if (kept.has(archive) || passed.has(archive) || represented.has(name)) continue;
      if (taken.has(name)) passed.add(archive);
      else if (taken.size >= count) break;
      else {
        taken.add(name);
        kept.set(archive, kind === 'keep-last' ? `one of the newest ${count}` : `one of ${count} ${word}, of ${name}`);
      }
    }
  }
  return kept;
};

/** Whatever retention says. Of the scheduled ones and of all: a guest that asks for more must not move what is held for the schedule. */
const HELD: readonly { is: (archive: Archive) => boolean; why: string }[] = [
  { is: () => true, why: 'the newest archive' },
  { is: ({ verification }) => verification === 'ok', why: 'the newest archive that was verified' },
  { is: ({ label }) => label === 'app', why: 'the newest archive whose applications were consistent' },
  {
    is: ({ label, verification }) => label === 'app' && verification === 'ok',
    why: 'the newest verified archive whose applications were consistent',
  },
  { is: ({ provenAt }) => provenAt !== null, why: 'the newest archive that was proven to start' },
];

const heldIn = (archives: readonly Archive[]): [Archive, string][] =>
  HELD.flatMap(({ is, why }) => {
    const found = archives.find(is);
    return found === undefined ? [] : [[found, why] as [Archive, string]];
  });

const described = (retention: Retention): string =>
  KEEP.filter((kind) => retention[kind])
    .map((kind) => `${kind}=${retention[kind]}`)
    .join(', ');

const isExtra = ({ source }: Archive): boolean => source === 'guest';

/** Of one guest and one kind of guest; all of them made by felhom, newest first. */
const decideGroup = (group: readonly Archive[], retention: Retention): Decision[] => {
  const good = group.filter(({ verification }) => verification !== 'failed');
  const newestVerified = good.find(({ verification }) => verification === 'ok');
  const counted = good.filter((archive) => !archive.protected);
  const scheduled = counted.filter((archive) => !isExtra(archive));
  const extras = counted.filter(isExtra);
  // The last reason that is given counts: the one that is easiest to understand.
  const kept = new Map<Archive, string>([
    ...heldIn(good).reverse(),
    ...heldIn(good.filter((archive) => !isExtra(archive))).reverse(),
    ...extras
      .slice(0, KEEP_EXTRAS)
      .map((one): [Archive, string] => [one, `one of the newest ${KEEP_EXTRAS} that the guest asked for`]),
    ...chosen(scheduled, retention),
    ...group.filter((archive) => archive.protected).map((one): [Archive, string] => [one, 'protected']),
  ]);
  const decide = (archive: Archive, index: number): Decision => {
    const why = kept.get(archive);
    if (why !== undefined) return { archive, keep: true, why };
    if (archive.verification === 'failed') {
      const outlived = newestVerified !== undefined && group.indexOf(newestVerified) < index;
      if (outlived) return { archive, keep: false, why: 'damaged, and a newer one was verified' };
      return { archive, keep: true, why: 'damaged, but no newer one was verified yet' };
    }
    if (isExtra(archive)) return { archive, keep: false, why: `the guest asked for it, and for ${KEEP_EXTRAS} newer ones` };
    return { archive, keep: false, why: `older than what is to be kept (${described(retention)})` };
  };
  return group.map(decide);
};

export const newestFirst = (a: Archive, b: Archive): number => b.createdAt - a.createdAt || (a.volid < b.volid ? 1 : -1);

/** More than a clock that is only inexact, or than the hour that comes twice in autumn: Proxmox reads the time from the local one in the name. */
const SKEW_MS = 2 * 3_600_000;

/** Made while the host's clock was wrong. It would be the newest for years, and every new one would have to go for it. */
export const isOfFuture = ({ createdAt }: Pick<Archive, 'createdAt'>, now: number): boolean => createdAt > now + SKEW_MS;

/** Why an archive is none of retention's; empty where it is. */
const setAside = (archive: Archive, now: number): string => {
  if (archiveName(archive.volid) === null) return 'given a name of its own';
  if (!isOurs(archive)) return 'not made by felhom';
  return isOfFuture(archive, now) ? 'its date lies in the future' : '';
};

/** Containers and virtual machines count apart: a number may have been both. Newest first. */
export const decideRetention = (archives: readonly Archive[], retention: Retention, now: number): Decision[] => {
  const kindOf = ({ volid }: Archive) => archiveName(volid)?.guest ?? '';
  const groups = new Map<string, Archive[]>();
  const aside: Decision[] = [];
  for (const archive of [...archives].sort(newestFirst)) {
    const why = setAside(archive, now);
    if (why === '') groups.set(kindOf(archive), [...(groups.get(kindOf(archive)) ?? []), archive]);
    else aside.push({ archive, keep: true, why });
  }
  const decided = [...groups.values()].flatMap((group) => decideGroup(group, retention));
  return [...aside, ...decided].sort((a, b) => newestFirst(a.archive, b.archive));
};
