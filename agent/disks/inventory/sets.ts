/** Which drives belong together: two paths to one drive, and parts or copies of one content. Pure. */
import type { KernelDevice } from '../../ports/sysfs.ts';
import type { Identity } from './drive.ts';
import { addFound, type Found, isProtective } from './found.ts';
import { isHardwareKey } from './identity.ts';

export interface Member {
  device: KernelDevice;
  identity: Identity;
  /** Also, of a drive that was not read, those that its record remembers. */
  keys: readonly string[];
  found: readonly Found[];
}

const share = (a: readonly string[], b: readonly string[]): string | undefined => a.find((key) => b.includes(key));

const backing = ({ backingFile }: KernelDevice): string => backingFile?.replace(/ \(deleted\)$/, '') ?? '';

const isTwin = (a: Member, b: Member): boolean =>
  a !== b &&
  (share(a.identity.keys.filter(isHardwareKey), b.identity.keys) !== undefined ||
    (backing(a.device) !== '' && backing(a.device) === backing(b.device)));

/** Two paths to one drive, or drives that cannot be told apart; over several steps too. By name, without the drive's own. */
export const twinsOf = (members: readonly Member[]): ReadonlyMap<string, readonly string[]> => {
  const direct = new Map(members.map((one) => [one, members.filter((other) => isTwin(one, other))]));
  const reach = (from: Member, seen: Set<Member>): Set<Member> => {
    for (const next of direct.get(from) ?? []) if (!seen.has(next)) reach(next, seen.add(next));
    return seen;
  };
  return new Map(
    members.map((one) => [
      one.device.name,
      [...reach(one, new Set([one]))].filter((other) => other !== one).map(({ device }) => device.name),
    ]),
  );
};

/** What is said of one twin holds for all. */
export const withTwins = (members: readonly Member[], twins: ReadonlyMap<string, readonly string[]>): Member[] => {
  const byName = new Map(members.map((one) => [one.device.name, one]));
  return members.map((one) => {
    const others = (twins.get(one.device.name) ?? []).flatMap((name) => byName.get(name) ?? []);
    return { ...one, found: others.flatMap(({ found }) => found).reduce<readonly Found[]>(addFound, one.found) };
  });
};

/** What two drives with the same key have in common, as the end of a sentence. */
const COMMON: Readonly<Record<string, string>> = {
  table: 'has the same partition table as',
  part: 'has the same partition as',
  fs: 'carries the same file system as',
  btrfs: 'is part of the same btrfs as',
  luks: 'carries the same encrypted volume as',
  pv: 'carries the same LVM volume as',
  vg: 'is part of the same LVM volume group as',
  md: 'is part of the same software RAID as',
  pool: 'is part of the same ZFS pool as',
};

const common = (key: string): string => COMMON[key.slice(0, key.indexOf(':'))] ?? 'belongs together with';

const outweighs = (one: Found, best: Found | undefined): boolean => {
  if (best === undefined) return true;
  if (best.role !== one.role) return one.role === 'system';
  return one.lasting && !best.lasting;
};

const weightiest = (found: readonly Found[]): Found | undefined =>
  found.reduce<Found | undefined>((best, one) => (outweighs(one, best) ? one : best), undefined);

/**
 * What a drive passes on. A guest writes what it likes on a drive that was given to it, so that such a drive passes on only what the
 * host itself has on it; but the kernel takes two drives with one btrfs for one, whoever wrote it.
 */
const passedOn = ({ found }: Member, key: string, told: Found | undefined): Found | undefined => {
  const protective = found.filter(isProtective);
  if (!found.some(({ origin }) => origin === 'given')) return weightiest(told === undefined ? protective : [...protective, told]);
  const ofHost = weightiest(protective.filter(({ origin }) => origin === 'use'));
  if (ofHost !== undefined) return ofHost;
  return key.startsWith('btrfs:') ? { role: 'system', sentence: '', lasting: false, origin: 'given' } : undefined;
};

const whichIs = ({ role, origin }: Found): string => {
  if (origin === 'unknown' || origin === 'unlooked') return 'of which it cannot be determined what it is for';
  return role === 'backup' ? 'which is a backup drive' : 'which is a system drive';
};

const membersByKey = (members: readonly Member[]): Map<string, number[]> => {
  const byKey = new Map<string, number[]>();
  for (const [index, { keys }] of members.entries())
    for (const key of keys.filter((one) => !isHardwareKey(one))) byKey.set(key, [...(byKey.get(key) ?? []), index]);
  return byKey;
};

/** What one drive tells another with which it shares a key; undefined where it has nothing to tell. */
const passing = (from: Member, to: Member, key: string, told: Found | undefined): Found | undefined => {
  const reason = from === to ? undefined : passedOn(from, key, told);
  if (reason === undefined) return undefined;
  const sentence = `It ${common(key)} ${from.device.name}, ${whichIs(reason)}.`;
  // What only the record knows of it may be there no more.
  const lasting = reason.lasting && from.identity.keys.includes(key);
  return { role: reason.role, lasting, origin: 'together', sentence };
};

/** A drive that carries the same set, table or file system as one with a role has that role, whether it is in use or not. */
export const withTogether = (members: readonly Member[]): Member[] => {
  const groups = [...membersByKey(members)].filter(([, indexes]) => indexes.length > 1);
  const best = new Map<number, Found>();
  for (let news = true; news; ) {
    news = false;
    for (const [key, indexes] of groups)
      for (const from of indexes)
        for (const to of indexes) {
          const [giver, taker] = [members[from], members[to]];
          const reason = giver && taker && passing(giver, taker, key, best.get(from));
          if (
            reason === undefined ||
            taker === undefined ||
            !outweighs(reason, best.get(to) ?? weightiest(taker.found.filter(isProtective)))
          )
            continue;
          best.set(to, reason);
          news = true;
        }
  }
  return members.map((one, index) => {
    const reason = best.get(index);
    return reason === undefined ? one : { ...one, found: addFound(one.found, reason) };
  });
};

const spread = (members: readonly Member[]): Member[] => {
  const twins = twinsOf(members);
  return withTwins(withTogether(withTwins(members, twins)), twins);
};

/**
 * Every drive's reasons with those of its twins and of what belongs to it. That nobody looked into a drive can only hide backups: it adds
 * nothing to a drive that is protected anyhow, nor to what belongs to one.
 */
export const concluded = (members: readonly Member[]): (readonly Found[])[] => {
  const certain = spread(members.map((one) => ({ ...one, found: one.found.filter(({ origin }) => origin !== 'unlooked') })));
  return spread(
    certain.map((one, index) => (one.found.some(isProtective) ? one : { ...one, found: members[index]?.found ?? one.found })),
  ).map(({ found }) => found);
};
