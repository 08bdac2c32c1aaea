/** A guest's own volumes and binds. */
import { Type } from 'typebox';
import { endpoint, type TypeOf, typed } from '../endpoint.ts';
import { Vmid } from '../ids.ts';
import { couldNotAsk } from './refusals.ts';
import { DriveClass, nullable } from './values.ts';

export const GuestMount = Type.Object({
  /** Proxmox's configuration key: `rootfs`, `mp0`, `scsi1` and more */
  key: Type.String(),
  /** Proxmox's storage, or empty for a bind or device. */
  storage: Type.String(),
  /** The path inside a container; empty for a virtual machine's drive. */
  mount_point: Type.String(),
  class: DriveClass,
  /** vzdump includes it. */
  backup: Type.Boolean(),
});

export const GuestStorage = typed(
  Type.Object({
    vmid: Vmid,
    mounts: Type.Array(GuestMount),
    /** Age of the configuration that this was read from. */
    age_seconds: nullable(Type.Integer()),
  }),
);
export type GuestStorage = TypeOf<typeof GuestStorage>;
export type GuestMount = GuestStorage['mounts'][number];

export const getStorage = endpoint({
  method: 'GET',
  path: '/storage',
  access: 'disks:read',
  summary: "This guest's volumes and binds, and whether a backup includes each.",
  reply: GuestStorage,
  refusal: couldNotAsk,
});
