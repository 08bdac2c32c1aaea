/** What the command line asks the running agent over the root-only socket. */
import { Type } from 'typebox';
import { Bootstrap } from '../bootstrap.ts';
import { endpoint, type Typed, type TypeOf, typed } from '../endpoint.ts';
import { Scope, Timestamp, Vmid, VmidText } from '../ids.ts';
import {
  backupsDue,
  cancelBackup,
  followBackup,
  listBackups,
  listProblems,
  protectBackup,
  pruneBackups,
  restoreAdvice,
  runBackup,
  verifyBackup,
  verifyProgress,
} from './admin-backups.ts';
import { demoteDrive, ejectDrive, listDrives, releaseDrive, showDrive } from './admin-disks.ts';
import { acceptClock, acceptState, grantAnyOp, listAllOps, prepareOp, showFormat, showOp } from './admin-ops.ts';
import { nullable } from './values.ts';

export const GuestParams = typed(Type.Object({ vmid: VmidText }));

export const EnrolledGuest = Type.Object({
  vmid: Vmid,
  enrolled_at: Timestamp,
  scopes: Type.Array(Scope),
  /** `active`, `rotating` while the former token still works, `revoked`. */
  state: Type.Union([Type.Literal('active'), Type.Literal('rotating'), Type.Literal('revoked')]),
  /** Last call with a valid token since the agent started. */
  last_seen_at: nullable(Timestamp),
});

export const EnrolledGuests = typed(Type.Object({ guests: Type.Array(EnrolledGuest) }));
export type EnrolledGuests = TypeOf<typeof EnrolledGuests>;

export const listGuests = endpoint({
  method: 'GET',
  path: '/guests',
  access: 'admin',
  summary: 'The enrolled guests.',
  reply: EnrolledGuests,
});

/** The token is in this answer and nowhere else. */
export const Enrolment = Type.Object({ bootstrap: Bootstrap }) as Typed<{ bootstrap: Bootstrap }>;

/** What is left to be done so that drives show in the guest, for people; empty where nothing is. */
const Note = Type.String();

export const enrollGuest = endpoint({
  method: 'POST',
  path: '/guests/{vmid}/enroll',
  access: 'admin',
  summary: 'Makes a token for a guest of this node, and makes ready where its drives show.',
  params: GuestParams,
  reply: Type.Object({ bootstrap: Bootstrap, note: Note }) as Typed<{ bootstrap: Bootstrap; note: string }>,
});

export const shareDrives = endpoint({
  method: 'POST',
  path: '/guests/{vmid}/share',
  access: 'admin',
  summary: 'Has the drives of an enrolled guest show in it; a virtual machine gets a virtiofs share.',
  params: GuestParams,
  reply: typed(Type.Object({ vmid: Vmid, note: Note })),
});

export const RotateGuest = typed(Type.Object({ overlap_seconds: Type.Integer({ minimum: 0, maximum: 2_592_000 }) }));

export const rotateGuest = endpoint({
  method: 'POST',
  path: '/guests/{vmid}/rotate',
  access: 'admin',
  summary: 'Makes a new token; the former one works until the overlap ends.',
  params: GuestParams,
  body: RotateGuest,
  reply: Enrolment,
});

export const revokeGuest = endpoint({
  method: 'POST',
  path: '/guests/{vmid}/revoke',
  access: 'admin',
  summary: "Refuses a guest's tokens from the next request on and closes its streams.",
  params: GuestParams,
  reply: typed(Type.Object({ vmid: Vmid })),
});

export const removeGuest = endpoint({
  method: 'DELETE',
  path: '/guests/{vmid}',
  access: 'admin',
  summary: 'Forgets a guest and its tokens. Its archives stay. Refused while it has drives.',
  params: GuestParams,
  reply: typed(Type.Object({ vmid: Vmid, note: Type.String() })),
});

/** The whole admin API. */
export const ADMIN_API = {
  listGuests,
  enrollGuest,
  rotateGuest,
  revokeGuest,
  removeGuest,
  shareDrives,
  listBackups,
  backupsDue,
  followBackup,
  runBackup,
  cancelBackup,
  protectBackup,
  verifyBackup,
  verifyProgress,
  pruneBackups,
  restoreAdvice,
  listProblems,
  listDrives,
  showDrive,
  demoteDrive,
  releaseDrive,
  ejectDrive,
  listAllOps,
  showOp,
  prepareOp,
  grantAnyOp,
  acceptState,
  acceptClock,
  showFormat,
};
