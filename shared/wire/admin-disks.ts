/** Drives, as the operator sees them over the root-only socket. */
import { Type } from 'typebox';
import { endpoint, type TypeOf, typed } from '../endpoint.ts';
import { Timestamp, Vmid } from '../ids.ts';
import { DiskState, EjectDisk, Ejected, Role } from './disks.ts';
import { DriveClass, DriveHealth, Fraction, nullable } from './values.ts';

const RoleReason = Type.Object({
  role: Role,
  sentence: Type.String(),
  /** Kept with the drive's identity until `disks demote`. */
  lasting: Type.Boolean(),
});

const HolderView = Type.Object({
  kind: Type.String(),
  sentence: Type.String(),
  vmid: nullable(Vmid),
  pid: nullable(Type.Integer()),
});

const FilesystemView = Type.Object({
  device: Type.String(),
  fstype: Type.String(),
  uuid: Type.String(),
  label: Type.String(),
  size_bytes: nullable(Type.Integer()),
  /** Where felhom has it mounted, and for whom; empty and null where it does not. */
  mount_path: Type.String(),
  vmid: nullable(Vmid),
});

export const AdminDrive = Type.Object({
  /** The kernel's name; of one that is not plugged in the last. */
  name: Type.String(),
  present: Type.Boolean(),
  state: DiskState,
  model: Type.String(),
  serial: Type.String(),
  wwn: Type.String(),
  size_bytes: nullable(Type.Integer()),
  transport: Type.String(),
  bus_path: Type.String(),
  class: DriveClass,
  role: Role,
  reasons: Type.Array(RoleReason),
  owner: nullable(Type.Object({ vmid: Vmid, since: Timestamp, suspended: Type.Boolean() })),
  holders: Type.Array(HolderView),
  twins: Type.Array(Type.String()),
  data_bearing: Type.Boolean(),
  data_reason: Type.String(),
  /** Of a drive that is being read to prove it blank. */
  blank_read_fraction: nullable(Fraction),
  filesystems: Type.Array(FilesystemView),
  links: Type.Array(Type.String()),
  durable_id: Type.String(),
  smart: Type.Object({
    ...DriveHealth.properties,
    power_on_hours: nullable(Type.Integer()),
    standby: Type.Boolean(),
  }),
  first_seen_at: nullable(Timestamp),
  last_seen_at: nullable(Timestamp),
});
export type AdminDrive = TypeOf<typeof AdminDriveShape>;
const AdminDriveShape = typed(AdminDrive);

const MissingSources = Type.Array(Type.Object({ source: Type.String(), why: Type.String() }));

export const AdminDrives = typed(
  Type.Object({
    drives: Type.Array(AdminDrive),
    /** Sources that gave no whole answer; while there is one, every drive is a system drive. */
    missing: MissingSources,
    unmatched_protect: Type.Array(Type.String()),
    /** Why nothing on any drive is changed; empty where it may be. */
    writes_off: Type.String(),
    age_seconds: nullable(Type.Integer()),
  }),
);
export type AdminDrives = TypeOf<typeof AdminDrives>;

export const listDrives = endpoint({
  method: 'GET',
  path: '/drives',
  access: 'admin',
  summary: 'Every drive, plugged in or remembered, with its role and why.',
  reply: AdminDrives,
});

/** A kernel name, a serial, a WWN or a durable id; it must mean one drive. */
const DriveNamed = typed(Type.Object({ drive: Type.String({ minLength: 1, maxLength: 255 }) }));

export const showDrive = endpoint({
  method: 'GET',
  path: '/drive',
  access: 'admin',
  summary: 'One drive, with everybody who keeps it in use, looked at now.',
  query: DriveNamed,
  reply: typed(Type.Object({ drive: AdminDrive, missing: MissingSources })),
});

export const demoteDrive = endpoint({
  method: 'POST',
  path: '/drives/demote',
  access: 'admin',
  summary: 'Forgets the role that a drive once had. What it is used for now still counts.',
  body: DriveNamed,
  reply: typed(Type.Object({ drive: AdminDrive })),
});

export const releaseDrive = endpoint({
  method: 'POST',
  path: '/drives/release',
  access: 'admin',
  summary: 'Takes a drive from the guest that owns it; the next guest that may takes it.',
  body: DriveNamed,
  reply: typed(Type.Object({ drive: AdminDrive })),
});

export const ejectDrive = endpoint({
  method: 'POST',
  path: '/drives/eject',
  access: 'admin',
  summary: "Ejects a drive in its guest's stead: also where that guest is no more.",
  body: EjectDisk,
  reply: Ejected,
});
