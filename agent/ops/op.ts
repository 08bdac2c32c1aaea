/** An operation that only the operator's signature permits. Types only. */
import type { Filesystem } from '../config.ts';
import type { FormatJob } from '../disks/format/format.ts';
import type { Drive } from '../disks/inventory/drive.ts';

export interface Op {
  /** `op-` and 12 characters of Crockford's base32. */
  id: string;
  op: 'storage_wipe';
  durableId: string;
  nonce: Buffer;
  vmid: number;
  /** Of the guest that asked (guests' instance.ts): another one under its number is not given the drive. */
  instance: string;
  /** Of the drive's record. */
  drive: number;
  /** The kernel's name when it was asked for, for people. */
  device: string;
  role: 'system' | 'backup';
  model: string;
  serial: string;
  sizeBytes: number | null;
  fstype: Filesystem;
  createdAt: number;
  expiresAt: number;
  state: 'open' | 'granted' | 'expired' | 'closed';
  reason: string;
  jobId: string;
  grantedBy: string;
  prepared: readonly Prepared[];
}

/** One thing that `ops prepare` did, with what undoes it. */
export type Prepared =
  | { kind: 'storage-disabled'; storage: string }
  | { kind: 'job-disabled'; job: string }
  | { kind: 'unmounted'; point: string; source: string; fstype: string; options: string; unit: string };

/** Takes a drive out of use so that its wipe can be granted, and puts it back (prepare.ts). */
export interface Prepare {
  /** All that is done by now, also where it failed half-way: then it rejects after it wrote that down (`setPrepared`). */
  prepare(op: Op): Promise<readonly Prepared[]>;
  undo(op: Op): Promise<readonly Prepared[]>;
  /** For people. */
  sentences(prepared: readonly Prepared[]): string[];
  /** What would use the drive again, or expects it to be there, each a sentence; empty: it may be wiped. */
  obstacles(drive: Drive): Promise<string[]>;
}

export interface Ops {
  /**
   * The operation that permits it, made where there is none: the same guest that asks the same of the same drive, unchanged, gets the same
   * one until it expires. Durable when it resolves. Rejects (FelhomError) where there are too many, or grants are off.
   */
  open(drive: Drive, wish: { vmid: number; fstype: Filesystem }): Promise<Op>;
  /** All that are on record, newest first: open ones, those of the last week, and all that were granted. */
  list(): readonly Op[];
  find(id: string): Op | null;
  /** Accepts a signature and begins; rejects (FelhomError) with the reason, and then nothing was used up unless the sentence says so. */
  grant(text: string, carrier: 'root' | `guest ${number}`, opId?: string): Promise<FormatJob>;
  /** What `ops prepare` did or undid, durable. */
  setPrepared(id: string, prepared: readonly Prepared[]): Promise<void>;
  /** Told of every operation that came, was granted or is over. */
  onChange(listener: (op: Op) => void): void;
}
