/** What a customer is told of a backup that failed. No paths and no raw output: those go to the journal. */
import type { ProxmoxError } from '#agent/ports/proxmox';
import type { LogFacts } from './log.ts';

export const TASK_LOST = 'Proxmox no longer knows the task of this backup (task-lost), so it does not count as done.';
export const NEVER_STARTED = 'The backup was never started: Proxmox did not confirm it, and no task of it appeared.';
export const ARCHIVE_MISSING = 'Proxmox says that the backup is done, but its archive is not in the backup storage.';
export const LISTING_UNKNOWN = 'The backup storage could not be asked whether the archive is there.';
export const LOG_UNREADABLE = "The backup's log could not be read to its end, so less is known about the archive than usual.";
export const LOG_UNKNOWN =
  "Proxmox's log of this backup has words that felhom does not know, so the archive's consistency is not proved.";
/** By why a job was stopped. */
export const STOPPED = {
  cancelled: "The backup was stopped by this host's operator.",
  preempted: 'The backup was stopped by felhom, because somebody wanted to start this guest.',
} as const;
const OTHER = "The backup failed on the host; the host's journal says why.";

/** The first that matches what Proxmox said. */
const FAILURES: readonly [RegExp, string][] = [
  [/can't acquire lock/i, 'Another backup is running on this host, so this one was not started.'],
  [/(?:VM|CT) is locked/, 'Proxmox has locked this guest: another operation on it is running, or one was interrupted.'],
  [/unable to find (?:VM|CT)|guest not on this node|Configuration file .* does not exist/, 'This guest is not on this host.'],
  [/wrong content type/, 'The backup storage is not set up to hold backups.'],
  [/permission/i, 'Proxmox refused felhom a right that the backup needs.'],
  [/no space left|disk quota exceeded|not enough (?:free )?space/i, 'The backup storage is full.'],
  [/max backup limit/, 'The backup storage holds as many backups as its own rules allow.'],
  [
    /storage '[^']*' (?:does not exist|is (?:disabled|not (?:online|available|active)))|could not (?:get|activate) storage|not mounted|unable to activate storage/i,
    'The backup storage is not available.',
  ],
  [
    /got unexpected control message|interrupted by signal|got signal|received interrupt|^aborted/i,
    'The backup was interrupted on the host.',
  ],
  [/timeout|timed out/i, 'A step of the backup took too long, so Proxmox gave it up.'],
  [/^unexpected status$/, 'The backup was interrupted: its task ended without a result.'],
];

const match = (texts: readonly string[]): string | undefined =>
  FAILURES.find(([pattern]) => texts.some((text) => pattern.test(text)))?.[1];

/** A task that ended badly: the log's errors say more than `job errors`. */
export const failureSentence = (facts: Pick<LogFacts, 'errors'>, exitstatus: string): string =>
  match(facts.errors) ?? match([exitstatus]) ?? OTHER;

/** Proxmox refused to start it at all. */
export const refusalSentence = (error: ProxmoxError): string => {
  if (error.code === 'proxmox-unreachable') return 'Proxmox did not answer on this host, so the backup was not started.';
  if (error.code === 'proxmox-permission') return 'Proxmox refused felhom a right that the backup needs.';
  return match([error.message]) ?? 'Proxmox refused to start the backup.';
};

/** Proxmox's own warning with what looks like a path taken out. */
export const warningForGuest = (text: string): string => text.replaceAll(/(^|[\s'"(=:,])\/[^\s'"),]+/g, '$1…').slice(0, 300);
