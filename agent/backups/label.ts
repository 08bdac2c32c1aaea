/** What a finished archive's data can be trusted for: by what the log proved, and by the guest's word on its applications. */
import type { GuestType } from '#agent/ports/proxmox';
import type { Label } from '#shared/label';
import { archiveLabel } from '#shared/quiesce/table';
import type { Job } from './jobs.ts';
import type { LogFacts, Mode } from './log.ts';

interface Row {
  guest: GuestType;
  mode: Mode;
  running: boolean;
  /** Absent: does not matter. */
  freezeHeld?: boolean;
  label: Label;
}

/** What no row describes is `crash`. */
const TRUTH: readonly Row[] = [
  // Proxmox froze the container, synced its file systems and took all snapshots in that instant.
  { guest: 'lxc', mode: 'snapshot', running: true, freezeHeld: true, label: 'filesystem' },
  // Two rsync passes over living files; the second with the processes frozen, their memory unwritten.
  { guest: 'lxc', mode: 'suspend', running: true, label: 'crash' },
  // Shut down for the whole archive.
  { guest: 'lxc', mode: 'stop', running: true, label: 'stopped' },
  // It was not running, and the lock refuses a start.
  { guest: 'lxc', mode: 'stop', running: false, label: 'stopped' },
  // The guest agent flushed and froze the file systems until the point.
  { guest: 'qemu', mode: 'snapshot', running: true, freezeHeld: true, label: 'filesystem' },
  // Nothing flushed the guest's page cache, or nobody knows whether it was.
  { guest: 'qemu', mode: 'snapshot', running: true, freezeHeld: false, label: 'crash' },
  // The virtual processor stood still; its caches were not flushed.
  { guest: 'qemu', mode: 'suspend', running: true, label: 'crash' },
  // Shut down by its own system, then copied while it booted again.
  { guest: 'qemu', mode: 'stop', running: true, label: 'stopped' },
  // It was not running.
  { guest: 'qemu', mode: 'stop', running: false, label: 'stopped' },
];

type Facts = Pick<LogFacts, 'guest' | 'mode' | 'running' | 'freeze' | 'pointLine'>;

/** What the mode proves. Without a known consistency point nothing is claimed, whatever else the log says. */
export const labelOf = (facts: Facts): Label => {
  if (facts.pointLine === null) return 'crash';
  const row = TRUTH.find(
    (known) =>
      known.guest === facts.guest &&
      known.mode === facts.mode &&
      known.running === facts.running &&
      (known.freezeHeld ?? facts.freeze === 'held') === (facts.freeze === 'held'),
  );
  return row?.label ?? 'crash';
};

/** Nothing wrote while the data was fixed, so that all of it is of one instant; null as long as that is not known. */
export const isOneInstant = (facts: Facts): boolean | null => (facts.pointLine === null ? null : labelOf(facts) !== 'crash');

/** Only where applications can have been held until a moment that the log tells. */
export const mayBeApp = ({ guest, mode, running, pointLine }: Facts): boolean =>
  guest !== null && mode === 'snapshot' && running === true && pointLine !== null;

/** `app` is the guest's word, and it counts only where the log does not speak against it. */
export const fullLabelOf = (facts: Facts, { intends, heldApps }: Pick<Job, 'intends' | 'heldApps'>): Label =>
  archiveLabel(labelOf(facts), { snapshot: mayBeApp(facts), intends, claims: heldApps });
