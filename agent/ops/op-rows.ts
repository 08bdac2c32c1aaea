/** Operations as rows of the database, and back. Pure. */
import type { Statement } from '../ports/store.ts';
import type { Op, Prepared } from './op.ts';

/** With what only the register needs. */
export interface KeptOp extends Op {
  /** The start of the host in which it was made, and when in it; ms. */
  bootId: string;
  createdMonotonic: number;
  /** Null while it is open. */
  closedAt: number | null;
}

export interface OpRow {
  id: string;
  op: 'storage_wipe';
  durable_id: string;
  nonce: Uint8Array;
  vmid: number;
  instance: string;
  drive: number;
  device: string;
  role: 'system' | 'backup';
  fstype: Op['fstype'];
  /** JSON of the drive as it was when it was asked for (durable-id.ts). */
  identity: string;
  boot_id: string;
  created_monotonic: number;
  created_at: number;
  expires_at: number;
  state: Op['state'];
  reason: string;
  closed_at: number | null;
  job_id: string;
  granted_by: string;
  prepared: string;
}

/** As they were made. */
export const SELECT_OPS = 'SELECT * FROM pending_ops ORDER BY rowid';

/** Not of the drive's record, which is another's when it was formatted. */
const factsOf = ({ identity }: OpRow): Pick<Op, 'model' | 'serial' | 'sizeBytes'> => {
  const { model, serial, sizeBytes } = JSON.parse(identity) as Pick<Op, 'model' | 'serial' | 'sizeBytes'>;
  return { model, serial, sizeBytes };
};

export const opOf = (row: OpRow): KeptOp => ({
  id: row.id,
  op: row.op,
  durableId: row.durable_id,
  nonce: Buffer.from(row.nonce),
  vmid: row.vmid,
  instance: row.instance,
  drive: row.drive,
  device: row.device,
  role: row.role,
  ...factsOf(row),
  fstype: row.fstype,
  createdAt: row.created_at,
  expiresAt: row.expires_at,
  state: row.state,
  reason: row.reason,
  jobId: row.job_id,
  grantedBy: row.granted_by,
  prepared: JSON.parse(row.prepared) as Prepared[],
  bootId: row.boot_id,
  createdMonotonic: row.created_monotonic,
  closedAt: row.closed_at,
});

/** @param identity the drive as it is (durable-id.ts) */
export const insertOp = (op: KeptOp, identity: string): Statement => ({
  sql: 'INSERT INTO pending_ops (id, op, durable_id, nonce, vmid, instance, drive, device, role, fstype, identity, boot_id, created_monotonic, created_at, expires_at, state) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
  values: [
    ...[op.id, op.op, op.durableId, op.nonce, op.vmid, op.instance, op.drive, op.device, op.role, op.fstype],
    ...[identity, op.bootId, op.createdMonotonic, op.createdAt, op.expiresAt, op.state],
  ],
});

const stateValues = ({ id, state, reason, closedAt, jobId, grantedBy }: KeptOp) => [
  ...[state, reason, closedAt, jobId, grantedBy],
  id,
];

const SET_STATE = 'UPDATE pending_ops SET state = ?, reason = ?, closed_at = ?, job_id = ?, granted_by = ? WHERE id = ?';

/** Of one that is over without a signature; what was granted meanwhile stays granted. */
export const closeOp = (op: KeptOp): Statement => ({ sql: `${SET_STATE} AND state = 'open'`, values: stateValues(op) });

export const grantOp = (op: KeptOp): Statement => ({ sql: SET_STATE, values: stateValues(op) });

export const updatePrepared = (id: string, prepared: readonly Prepared[]): Statement => ({
  sql: 'UPDATE pending_ops SET prepared = ? WHERE id = ?',
  values: [JSON.stringify(prepared), id],
});

export const deleteOp = (id: string): Statement => ({ sql: 'DELETE FROM pending_ops WHERE id = ?', values: [id] });
