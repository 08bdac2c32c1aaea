/** Drives: the list, and what a guest may ask to be done with them. */
import { Type } from 'typebox';
import { endpoint, type RefusalForm, type TypeOf, typed } from '../endpoint.ts';
import { FilesystemUuid, Vmid } from '../ids.ts';
import { couldNotAsk } from './refusals.ts';
import { DriveClass, DriveHealth, Fraction, nullable } from './values.ts';

/** What a drive is to the host. What cannot be determined is `system`. */
export const Role = Type.Union([Type.Literal('system'), Type.Literal('backup'), Type.Literal('user-data')]);

export const DiskState = Type.Union([
  Type.Literal('available'),
  /** By felhom, for its owner. */
  Type.Literal('mounted'),
  /** By anything else. */
  Type.Literal('in-use'),
  Type.Literal('asleep'),
  Type.Literal('not-answering'),
  /** Known from before, not plugged in now. */
  Type.Literal('unplugged'),
]);

/** Whose a user-data drive is, for the guest that asks; empty for system and backup drives. */
export const DiskOwner = Type.Union([Type.Literal('yours'), Type.Literal('free'), Type.Literal('not-yours'), Type.Literal('')]);

/** A whole drive; where several of its file systems could be assigned, a further entry (`part`) for each. */
export const Disk = Type.Object({
  /** The kernel's, until the drive is plugged in anew: `sdb`, `sdb1`. */
  name: Type.String(),
  type: Type.Union([Type.Literal('disk'), Type.Literal('part')]),
  state: DiskState,
  backing_device: Type.String(),
  /** On the host; empty where it is not mounted for this guest. */
  mount_path: Type.String(),
  /** In the guest; empty where it does not show there. */
  guest_path: Type.String(),
  class: DriveClass,
  role: Role,
  /** Why it has this role. */
  role_reason: Type.String(),
  data_bearing: Type.Boolean(),
  data_reason: Type.String(),
  total_bytes: nullable(Type.Integer()),
  used_bytes: nullable(Type.Integer()),
  used_fraction: nullable(Fraction),
  /** `uuid:<id>` of the file system that can be assigned, `byid:<id>` of another whole drive, or empty. */
  durable_id: Type.String(),
  model: Type.String(),
  serial: Type.String(),
  fstype: Type.String(),
  label: Type.String(),
  owner: DiskOwner,
  /** Why it cannot be assigned to this guest now; empty where it can. */
  not_assignable: Type.String(),
  smart: DriveHealth,
});
export type Disk = TypeOf<typeof DiskShape>;
const DiskShape = typed(Disk);

export const Disks = typed(
  Type.Object({
    vmid: Vmid,
    disks: Type.Array(Disk),
    /** Why the list is not complete; empty when it is. */
    reason: Type.String(),
    /** Age of what the list rests on. */
    age_seconds: Type.Optional(nullable(Type.Integer())),
    /** A drive is connected at `<mount_root>/<name>`. */
    mount_root: Type.Optional(Type.String()),
  }),
);
export type Disks = TypeOf<typeof Disks>;

export const listDisks = endpoint({
  method: 'GET',
  path: '/disks',
  access: 'disks:read',
  summary: "The host's drives, each with its role and why.",
  reply: Disks,
  refusal: couldNotAsk,
});

/** Clients show a refusal's sentence only when the status is 200. The token's own failures and floods keep theirs. */
const inside200: RefusalForm = ({ status }) => ({ status: status === 401 || status === 429 ? status : 200, data: null });

export const AssignDisk = typed(
  Type.Object({
    uuid: FilesystemUuid,
    /** Where on the host, below the mount root. */
    where: Type.String({ minLength: 1, maxLength: 255 }),
    fstype: Type.String({ maxLength: 32 }),
    options: Type.Optional(Type.String({ maxLength: 255 })),
  }),
);
export type AssignDisk = TypeOf<typeof AssignDisk>;

export const AssignedDisk = typed(
  Type.Object({
    vmid: Vmid,
    uuid: FilesystemUuid,
    where: Type.String(),
    /** Where the guest finds it; empty where it does not show yet, and then `note` says what is missing. */
    guest_path: Type.String(),
    note: Type.String(),
  }),
);
export type AssignedDisk = TypeOf<typeof AssignedDisk>;

export const assignDisk = endpoint({
  method: 'POST',
  path: '/disks/assign',
  access: 'disks:manage',
  summary: 'Mounts a file system on the host, now and at every boot.',
  body: AssignDisk,
  reply: AssignedDisk,
  refusal: inside200,
});

export const EjectDisk = typed(Type.Object({ where: Type.String({ minLength: 1, maxLength: 255 }) }));
export type EjectDisk = TypeOf<typeof EjectDisk>;

export const Ejected = typed(Type.Object({ vmid: Vmid, ejected: Type.Boolean(), dependent_guests: Type.Array(Vmid) }));
export type Ejected = TypeOf<typeof Ejected>;

export const ejectDisk = endpoint({
  method: 'POST',
  path: '/disks/eject',
  access: 'disks:manage',
  summary: 'Unmounts a drive so that it can be pulled out.',
  body: EjectDisk,
  reply: Ejected,
  refusal: (facts) => ({
    ...inside200(facts),
    data: { vmid: facts.vmid, ejected: false, dependent_guests: facts.details?.dependentGuests ?? [] },
  }),
});

export const FormatDisk = typed(
  Type.Object({
    /** A kernel name as `GET /disks` shows it, with or without `/dev/`; never opened as a path. */
    device: Type.String({ minLength: 1, maxLength: 255 }),
    fstype: Type.String({ minLength: 1, maxLength: 32 }),
    confirmed: Type.Optional(Type.Boolean()),
    /** To confirm: of the refusal that asked for it. */
    durable_id: Type.Optional(Type.String({ maxLength: 255 })),
  }),
);
export type FormatDisk = TypeOf<typeof FormatDisk>;

export const Formatted = typed(
  Type.Object({
    vmid: Vmid,
    device: Type.String(),
    /** False while it is under way (202): then `GET /jobs/{id}`, or the same call again, tells how it ends. */
    formatted: Type.Boolean(),
    data_bearing: Type.Boolean(),
    reason: Type.String(),
    job_id: Type.String(),
    /** `uuid:<id>` of the new file system, which can be assigned; empty while it is under way. */
    durable_id: Type.String(),
  }),
);
export type Formatted = TypeOf<typeof Formatted>;

const deviceNamed = (body: unknown): string => {
  const device = typeof body === 'object' && body !== null && 'device' in body ? body.device : '';
  return typeof device === 'string' ? device.slice(0, 255) : '';
};

type Details = NonNullable<Parameters<RefusalForm>[0]['details']>;

/** What a 403 carries: the one way forward that it stands for. */
const wayForward = ({ needsConfirmation, pendingOp }: Details): object | null => {
  if (needsConfirmation !== undefined)
    return { needs_confirmation: true, durable_id: needsConfirmation.durableId, device: needsConfirmation.device };
  if (pendingOp === undefined) return null;
  const { id, op, hostScope, durableId, fstype, device } = pendingOp;
  return { device, pending_op: { id, op, host_scope: hostScope, durable_id: durableId, fstype } };
};

/**
 * Clients read `data` at any status, and take a 403 for one that shows the way forward, so a refusal that is neither
 * `needs_confirmation` nor a pending operation is never a 403, and always says that nothing was formatted.
 */
const notFormatted: RefusalForm = ({ status, error, vmid, body, details = {} }) => {
  const forward = wayForward(details);
  const plain = { vmid, device: deviceNamed(body), formatted: false, data_bearing: true, reason: error };
  if (forward !== null) return { status: 403, data: { ...plain, ...forward } };
  return { status: status === 400 ? 422 : status === 403 ? 409 : status, data: plain };
};

export const formatDisk = endpoint({
  method: 'POST',
  path: '/disks/format',
  access: 'disks:manage',
  summary: 'Wipes a whole drive and makes one file system on it. Answers after 10 s at the latest, with 202 while it goes on.',
  body: FormatDisk,
  reply: Formatted,
  isUnderWay: ({ formatted }) => !formatted,
  refusal: notFormatted,
});
