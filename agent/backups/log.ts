/**
 * Reads vzdump's log of one guest's backup, a line at a time. Wording: pve-manager PVE/VZDump.pm, qemu-server and
 * pve-container PVE/VZDump/*.pm. What it does not know changes nothing, or takes a proof away.
 */
import type { GuestType } from '#agent/ports/proxmox';

export type Mode = 'snapshot' | 'suspend' | 'stop';

export interface LogFacts {
  /** Lines read so far. */
  lines: number;
  guest: GuestType | null;
  /** Whether the guest ran when the backup began. */
  running: boolean | null;
  /** As carried out: a snapshot may have become `suspend`. */
  mode: Mode | null;
  fellBack: boolean;
  /** Volumes that the archive contains. */
  volumes: number;
  /**
   * Whether the guest's file systems were quiet when the data was fixed. LXC: Proxmox froze and synced the container for the
   * snapshot. QEMU: the guest agent froze them. Anything unexpected in between makes it `failed`, for good.
   */
  freeze: 'none' | 'begun' | 'held' | 'failed';
  /** A backup provider or a virtual machine without disks: other lines tell the consistency point. */
  variant: 'usual' | 'provider' | 'diskless';
  /** The line (0 = first) that proves that the archive's data is fixed. */
  pointLine: number | null;
  /** Lines between which the guest stood still. */
  frozenFromLine: number | null;
  frozenToLine: number | null;
  /** In vzdump's own words; `<1` is 0. */
  frozenSeconds: number | null;
  /** 0–1, from the log's percentages only. */
  progress: number | null;
  etaSeconds: number | null;
  /** What vzdump creates: a file's name, or `ct/101/2026-11-21T22:00:00Z`. */
  archive: string;
  /** The first twenty of each. */
  errors: string[];
  warnings: string[];
  /** vzdump gave this guest up. */
  failed: boolean;
  lastLine: string;
}

export const NOTHING_READ: LogFacts = {
  lines: 0,
  guest: null,
  running: null,
  mode: null,
  fellBack: false,
  volumes: 0,
  freeze: 'none',
  variant: 'usual',
  pointLine: null,
  frozenFromLine: null,
  frozenToLine: null,
  frozenSeconds: null,
  progress: null,
  etaSeconds: null,
  archive: '',
  errors: [],
  warnings: [],
  failed: false,
  lastLine: '',
};

type Change = Partial<LogFacts>;
type Rule = [RegExp, (facts: LogFacts, groups: string[]) => Change];

/** The consistency point is this line, if the backup is of the kind that it proves it for. */
const point = (facts: LogFacts, kind: boolean): Change =>
  kind && facts.pointLine === null && facts.mode !== null && !facts.failed
    ? { pointLine: facts.lines, freeze: facts.freeze === 'begun' ? 'held' : facts.freeze }
    : {};

/** vzdump names the archive before QEMU begins; a hook script may say anything, but only before that (PVE/VZDump.pm). */
const isQemuAtWork = ({ guest, archive }: LogFacts) => guest === 'qemu' && archive !== '';
const isLxc = (facts: LogFacts, mode: Mode) => facts.guest === 'lxc' && facts.mode === mode;
/** A provider's point is told by what comes after it, and comes after a failure too. */
const providerHolds = (facts: LogFacts) => isQemuAtWork(facts) && facts.variant === 'provider' && facts.errors.length === 0;
const freezes = (facts: LogFacts): Change => ({ frozenFromLine: facts.lines });
const thaws = ({ frozenFromLine, frozenToLine, lines }: LogFacts): Change =>
  frozenFromLine === null ? {} : { frozenToLine: frozenToLine ?? lines };
const begins = (facts: LogFacts): Change => ({ freeze: facts.freeze === 'none' ? 'begun' : facts.freeze });

/** vzdump says it once of a guest; what a hook script says of it before or after changes nothing. */
const once = (facts: LogFacts, known: unknown, change: Change): Change => (facts.guest === null || known !== null ? {} : change);

/** The first rule that matches a line is the one that reads it. */
const RULES: readonly Rule[] = [
  [/^INFO: Starting Backup of VM \d+ \((lxc|qemu)\)$/, (_, [guest]) => ({ guest: guest === 'lxc' ? 'lxc' : 'qemu' })],
  [/^INFO: status = (running|stopped)$/, (facts, [status]) => once(facts, facts.running, { running: status === 'running' })],
  [/^INFO: trying '(?:suspend|stop)' mode instead$/, () => ({ fellBack: true, volumes: 0 })],
  [/^INFO: backup mode: (snapshot|suspend|stop)$/, (facts, [mode]) => once(facts, facts.mode, { mode: mode as Mode })],
  [/^INFO: including mount point \S+ \(.*\) in backup$/, (facts) => ({ volumes: facts.volumes + 1 })],
  [/^INFO: include disk '[^']+' '[^']+'/, (facts) => ({ volumes: facts.volumes + 1 })],

  // LXC, snapshot. Every such snapshot freezes and syncs the container; with one volume the log does not say so.
  [/^INFO: suspend vm to make snapshot$/, freezes],
  [
    /^INFO: create storage snapshot /,
    (facts) => (isLxc(facts, 'snapshot') ? { ...begins(facts), frozenFromLine: facts.frozenFromLine ?? facts.lines } : {}),
  ],
  // vzdump also writes this when it gives up; `ERROR: Backup of VM` follows then.
  [/^INFO: resume vm$/, (facts) => ({ ...thaws(facts), ...point(facts, isLxc(facts, 'snapshot') && facts.freeze !== 'none') })],
  [
    /^INFO: creating .+ archive '(.+)'$/,
    (facts, [target = '']) => {
      const snapshot = isLxc(facts, 'snapshot');
      const down = facts.running === false || facts.frozenFromLine !== null;
      const cut = (snapshot && facts.freeze !== 'none') || (isLxc(facts, 'stop') && down);
      const thaw = snapshot ? thaws(facts) : {};
      return { archive: target.slice(target.startsWith('/') ? target.lastIndexOf('/') + 1 : 0), ...thaw, ...point(facts, cut) };
    },
  ],

  // Suspend and stop, both kinds of guest.
  [/^INFO: (?:suspending guest|stopping virtual guest)$/, freezes],
  [/^INFO: final sync finished\b/, (facts) => point(facts, isLxc(facts, 'suspend') && facts.frozenFromLine !== null)],
  [/^INFO: resuming guest$/, thaws],
  [
    /^INFO: (?:guest is online again|resuming VM again) after (<?)(\d+) seconds?$/,
    (facts, [less, n]) => ({
      ...thaws(facts),
      ...point(facts, providerHolds(facts)),
      frozenSeconds: less ? 0 : Number(n),
    }),
  ],

  // QEMU. The thaw line comes earlier than the proof, and also when the backup could not be started.
  [/^INFO: issuing guest-agent 'fs-freeze' command$/, (facts) => ({ ...begins(facts), ...freezes(facts) })],
  [/^INFO: starting backup via QMP command$/, () => ({})],
  [/^INFO: setting up snapshot-access for backup$/, () => ({ variant: 'provider' })],
  [/^INFO: starting diskless backup$/, (facts) => ({ variant: 'diskless', ...point(facts, isQemuAtWork(facts)) })],
  [/^INFO: issuing guest-agent 'fs-thaw' command$/, thaws],
  [/^INFO: started backup task '/, (facts) => point(facts, isQemuAtWork(facts))],
  [/^INFO: (?:resuming VM again|starting NBD server\b.*)$/, (facts) => point(facts, providerHolds(facts))],
  [/^INFO: +(\d+(?:\.\d+)?)% \(.+ of .+\) in ([\dhms ]+),/, (_, [percent, elapsed]) => progress(Number(percent), elapsed ?? '')],

  [/^WARN: (.+)$/, (facts, [text = '']) => ({ warnings: added(facts.warnings, text) })],
  [
    /^ERROR: (?:Backup of VM \d+|Backup job) failed - (.+)$/,
    (facts, [text = '']) => ({
      failed: true,
      errors: added(facts.errors, text),
    }),
  ],
  [/^ERROR: (.+)$/, (facts, [text = '']) => ({ errors: added(facts.errors, text) })],
];

/** From the freeze to the proof only these may stand in the log; anything else may say that the freeze did not hold. */
const HARMLESS: Record<GuestType, readonly RegExp[]> = {
  // What storages print while they take a snapshot: LVM indents, btrfs and rbd name what they do.
  lxc: [/^INFO: /, /^\s/, /^Creat(?:e|ing) (?:a (?:readonly )?snap|snap)/],
  qemu: [
    /^INFO: starting backup via QMP command$/,
    /^INFO: setting up snapshot-access for backup$/,
    /^INFO: issuing guest-agent 'fs-(?:freeze|thaw)' command$/,
    /^INFO: started backup task '/,
    /^INFO: (?:resuming VM again|starting NBD server)/,
  ],
};

const doubted = (facts: LogFacts, line: string): Change => {
  if (facts.freeze !== 'begun' || facts.pointLine !== null || facts.guest === null) return {};
  return HARMLESS[facts.guest].some((pattern) => pattern.test(line)) ? {} : { freeze: 'failed' };
};

export const readLine = (facts: LogFacts, line: string): LogFacts => {
  let change: Change = {};
  for (const [pattern, read] of RULES) {
    const match = pattern.exec(line);
    if (!match) continue;
    change = read(facts, match.slice(1));
    break;
  }
  return { ...facts, ...doubted(facts, line), ...change, lines: facts.lines + 1, lastLine: line.slice(0, 500) };
};

export const readLog = (lines: readonly string[]): LogFacts => lines.reduce(readLine, NOTHING_READ);

const added = (texts: string[], text: string): string[] => (texts.length < 20 ? [...texts, text.slice(0, 500)] : texts);

const SECONDS = { h: 3600, m: 60, s: 1 } as const;

/** `1h 2m 3s` is what was needed for `percent`; the rest is taken to go at the same pace. */
const progress = (percent: number, elapsed: string): Change => {
  const parts = [...elapsed.matchAll(/(\d+)([hms])/g)];
  const seconds = parts.reduce((sum, [, count, unit]) => sum + Number(count) * SECONDS[unit as 'h' | 'm' | 's'], 0);
  const share = Math.min(percent / 100, 1);
  return { progress: share, etaSeconds: share > 0 ? Math.round((seconds * (1 - share)) / share) : null };
};
