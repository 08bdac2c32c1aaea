/**
 * What a client in the field makes of the answers about drives: DESIGN.md section 1, "How those clients judge an answer", and nothing
 * kinder. It decodes `data` into fields of its own, so that whatever is missing is false, 0 or empty.
 */
import type { Answer } from './client.ts';

export type Judged =
  | { kind: 'shown'; data: Record<string, unknown> }
  /** All that a person reads. */
  | { kind: 'error'; text: string };

/** A GET that is not 200 shows only its number; `ok: false` in a 200 shows its sentence. So do assign and eject. */
export const judgeCall = ({ status, json }: Answer): Judged => {
  if (status !== 200) return { kind: 'error', text: `HTTP ${status}` };
  return json.ok === true ? { kind: 'shown', data: json.data } : { kind: 'error', text: json.error };
};

export interface PendingOp {
  op: string;
  host_scope: string;
  durable_id: string;
  fstype: string;
}

export type JudgedFormat =
  | { kind: 'formatted' }
  | { kind: 'under-way' }
  | { kind: 'refused'; reason: string }
  | { kind: 'needs-confirmation'; durableId: string }
  | { kind: 'needs-operator'; command: string }
  /** It goes on as if the drive were formatted, or ends in a panic. */
  | { kind: 'mistaken'; how: string };

// biome-ignore lint/suspicious/noExplicitAny: what came over the wire
const word = (value: any): string => (typeof value === 'string' ? value : '');

const judgeForbidden = (data: Record<string, unknown>): JudgedFormat => {
  if (data.needs_confirmation === true)
    return word(data.durable_id) === ''
      ? { kind: 'mistaken', how: 'a confirmation without an id' }
      : { kind: 'needs-confirmation', durableId: word(data.durable_id) };
  const pending = data.pending_op as PendingOp | null | undefined;
  if (pending === null || pending === undefined)
    return { kind: 'mistaken', how: 'it needs the operator, and there is no operation' };
  const { op, host_scope, durable_id, fstype } = pending;
  if ([op, host_scope, durable_id, fstype].some((one) => word(one) === '')) return { kind: 'mistaken', how: 'half an operation' };
  return { kind: 'needs-operator', command: `felhom-opsign -op ${op} -host ${host_scope} -durable-id ${durable_id}` };
};

/** Reads `data` at any status, and takes it for what it says: a drive without data is one that can be used. */
export const judgeFormat = ({ status, json }: Answer): JudgedFormat => {
  const data: Record<string, unknown> = json.data ?? {};
  if (status === 403) return judgeForbidden(data);
  if (data.formatted === true) return { kind: 'formatted' };
  if (data.data_bearing === true) return { kind: 'refused', reason: word(data.reason) };
  return status === 202 ? { kind: 'under-way' } : { kind: 'mistaken', how: `HTTP ${status} says that it is empty` };
};
