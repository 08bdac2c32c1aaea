/** Assign: mounts a guest's file system for it, now and at every boot. Everything is looked at anew; what fails is undone. */
import { sleep } from '#shared/clock';
import { FelhomError } from '#shared/errors';
import type { AssignDisk, AssignedDisk } from '#shared/wire/disks';
import { type AgentConfig, FILESYSTEMS, type Filesystem } from '../../config.ts';
import type { MappedRoot } from '../../guests/idmap.ts';
import { CommandError, isLate } from '../../ports/command.ts';
import type { DriveCheck } from '../../ports/drive-check.ts';
import { DirectoryError } from '../../ports/immutable.ts';
import { StoreError } from '../../ports/store.ts';
import type { GuestDirectories } from '../in-guest/in-guest.ts';
import type { Assignment, DriveMatch } from '../inventory/assignment.ts';
import type { Drive, Holder, Inventory, Owner } from '../inventory/drive.ts';
import { type Claims, claim } from '../known/ownership.ts';
import { type Candidate, carrying, findCandidate, requireUsable, sameUuid } from './candidate.ts';
import type { DeedPorts } from './deed-ports.ts';
import { exposing } from './dependants.ts';
import type { InUse } from './in-use.ts';
import { createLate, stillAtWork } from './late.ts';
import { linkName, matchOf } from './links.ts';
import { type AskedOptions, buildOptions, readOptions } from './mount-options.ts';
import { nameIn } from './mount-point.ts';
import { WrongSource } from './mounting.ts';
import type { Recover } from './recover.ts';

export interface AssignPorts extends DeedPorts {
  mountRoot: string;
  settings: () => Pick<AgentConfig['disks'], 'filesystems'>;
  /** Why no drive is changed on this host; empty where they may be. */
  writesOff: () => string;
  claims: () => Claims;
  /** Whoever has a drive in use, looked for now. */
  inUse: InUse;
  check: Pick<DriveCheck, 'exclusive'>;
  guests: Pick<GuestDirectories, 'shown' | 'mappedRoot'>;
  recover: Recover;
}

/** A request, read strictly. */
interface Wanted {
  name: string;
  mountPoint: string;
  uuid: string;
  fstype: Filesystem;
  asked: AskedOptions;
}

/** On what an assignment rests beside the drive. */
interface Terms {
  owner: Owner;
  root: MappedRoot;
  asked: AskedOptions;
}

/** What an assignment takes over from the host. */
interface Found {
  /** As the file system itself has it: the request may have it in other letters, and udev compares them all. */
  uuid: string;
  match: DriveMatch;
  /** Of the drive's record. */
  drive: number;
  root: MappedRoot;
  now: number;
}

const NOTHING = 'Nothing was changed.';

const readWanted = ({ uuid, where, fstype, options = '' }: AssignDisk, mountRoot: string): Wanted => {
  const name = nameIn(mountRoot, where);
  if (!/^[0-9A-Fa-f-]{4,36}$/.test(uuid))
    throw new FelhomError('invalid-request', `That is not the UUID of a file system. ${NOTHING}`);
  const known = FILESYSTEMS.find((one) => one === fstype);
  if (known === undefined)
    throw new FelhomError('filesystem-not-supported', `This server mounts ${FILESYSTEMS.join(', ')} only. ${NOTHING}`);
  return { name, mountPoint: where, uuid, fstype: known, asked: readOptions(options, known) };
};

/** It is mounted all the same. */
const UNSEEN = { guestPath: '', note: 'The drive is mounted on the server. Whether it shows in the guest cannot be told now.' };

const taken = (where: string): FelhomError =>
  new FelhomError('mount-point-refused', `There is something at ${where} already. Choose another name. ${NOTHING}`);

/** Whatever went wrong, as a cause and a next step for the customer; all has been undone by then. */
const explained = (error: unknown, where: string): unknown => {
  if (error instanceof FelhomError || error instanceof StoreError) return error;
  if (error instanceof DirectoryError) {
    if (error.reason === 'taken') return taken(where);
    const sentence =
      'The directory for drives on this server can be changed by others than root. The operator has to correct that.';
    return new FelhomError('mount-failed', `${sentence} ${NOTHING}`, error);
  }
  if (error instanceof WrongSource) {
    const sentence =
      'Something else than this drive answered to its name, so it was not connected. Ask your operator to look at it.';
    return new FelhomError('mount-failed', `${sentence} ${NOTHING}`, error);
  }
  if (isLate(error)) {
    const sentence =
      'The drive did not answer in time while it was being mounted. Check its cable and its power, then try again.';
    return new FelhomError('drive-not-answering', sentence, error);
  }
  const isMount = error instanceof CommandError && error.reason === 'exit';
  const sentence = isMount
    ? 'The file system could not be mounted. It may be damaged: have it checked on a computer that can repair it, or ask your operator.'
    : 'The server could not do all that connecting a drive takes. Try again in a minute, and ask your operator if it goes on.';
  return new FelhomError('mount-failed', `${sentence} ${NOTHING}`, error);
};

/** mount(8) falls back to reading where a drive is write-protected, and the kernel does where a file system is damaged. */
const notWritable = (error: unknown): never => {
  if (!(error instanceof CommandError) || error.reason !== 'exit') throw error;
  const sentence =
    'This drive can only be read: it is write-protected, or its file system is damaged. Ask for it with the option "ro".';
  throw new FelhomError('mount-failed', `${sentence} ${NOTHING}`, error);
};

/** udev, LVM and their like open a drive for a moment to see what is on it. */
const PASSING: ReadonlySet<Holder['kind']> = new Set(['process', 'exclusive']);
const PASSING_TRIES = 4;
const PASSING_MS = 500;

export const createAssign = (ports: AssignPorts) => {
  const { clock, journal, current, records, mounting, inTurn, audit, mountRoot, settings, recover } = ports;
  const late = createLate<AssignedDisk>(clock);

  const reply = async ({ vmid, uuid, mountPoint }: Assignment, name: string): Promise<AssignedDisk> => {
    const { guestPath, note } = await ports.guests.shown(vmid, name).catch(() => UNSEEN);
    return { vmid, uuid, where: mountPoint, guest_path: guestPath, note };
  };

  /** Of the same drive, whoever's it is. */
  const assignmentOn = (drive: Drive, uuid: string): Assignment | undefined => {
    const ids = [drive.record, ...drive.related].map((record) => record?.id);
    return records.assignments().find((one) => sameUuid(one.uuid, uuid) && ids.includes(one.drive));
  };

  /**
   * Where the guest has another file system of the same drive mounted, that and what the guest does there does not stand in the way;
   * then the partition is asked for by itself.
   */
  const othersOn = async ({ drive, filesystem }: Candidate, vmid: number): Promise<Holder[]> => {
    const holders = await ports.inUse.holders(drive);
    const hasSibling = records.assignments().some((one) => one.vmid === vmid && one.drive === drive.record?.id);
    if (!hasSibling || holders.length === 0) return holders;
    const others = holders.filter(({ kind, vmid: whose }) => kind !== 'mount' || whose !== vmid);
    if (others.length > 0 || (await ports.check.exclusive(`/dev/${filesystem.device}`)) === 'free') return others;
    return holders;
  };

  /** Whoever only looks at the drive is waited for. */
  const requireFree = async (candidate: Candidate, vmid: number): Promise<void> => {
    for (let tries = 1; ; tries += 1) {
      const holders = await othersOn(candidate, vmid);
      const [holder] = holders;
      if (holder === undefined) return;
      if (tries === PASSING_TRIES || !holders.every(({ kind }) => PASSING.has(kind)))
        throw new FelhomError('drive-in-use', `This drive is in use. ${holder.sentence} ${NOTHING}`);
      await sleep(clock, PASSING_MS);
    }
  };

  /** No guest may be able to put a link where drives are mounted. */
  const requireOwnRoot = (): void => {
    const proxmox = current.last()?.evidence.proxmox;
    const [vmid] = proxmox?.known === true ? exposing(proxmox.value, mountRoot) : [];
    if (vmid === undefined) return;
    throw new FelhomError(
      'mount-failed',
      `Guest ${vmid} is given the whole directory of drives (${mountRoot}), so no drive is safe in it. The operator has to take that out of its configuration. ${NOTHING}`,
    );
  };

  /** The drives as they are at this moment, and the one that is meant read anew. */
  const lookAnew = async (uuid: string): Promise<Inventory> => {
    const known = current.last()?.inventory;
    const names = known === undefined ? [] : carrying(known, uuid).map(({ drive }) => drive.name);
    const inventory = await current.fresh(names);
    const news = carrying(inventory, uuid).map(({ drive }) => drive.name);
    return news.every((name) => names.includes(name)) ? inventory : current.fresh(news);
  };

  const requirePlace = async ({ mountPoint }: Wanted): Promise<void> => {
    const occupied = records.assignments().some((one) => one.mountPoint === mountPoint) || (await mounting.isMounted(mountPoint));
    if (occupied) throw taken(mountPoint);
    await mounting.checkPlace(mountPoint);
  };

  const audited = ({ vmid, drive, uuid, mountPoint, fstype, options }: Assignment): Promise<void> =>
    audit(`guest ${vmid}`, 'drive-assigned', { drive, uuid, where: mountPoint, fstype, options });

  /** Written down first; then each step, the last of which says that all are done. */
  const carryOut = async (assignment: Assignment, candidate: Candidate, { owner, root, asked }: Terms): Promise<void> => {
    const { vmid, drive, mountPoint, fstype } = assignment;
    let restoreOwner = async (): Promise<void> => undefined;
    await records.saveAssignment(assignment);
    try {
      if (candidate.drive.record?.owner == null) await records.setOwner(drive, owner, `guest ${vmid}`);
      await audited(assignment);
      await mounting.onHost(assignment, candidate);
      if (fstype !== 'exfat' && !asked.readOnly) restoreOwner = await mounting.giveToRoot(mountPoint, root).catch(notWritable);
      await mounting.toGuest(assignment, candidate);
      await records.setAssignmentState(mountPoint, 'assigned');
    } catch (error) {
      await restoreOwner()
        .then(() => recover.undoAssign(assignment))
        // The row still says `assigning`: whoever reconciles tries again.
        .catch((cause: unknown) =>
          journal('error', 'A drive that could not be assigned is still partly mounted.', { cause: String(cause) }),
        );
      throw error;
    }
  };

  const again = async (before: Assignment, wanted: Wanted, options: string): Promise<AssignedDisk> => {
    if (before.fstype !== wanted.fstype || before.options !== options) {
      throw new FelhomError(
        'mount-point-refused',
        `It is connected at ${before.mountPoint} already, with other options. Eject it first. ${NOTHING}`,
      );
    }
    if (before.state === 'assigned' && (await mounting.isMounted(before.mountPoint))) return reply(before, wanted.name);
    throw new FelhomError(
      'mount-failed',
      `It is connected at ${before.mountPoint} already, but is not mounted yet. Ask again in a minute. ${NOTHING}`,
    );
  };

  const assignmentFor = (vmid: number, wanted: Wanted, found: Found): Assignment => {
    const { mountPoint, fstype, name, asked } = wanted;
    const { uuid } = found;
    return {
      ...{ mountPoint, vmid, drive: found.drive, uuid, fstype, match: found.match },
      options: buildOptions(fstype, asked, found.root),
      link: linkName(name, uuid, found.match),
      state: 'assigning',
      createdAt: found.now,
    };
  };

  const perform = async (vmid: number, wanted: Wanted): Promise<AssignedDisk> => {
    const off = ports.writesOff();
    if (off !== '') throw new FelhomError('drive-writes-off', off);
    const candidate = findCandidate(await lookAnew(wanted.uuid), wanted.uuid, vmid);
    const { drive } = candidate;
    const now = clock.now();
    const owner = claim(drive, vmid, ports.claims(), now);
    requireUsable(candidate, wanted.fstype, settings().filesystems);
    if (drive.record === null)
      throw new FelhomError('not-known', `This drive is not on record yet. Try again in a minute. ${NOTHING}`);
    const root = await ports.guests.mappedRoot(vmid);
    const match = matchOf(drive, current.last()?.evidence.udev);
    const { uuid } = candidate.filesystem;
    const assignment = assignmentFor(vmid, wanted, { uuid, match, drive: drive.record.id, root, now });
    const before = assignmentOn(drive, wanted.uuid);
    if (before !== undefined && before.mountPoint !== wanted.mountPoint)
      throw new FelhomError(
        'mount-point-refused',
        `It is connected at ${before.mountPoint} already. Eject it there first. ${NOTHING}`,
      );
    if (before !== undefined) return again(before, wanted, assignment.options);
    requireOwnRoot();
    await requirePlace(wanted);
    await requireFree(candidate, vmid);
    await carryOut(assignment, candidate, { owner, root, asked: wanted.asked });
    return reply(assignment, wanted.name);
  };

  return async (vmid: number, body: AssignDisk): Promise<AssignedDisk> => {
    const wanted = readWanted(body, mountRoot);
    const act = () =>
      inTurn(() => perform(vmid, wanted))
        .catch((error: unknown) => {
          throw explained(error, wanted.mountPoint);
        })
        .finally(current.changed);
    const { mountPoint, uuid } = wanted;
    /** What was connected may have been ejected since. */
    const isIn = (): boolean =>
      records.assignments().some((one) => one.mountPoint === mountPoint && one.vmid === vmid && sameUuid(one.uuid, uuid));
    return late(JSON.stringify([vmid, wanted]), act, () => stillAtWork('The drive takes long to answer.'), isIn);
  };
};
