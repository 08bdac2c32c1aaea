/** Operations that only the operator's signature permits: what guests see of theirs, and how they carry a signature. */
import { Type } from 'typebox';
import { endpoint, type TypeOf, typed } from '../endpoint.ts';
import { Timestamp, Vmid } from '../ids.ts';
import { FormatJob } from './jobs.ts';
import { couldNotAsk } from './refusals.ts';
import { nullable } from './values.ts';

export const Op = Type.Object({
  id: Type.String(),
  op: Type.Literal('storage_wipe'),
  /** The guest that asked; the drive becomes its own. */
  vmid: Vmid,
  host_scope: Type.String(),
  durable_id: Type.String(),
  fstype: Type.String(),
  device: Type.String(),
  role: Type.Union([Type.Literal('system'), Type.Literal('backup')]),
  model: Type.String(),
  serial: Type.String(),
  size_bytes: nullable(Type.Integer()),
  /** `open`: waits for a signature. `granted`: a signature was accepted, `job_id` tells how it went. `closed`: see `reason`. */
  state: Type.Union([Type.Literal('open'), Type.Literal('granted'), Type.Literal('expired'), Type.Literal('closed')]),
  reason: Type.String(),
  created_at: Timestamp,
  expires_at: Timestamp,
  job_id: Type.String(),
  /** The command that signs it, for a person to type on the machine with the key. */
  sign_command: Type.String(),
});
export type Op = TypeOf<typeof OpShape>;
const OpShape = typed(Op);

export const listOps = endpoint({
  method: 'GET',
  path: '/ops',
  access: 'disks:read',
  summary: "This guest's operations that wait for the operator's signature, and those of the last week.",
  reply: typed(Type.Object({ vmid: Vmid, ops: Type.Array(Op) })),
  refusal: couldNotAsk,
});

/** Longer than any that is accepted, so that whoever sends too much hears why. */
export const GrantText = Type.String({ minLength: 1, maxLength: 8192 });

export const grantOp = endpoint({
  method: 'POST',
  path: '/ops/{id}/grant',
  access: 'disks:manage',
  summary: "Carries the operator's signature for one operation; it is executed once.",
  params: typed(Type.Object({ id: Type.String({ minLength: 1, maxLength: 64 }) })),
  body: typed(Type.Object({ grant: GrantText })),
  reply: FormatJob,
  isUnderWay: ({ state }) => state === 'running',
});
