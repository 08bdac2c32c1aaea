/** Everything that can be wrong, as a closed table: a record's code, and how bad it is. */

/**
 * `critical`: data is not safe now, or will not be soon. `warning`: somebody should look within days. `notice`: nothing to do,
 * good to know.
 */
export type Severity = 'critical' | 'warning' | 'notice';

export const PROBLEMS = {
  // Whether backups happen.
  'backup-overdue': 'critical',
  'backup-failing': 'warning',
  'guest-absent': 'warning',
  'guest-elsewhere': 'notice',
  'guest-gone': 'critical',
  'guest-locked': 'warning',
  'guest-unreadable': 'critical',
  'schedule-unknown': 'warning',
  // What keeps one from starting.
  'pmxcfs-down': 'critical',
  'proxmox-unreachable': 'critical',
  'target-missing': 'critical',
  'target-inactive': 'critical',
  'target-not-mounted': 'critical',
  'target-read-only': 'critical',
  'target-full': 'critical',
  'thin-pool-full': 'critical',
  'guest-fuse': 'warning',
  'guest-mount-dead': 'warning',
  'guest-sync-slow': 'warning',
  'node-lock-busy': 'warning',
  'suspend-no-room': 'warning',
  // How a backup went.
  'log-format-unknown': 'warning',
  'freeze-long': 'warning',
  'app-not-consistent': 'warning',
  // Whether archives can be trusted.
  'archive-implausible': 'warning',
  'archive-damaged': 'critical',
  'verification-late': 'warning',
  'retention-stopped': 'warning',
  // Drives.
  'drive-contested': 'critical',
  'drive-failing': 'critical',
  'drive-missing': 'warning',
  'drive-mount-dead': 'warning',
  'drive-not-answering': 'critical',
  'drive-not-mounted': 'warning',
  'drive-seen-by-copy': 'warning',
  'drive-source-missing': 'warning',
  'drive-writes-off': 'critical',
  'format-interrupted': 'warning',
  'mount-point-unprotected': 'critical',
  'protect-unmatched': 'notice',
  // Operations that need a signature.
  'clock-doubtful': 'warning',
  'storage-out-of-use': 'warning',
} as const satisfies Record<string, Severity>;
export type ProblemCode = keyof typeof PROBLEMS;
