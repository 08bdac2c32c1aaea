/** From an assignment to what its mounts are made of. Pure. */
import { createHash } from 'node:crypto';
import { posix } from 'node:path';
import type { MountSpec } from '../ports/drive-mounts.ts';
import type { Assignment, DriveMatch } from './assignment.ts';
import type { Identity } from './drive.ts';

export const matchOf = ({ serial, wwn, sizeBytes }: Identity): DriveMatch => ({ serial, wwn, sizeBytes });

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
