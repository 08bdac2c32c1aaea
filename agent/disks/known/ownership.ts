/** Whose a drive is, and who may take one that is nobody's. Pure. */
import { FelhomError } from '#shared/errors';
import { isSameInstance } from '../../guests/instance.ts';
import type { Drive, Owner } from '../inventory/drive.ts';

export interface Claims {
  /** `disks.guests`; null: the enrolled guest, if there is only one. */
  guests: readonly number[] | null;
  enrolled: readonly number[];
  /** What each guest of this node is now (guests' instance.ts); a guest that is not in it cannot be told from another of its number. */
  instances: ReadonlyMap<number, string>;
}

/** `why`: for the guest that asks, why it may not act on the drive; empty where it may. */
export type Standing =
  | { owner: 'yours'; why: '' }
  /** Nobody's. */
  | { owner: 'free'; why: string }
  | { owner: 'not-yours'; why: string };

type Owned = Pick<Drive, 'record' | 'related'>;

const sameOwner = (a: Owner, b: Owner): boolean =>
  a.vmid === b.vmid && (a.instance === b.instance || isSameInstance(a.instance, b.instance));

/** Of the drive and of whatever shares a key with it: what is on a copy belongs to whom the original belongs. */
export const ownersOf = ({ record, related }: Owned): Owner[] =>
  [record, ...related]
    .flatMap((one) => one?.owner ?? [])
    .filter((owner, index, all) => all.findIndex((other) => sameOwner(other, owner)) === index);

/** Whether the guest that owns it is still the one that took it; what cannot be told is not the same. */
export const isSuspended = ({ vmid, instance }: Owner, instances: Claims['instances']): boolean =>
  !isSameInstance(instance, instances.get(vmid) ?? '');

export const mayTake = (vmid: number, { guests, enrolled }: Claims): boolean =>
  guests === null ? enrolled.length === 1 && enrolled[0] === vmid : guests.includes(vmid);

const RELEASE = 'The operator can look with "felhom-agent disks show" and let it go with "felhom-agent disks release".';

const WHY = {
  another: "This drive is another guest's.",
  several: `This drive has several owners on record, so it is nobody's until the operator decides. ${RELEASE}`,
  changed: `This drive belongs to a former guest of your number. ${RELEASE}`,
  unknown: 'It cannot be determined now whether this is the guest that the drive belongs to. Please try again in a minute.',
  nameless: 'The configuration of this guest cannot be read now, so no drive can become its own. Please try again in a minute.',
  mayNot: "The operator has not allowed this guest to take free drives (disks.guests in the agent's configuration).",
} as const;

const ofOwned = (owner: Owner, vmid: number, { instances }: Claims): Standing => {
  if (owner.vmid !== vmid) return { owner: 'not-yours', why: WHY.another };
  if (!isSuspended(owner, instances)) return { owner: 'yours', why: '' };
  return { owner: 'not-yours', why: instances.has(vmid) ? WHY.changed : WHY.unknown };
};

export const standingOf = (drive: Owned, vmid: number, claims: Claims): Standing => {
  const [owner, ...others] = ownersOf(drive);
  if (owner === undefined) {
    if (!mayTake(vmid, claims)) return { owner: 'free', why: WHY.mayNot };
    return { owner: 'free', why: claims.instances.has(vmid) ? '' : WHY.nameless };
  }
  return others.length > 0 ? { owner: 'not-yours', why: WHY.several } : ofOwned(owner, vmid, claims);
};

/**
 * The owner that a guest is, or becomes by taking the drive. Throws `not-yours` or `drive-unknown-owner` where it may not act on
 * it; nothing is changed here.
 */
export const claim = (drive: Owned, vmid: number, claims: Claims, now: number): Owner => {
  const standing = standingOf(drive, vmid, claims);
  if (standing.why !== '') {
    const unclear: readonly string[] = [WHY.several, WHY.changed, WHY.unknown, WHY.nameless];
    throw new FelhomError(unclear.includes(standing.why) ? 'drive-unknown-owner' : 'not-yours', standing.why);
  }
  const [owner] = ownersOf(drive);
  return owner ?? { vmid, instance: claims.instances.get(vmid) ?? '', since: now };
};
