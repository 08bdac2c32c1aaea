/** Formats as rows of the database, and back. Pure. */
import type { Statement } from '../../ports/store.ts';
import type { Drive, Identity, Owner, Role } from '../inventory/drive.ts';
import type { FormatJob } from './format.ts';

/** The drive as it was before. */
export interface Before {
  role: Role;
  diskseq: number;
  identity: Pick<Identity, 'model' | 'serial' | 'sizeBytes' | 'busPath'>;
  /** Of its record. */
  keys: readonly string[];
}

/** With what only the agent needs of it. */
export interface KeptJob extends FormatJob {
  bootId: string;
  before: Before;
  /** Whose the drive becomes. */
  owner: Owner;
}

export interface FormatRow {
  job_id: string;
  vmid: number;
  drive: number;
  device: string;
  model: string;
  serial: string;
  size_bytes: number | null;
  fstype: FormatJob['fstype'];
  permitted_by: FormatJob['permittedBy'];
  asked_id: string;
  bound_id: string;
  op_id: string;
  identity: string;
  owner: string;
  boot_id: string;
  state: FormatJob['state'];
  phase: string;
  uuid: string;
  error: string;
  started_at: number;
  finished_at: number | null;
}

export const jobOf = (row: FormatRow): KeptJob => ({
  jobId: row.job_id,
  vmid: row.vmid,
  drive: row.drive,
  device: row.device,
  model: row.model,
  serial: row.serial,
  sizeBytes: row.size_bytes,
  fstype: row.fstype,
  permittedBy: row.permitted_by,
  askedId: row.asked_id,
  boundId: row.bound_id,
  opId: row.op_id,
  before: JSON.parse(row.identity) as Before,
  owner: JSON.parse(row.owner) as Owner,
  bootId: row.boot_id,
  state: row.state,
  phase: row.phase,
  uuid: row.uuid,
  error: row.error,
  startedAt: row.started_at,
  finishedAt: row.finished_at,
});

export const insertJob = (job: KeptJob): Statement => ({
  sql: `INSERT INTO formats (job_id, vmid, drive, device, model, serial, size_bytes, fstype, permitted_by, asked_id, bound_id, op_id,
    identity, owner, boot_id, state, phase, started_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  values: [
    ...[job.jobId, job.vmid, job.drive, job.device, job.model, job.serial, job.sizeBytes, job.fstype, job.permittedBy],
    ...[job.askedId, job.boundId, job.opId, JSON.stringify(job.before), JSON.stringify(job.owner), job.bootId],
    ...[job.state, job.phase, job.startedAt],
  ],
});

export const endJob = ({ jobId, state, phase, uuid, error, finishedAt }: KeptJob): Statement => ({
  sql: 'UPDATE formats SET state = ?, phase = ?, uuid = ?, error = ?, finished_at = ? WHERE job_id = ?',
  values: [state, phase, uuid, error, finishedAt, jobId],
});

/** @param keys of its record */
export const beforeOf = ({ role, identity }: Drive, diskseq: number, keys: readonly string[]): Before => {
  const { model, serial, sizeBytes, busPath } = identity;
  return { role, diskseq, identity: { model, serial, sizeBytes, busPath }, keys };
};
