/** A format: what is asked for, what permits it, and what becomes of it. Types only. */
import type { Filesystem } from '../../config.ts';
import type { Statement } from '../../ports/store.ts';
import type { Drive, Inventory, Owner } from '../inventory/drive.ts';

/** Of which drive, for whom, and what is made on it. */
export interface Wish {
  vmid: number;
  /** Finds the drive in an inventory of this moment; throws the refusal where it is not there, or is no whole drive. */
  find: (inventory: Inventory) => Drive;
  fstype: Filesystem;
  /** `durable_id` of the request, so that the same request joins; '' where it had none. */
  askedId: string;
}

/** What permits the erasing, decided over the drive as it is while it is locked. */
export interface Permission {
  by: 'blank' | 'confirmed' | 'granted';
  /** The confirmed or granted id; '' for a blank drive. */
  boundId: string;
  /** '' where no operation was granted. */
  opId: string;
  /** Whose the drive becomes. */
  owner: Owner;
  /** Written with the job's row, all or nothing: what is used up by it, and the audit. */
  statements: (jobId: string) => readonly Statement[];
  /** Runs when those are durable and before the first byte is written; throws and nothing is written to the drive. */
  beforeWriting: () => Promise<void>;
}

export interface FormatJob {
  jobId: string;
  vmid: number;
  /** Of the record that the drive had when it began. */
  drive: number;
  device: string;
  model: string;
  serial: string;
  sizeBytes: number | null;
  fstype: Filesystem;
  permittedBy: Permission['by'];
  askedId: string;
  boundId: string;
  opId: string;
  state: 'running' | 'done' | 'failed' | 'interrupted';
  phase: string;
  /** Of the new file system; '' until it is done. */
  uuid: string;
  error: string;
  startedAt: number;
  finishedAt: number | null;
}

export interface Formatting {
  /**
   * Locks the drive, looks at it anew and asks `permit` with what is found; then begins to write. Resolves when writing has begun (the
   * job is durable); rejects (FelhomError) with nothing written to the drive. `permit` throws to refuse.
   */
  begin(wish: Wish, permit: (drive: Drive) => Promise<Permission>): Promise<FormatJob>;
  /** Resolves when the job has ended, or after `ms`; with the job as it is then. */
  wait(jobId: string, ms: number): Promise<FormatJob>;
  job(jobId: string): FormatJob | null;
  jobs(): readonly FormatJob[];
  onChange(listener: (job: FormatJob) => void): void;
}
