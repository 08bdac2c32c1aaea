/** The drives as they are now: one look at a time, kept for a few seconds, and answered in time whatever hangs. */
import type { Inventory } from './drive.ts';

export interface Current {
  /** Of the last seconds; rejects (`not-known`) only while nothing was ever found out. Answers within four seconds. */
  inventory(): Promise<{ inventory: Inventory; ageMs: number }>;
  /**
   * Looked at after this was called, for whoever acts on it; every drive in it has its record. `probe` names drives that are read
   * anew, though nothing was plugged in since. Rejects (`drive-not-answering`) when the look does not end in time.
   */
  fresh(probe?: readonly string[]): Promise<Inventory>;
}
