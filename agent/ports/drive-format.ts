/** Starts drive-format, which outlives the agent: in a scope of systemd's where that is PID 1, else as a process group of its own. */
import type { FormatOrder, FormatState } from '../drive-format/protocol.ts';

export type { FormatFailure, FormatOrder, FormatState, Phase } from '../drive-format/protocol.ts';

/** It has the drive and has written nothing. */
export interface HeldDrive {
  /** Of the process: whoever looks for users of the drive leaves it out. */
  pid: number;
  /** Lets it begin; resolves when its state file says so. From then on only that file tells. */
  go(): Promise<void>;
  /** Ends it; nothing was written. */
  letGo(): Promise<void>;
}

export interface DriveFormat {
  /** Rejects (DriveFormatError) where the drive cannot be had, or is not the one that is meant. */
  hold(order: Omit<FormatOrder, 'stateFile'>): Promise<HeldDrive>;
  /** What the state file of a job says, and whether its process is there; null: it was never made. */
  state(jobId: string): Promise<{ state: FormatState; alive: boolean } | null>;
  /** The file of a job whose end is recorded elsewhere. */
  forget(jobId: string): Promise<void>;
  /** Why this host cannot make one of these; empty where it can: `mkfs.xfs is not installed (package xfsprogs).` */
  missing(fstype: FormatOrder['fstype']): Promise<string>;
}
