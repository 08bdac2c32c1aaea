/** From an assignment to what its mounts are made of. Pure. */
import { createHash } from 'node:crypto';
import { posix } from 'node:path';
import type { MountSpec } from '../../ports/drive-mounts.ts';
import type { Assignment, DriveMatch } from '../inventory/assignment.ts';
import type { Drive } from '../inventory/drive.ts';
import type { Evidence } from '../inventory/evidence.ts';

/** What our rule for udev compares with is what udev itself says: a drive has more names than these, by other ways of asking it. */
export const matchOf = ({ name, identity }: Pick<Drive, 'name' | 'identity'>, udev: Evidence['udev'] | undefined): DriveMatch => {
  const { ID_SERIAL: serial = '', ID_WWN: wwn = '' } = (udev?.known ? udev.value.get(name)?.properties : undefined) ?? {};
  return { serial, wwn, sizeBytes: identity.sizeBytes };
};

/** `photos.1a2b3c4d5e6f`: another one for whatever else the drive or the file system could be, so that a link never outlives what it was made for. */
export const linkName = (name: string, uuid: string, { serial, wwn, sizeBytes }: DriveMatch): string => {
  const facts = JSON.stringify([uuid.toLowerCase(), serial, wwn, sizeBytes]);
  return `${name}.${createHash('sha256').update(facts).digest('hex').slice(0, 12)}`;
};

export const nameOf = ({ mountPoint }: Pick<Assignment, 'mountPoint'>): string => posix.basename(mountPoint);

/** Where a guest's file systems are mounted a second time: in the directory that it is given. */
export type PointFor = (vmid: number, name: string) => string;

export const specOf = (assignment: Assignment, pointFor: PointFor): MountSpec => {
  const { mountPoint, vmid, link, uuid, fstype, options, match } = assignment;
  return { mountPoint, guestPoint: pointFor(vmid, nameOf(assignment)), link, uuid, fstype, options, match };
};
