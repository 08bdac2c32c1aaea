/** Formats: work that goes on after its call was answered. */
import { Type } from 'typebox';
import { endpoint, type TypeOf, typed } from '../endpoint.ts';
import { Timestamp, Vmid } from '../ids.ts';
import { nullable } from './values.ts';

/** For what holds one. */
export const FormatJobFields = Type.Object({
  job_id: Type.String(),
  type: Type.Literal('format'),
  vmid: Vmid,
  /** The kernel's name of the whole drive when it began. */
  device: Type.String(),
  model: Type.String(),
  serial: Type.String(),
  size_bytes: nullable(Type.Integer()),
  fstype: Type.String(),
  /** `interrupted`: the agent, the power or the program ended before it did. Nothing goes on by itself; the drive holds nothing that can be used. */
  state: Type.Union([Type.Literal('running'), Type.Literal('done'), Type.Literal('failed'), Type.Literal('interrupted')]),
  /** What it is doing, or was when it ended. */
  phase: Type.String(),
  /** What permitted it: that the drive was blank, the customer's confirmation, the operator's signature. */
  permitted_by: Type.Union([Type.Literal('blank'), Type.Literal('confirmed'), Type.Literal('granted')]),
  /** The operation that was granted; empty for others. */
  op_id: Type.String(),
  started_at: Timestamp,
  finished_at: nullable(Timestamp),
  /** `uuid:<id>` of the new file system; empty until it is done. */
  durable_id: Type.String(),
  /** For people: why it failed or was interrupted, and what to do; empty otherwise. */
  error: Type.String(),
});
export const FormatJob = typed(FormatJobFields);
export type FormatJob = TypeOf<typeof FormatJob>;

export const getJob = endpoint({
  method: 'GET',
  path: '/jobs/{id}',
  access: 'disks:read',
  summary: "One of this guest's formats: how it goes, or how it ended.",
  params: typed(Type.Object({ id: Type.String({ minLength: 1, maxLength: 64 }) })),
  reply: FormatJob,
});
