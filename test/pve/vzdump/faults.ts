/** What a test may make go wrong in backups. */

/** A substring or a pattern that a line of the task log meets; compared before `unknownWording` changes it. */
export type LineMatch = string | RegExp;

/** Plain fields, read whenever they matter. Each holds for every run until it is set to `undefined` again (`clearFaults` does all). */
export interface VzdumpFaults {
  /** The guest fails in the middle of the copy: `ERROR: Backup of VM N failed - <text>`. Without `vmid`, every guest. */
  fail?: { text: string; vmid?: number } | undefined;
  /** So many `WARN:` lines a guest: the task ends in `WARNINGS: n`. */
  warn?: number | undefined;
  /** Containers fall back from snapshot to suspend mode, whatever their storage can. */
  suspend?: boolean | undefined;
  /** The worker stops after writing this line, until the field is cleared or the task is stopped. */
  hang?: LineMatch | undefined;
  /** The worker is killed (SIGKILL) after writing this line: no TASK line; `lock: backup`, the `vzdump` snapshot and the `.dat` stay. */
  dieAt?: LineMatch | undefined;
  /** As `dieAt`, and nothing remembers the task: it leaves the node's list and its log file is gone. */
  lose?: LineMatch | undefined;
  /** How long the copy takes at least. */
  copyMs?: number | undefined;
  /**
   * The disks of a VM that nothing freezes are fixed one after the other with so much time between them, as QEMU drains drive
   * after drive. A frozen guest writes nothing meanwhile, so a container and a VM whose agent answers are fixed in one instant.
   */
  cutGapMs?: number | undefined;
  /** Called right after a line stands in the task's log file; `atMs` is `Date.now()`. */
  onLine?: ((line: string, atMs: number) => void) | undefined;
  /** What is written in place of each line: a version of Proxmox whose words nobody knows. */
  unknownWording?: ((line: string) => string) | undefined;
}

export const clearFaults = (faults: VzdumpFaults): void => {
  for (const name of Object.keys(faults) as (keyof VzdumpFaults)[]) delete faults[name];
};

export const meets = (line: string, match: LineMatch | undefined): boolean =>
  match !== undefined && (typeof match === 'string' ? line.includes(match) : match.test(line));
