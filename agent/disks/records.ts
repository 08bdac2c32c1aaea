/** What the database keeps of drives, as every reader finds it: in memory, and durable before it is acted upon. */
import type { Assignment } from './assignment.ts';
import type { DriveRecord, Inventory, Owner } from './drive.ts';

/** In whose name a record is changed, for the audit. */
export type Who = 'root' | 'agent' | `guest ${number}`;

/** Whatever changes something resolves when it is durable, and rejects (`StoreError`) with nothing changed. */
export interface Records {
  /** Every drive ever seen. */
  drives(): readonly DriveRecord[];
  assignments(): readonly Assignment[];
  /** Remembers what an inventory shows: new drives, new keys, newly lasting roles. Writes nothing where nothing is new. */
  note(inventory: Inventory): Promise<void>;
  /** Null: nobody's. */
  setOwner(drive: number, owner: Owner | null, who: Who): Promise<void>;
  /** Forgets the remembered role. */
  demote(drive: number): Promise<void>;
  /** Adds a row, or replaces the one of the same mount point. */
  saveAssignment(assignment: Assignment): Promise<void>;
  setAssignmentState(mountPoint: string, state: Assignment['state']): Promise<void>;
  removeAssignment(mountPoint: string): Promise<void>;
  /** The newest whole reading of a drive's own health, as JSON. */
  saveSmart(drive: number, json: string): Promise<void>;
  smart(): ReadonlyMap<number, string>;
}
