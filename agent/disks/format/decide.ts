/** Whether a drive may be formatted for a guest, and what that takes. Pure: over a drive of this moment and what is known. */
import type { Filesystem } from '../../config.ts';
import type { Assignment } from '../inventory/assignment.ts';
import type { Drive, Inventory, Owner } from '../inventory/drive.ts';
import { sentenceForGuests } from '../inventory/role.ts';
import { type Claims, claim } from '../known/ownership.ts';
import { inUse, refusal } from './refusals.ts';

/** A drive as a request names it. */
export interface Named {
  drive: Drive;
  /** False: the name is a partition's. */
  isWhole: boolean;
}

/** @param name a kernel name */
export const namedIn = ({ drives }: Pick<Inventory, 'drives'>, name: string): Named | undefined => {
  for (const drive of drives) {
    if (drive.name === name) return { drive, isWhole: true };
    if (drive.device.partitions.some((part) => part.name === name)) return { drive, isWhole: false };
  }
  return undefined;
};

/** Throws where there is none. */
export const findNamed = (inventory: Pick<Inventory, 'drives'>, name: string): Named => {
  const named = namedIn(inventory, name);
  if (named === undefined) throw refusal.notFound(name);
  return named;
};

export interface Terms {
  vmid: number;
  fstype: Filesystem;
  claims: Claims;
  /** Of all guests. */
  assignments: readonly Assignment[];
  /** Sources without a whole answer. */
  missing: Inventory['missing'];
  /** Why no drive is changed; empty where they may be. */
  writesOff: string;
  /** Why this host cannot make the file system; empty where it can. */
  mkfsMissing: string;
  /** Of the file system. */
  minBytes: number;
  now: number;
}

/** `format`: it is blank. `confirm`: the customer has to. `operator`: only the operator's signature permits it. */
export interface Decision {
  needs: 'format' | 'confirm' | 'operator';
  /** Whose the drive becomes. */
  owner: Owner;
}

const MIB = 1024 ** 2;

const requireHost = ({ writesOff, missing, mkfsMissing }: Terms): void => {
  if (writesOff !== '') throw refusal.writesOff(writesOff);
  if (missing.length > 0) throw refusal.notKnown();
  if (mkfsMissing !== '') throw refusal.mkfsMissing(mkfsMissing);
};

/** What the host's configuration gives to a guest is not formatted from outside, whoever asks. */
const requireNotGiven = ({ holders }: Drive, vmid: number): void => {
  const given = holders.filter(({ kind, vmid: whose }) => kind === 'guest' && whose !== null);
  if (given.some(({ vmid: whose }) => whose !== vmid)) throw refusal.anothers();
  if (given.length > 0) throw refusal.own();
};

const requireSound = (drive: Drive, { fstype, minBytes }: Terms): void => {
  if (drive.twins.length > 0) throw refusal.twins();
  if (drive.state === 'not-answering') throw refusal.silent();
  const [first, ...others] = drive.reasons.filter(({ role }) => role !== 'user-data');
  // Nobody is to decide anything, the operator neither, on what could not be told just now.
  if (first?.passing && others.every(({ passing }) => passing)) throw refusal.unread(sentenceForGuests(first));
  const { diskseq, sizeBytes } = drive.device;
  if (drive.record === null || diskseq === null || sizeBytes === null) throw refusal.unread();
  if (sizeBytes < minBytes) throw refusal.tooSmall(fstype, Math.ceil(minBytes / MIB));
};

const requireUnused = (drive: Drive, { assignments, vmid }: Terms): void => {
  const ids = [drive.record, ...drive.related].map((record) => record?.id);
  const uuids = drive.filesystems.map(({ uuid }) => uuid.toLowerCase());
  const isOn = ({ drive: id, uuid }: Assignment) =>
    id === drive.record?.id || (ids.includes(id) && uuids.includes(uuid.toLowerCase()));
  if (assignments.some(isOn)) throw refusal.connected();
  const [holder] = drive.holders;
  if (holder !== undefined) throw inUse(holder, vmid);
};

/** Throws the refusal where nothing that the guest could do now would permit it. */
export const decide = ({ drive, isWhole }: Named, terms: Terms): Decision => {
  const { vmid, claims, now } = terms;
  if (terms.writesOff !== '') throw refusal.writesOff(terms.writesOff);
  if (drive.format?.state === 'running') throw refusal.running();
  const owner = claim(drive, vmid, claims, now);
  requireNotGiven(drive, vmid);
  requireHost(terms);
  requireSound(drive, terms);
  if (drive.role !== 'user-data') return { needs: 'operator', owner };
  requireUnused(drive, terms);
  return { needs: isWhole && !drive.dataBearing ? 'format' : 'confirm', owner };
};
