/** What drive-format and the agent say to each other. Types only. */

/** How far it is, in this order. From `wiping` on something has been written. */
export const PHASES = ['opening', 'holding', 'wiping', 'partitioning', 'making', 'checking', 'ended'] as const;
export type Phase = (typeof PHASES)[number];

/** All that it is told, as its one argument, JSON. */
export interface FormatOrder {
  jobId: string;
  /** `/dev/sdb` */
  device: string;
  /** `8:16` and the kernel's sequence number, as they were when it was decided; anything else is refused. */
  numbers: string;
  diskseq: number;
  sizeBytes: number;
  fstype: 'ext4' | 'xfs' | 'btrfs' | 'exfat';
  /** Of the new file system's root directory. */
  root: { uid: number; gid: number };
  /** Where it writes down how far it is (FormatState), durably. */
  stateFile: string;
}

/** On stdout, a line of JSON each; after `go` nobody may be listening. */
export type FormatLine =
  /** Opened, locked, and had for itself alone. It now waits for `go` on stdin; at the end of stdin it ends and has written nothing. */
  | { held: true }
  /** It has heard `go`, and its state file says so; nothing had been written before. */
  | { begun: true }
  /** Nothing was written. */
  | { failed: { code: FormatFailure; why: string } };

/** `changed`: not the drive that was meant. `busy`: somebody has it. `locked`: udev or another holds its lock. */
export type FormatFailure = 'changed' | 'busy' | 'locked' | 'io' | 'mkfs' | 'leftovers' | 'internal';

/**
 * The state file, there from `holding` on and replaced whole at each phase: what the agent follows, also after its own restart. Where the
 * drive is let go it is removed.
 */
export interface FormatState {
  jobId: string;
  /** Of the program; with its start time (proc_pid_stat(5), field 22) nobody else is taken for it. */
  pid: number;
  startTime: string;
  bootId: string;
  phase: Phase;
  /** Null until it has ended. */
  outcome:
    | { ok: true; uuid: string /** `/dev/sdb1` */; partition: string }
    | { ok: false; code: FormatFailure; why: string }
    | null;
}
