/** Which file system a guest means, and whether it may be mounted for it. Pure: over an inventory of this moment. */
import { FelhomError } from '#shared/errors';
import type { Filesystem } from '../../config.ts';
import type { Drive, DriveFilesystem, Inventory } from '../inventory/drive.ts';
import { sentenceForGuests } from '../inventory/role.ts';

export interface Candidate {
  drive: Drive;
  filesystem: DriveFilesystem;
}

export const sameUuid = (a: string, b: string): boolean => a.toLowerCase() === b.toLowerCase();

export const carrying = ({ drives }: Inventory, uuid: string): Candidate[] =>
  drives.flatMap((drive) =>
    drive.filesystems.filter((filesystem) => sameUuid(filesystem.uuid, uuid)).map((filesystem) => ({ drive, filesystem })),
  );

const NOTHING = 'Nothing was changed.';

export const beingFormatted = (): FelhomError =>
  new FelhomError(
    'format-running',
    'This drive is being formatted now. Nothing else is done to it until that has ended. Please try again in a minute.',
  );

/** What another guest has is told to none by more than that. */
const protectedBy = ({ drive: { holders, reasons } }: Candidate, vmid: number): FelhomError => {
  const another = holders.some((holder) => holder.kind === 'guest' && holder.vmid !== vmid);
  const [first] = reasons;
  const words = first === undefined ? 'The server needs it.' : sentenceForGuests(first);
  const why = another ? 'It is given to another guest.' : words;
  return new FelhomError('drive-protected', `This drive cannot be connected. ${why} ${NOTHING}`);
};

/**
 * The one customer's drive that carries it. A guest can give its own virtual disks any UUID: what is the host's or is given to a
 * guest is no candidate, and no duplicate either.
 */
export const findCandidate = (inventory: Inventory, uuid: string, vmid: number): Candidate => {
  const found = carrying(inventory, uuid);
  const [first, ...others] = found.filter(({ drive }) => drive.role === 'user-data');
  if (first === undefined) {
    const [other] = found;
    if (other !== undefined) throw protectedBy(other, vmid);
    throw new FelhomError(
      'drive-not-found',
      `No drive with this file system is plugged in. Check its cable and its power. ${NOTHING}`,
    );
  }
  const twins = [...new Set([...others.map(({ drive }) => drive.name), ...first.drive.twins])];
  if (twins.length > 0) {
    throw new FelhomError(
      'drive-ambiguous',
      `${first.drive.name} cannot be told from ${twins.join(' and ')}: they look the same to the server. Unplug all but one of them and try again. ${NOTHING}`,
    );
  }
  const { format } = first.drive;
  if (format?.state === 'running') throw beingFormatted();
  if (format !== undefined) throw new FelhomError('format-failed', `${format.sentence} ${NOTHING}`);
  return first;
};

/** Throws where the drive does not answer, or holds another kind of file system than was asked for or may be mounted. */
export const requireUsable = ({ drive, filesystem }: Candidate, fstype: string, allowed: readonly Filesystem[]): Filesystem => {
  if (drive.state === 'not-answering')
    throw new FelhomError('drive-not-answering', `The drive does not answer. Check its cable and its power. ${NOTHING}`);
  if (filesystem.fstype !== fstype)
    throw new FelhomError('filesystem-not-supported', `The drive holds ${filesystem.fstype}, not what was asked for. ${NOTHING}`);
  const known = allowed.find((one) => one === fstype);
  if (known !== undefined) return known;
  throw new FelhomError(
    'filesystem-not-supported',
    `This server does not mount ${filesystem.fstype}. It mounts ${allowed.join(', ')}. ${NOTHING}`,
  );
};
