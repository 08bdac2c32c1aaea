/** What a script is made of: lines of the log and the moments between them at which something happens. Data only. */

/** What only the run knows; lines that name it are functions of it. */
export interface Measured {
  /** Milliseconds since 1970. */
  now: number;
  /** Seconds since the guest's backup started. */
  elapsedSeconds: number;
  /** Seconds for which the guest was stopped or frozen. */
  offlineSeconds: number;
  firstSyncBytes: number;
  firstSyncSeconds: number;
  finalSyncBytes: number;
  finalSyncSeconds: number;
  /** The tar stream, before compression. */
  tarBytes: number;
  copyMs: number;
  archiveBytes: number;
  /** Volume ids of the archives that retention removed. */
  pruned: string[];
}

export type Effect =
  | 'lock'
  | 'unlock'
  | 'remove old snapshot'
  | 'snapshot'
  | 'delete snapshot'
  | 'first sync'
  | 'cut'
  | 'suspend'
  | 'resume'
  | 'stop'
  | 'start'
  | 'start paused'
  | 'stop paused'
  | 'copy'
  | 'finish'
  | 'notes'
  | 'protect'
  | 'prune';

/** Steps of a cleanup that apply only when the run has come so far. */
export type Condition = 'snapshotted' | 'suspended' | 'was suspended' | 'stopped' | 'started paused';

export type Step =
  | { line: string | ((m: Measured) => string | string[]) /** Not in the guest's own log. */; jobOnly?: true }
  | { effect: Effect }
  /** All of them or none: the condition is looked at once. */
  | { when: Condition; steps: readonly Step[] };

export interface Script {
  body: Step[];
  /** After the body, and after its failure. */
  cleanup: Step[];
  /** Before the cleanup of a guest that failed. */
  failed: (text: string) => Step[];
  /** The lines of a QEMU copy on its way. */
  progress?: (percent: number, seconds: number) => string;
}

export const info = (text: string): Step => ({ line: `INFO: ${text}` });

/** A line with something measured. */
export const told = (text: (m: Measured) => string): Step => ({ line: (m) => `INFO: ${text(m)}` });

export const effect = (name: Effect): Step => ({ effect: name });

export const when = (condition: Condition, steps: readonly Step[]): Step => ({ when: condition, steps });

export const online = (m: Measured): string =>
  `guest is online again after ${m.offlineSeconds < 1 ? '<1' : m.offlineSeconds} seconds`;
