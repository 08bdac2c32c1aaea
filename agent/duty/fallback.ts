/** The agent's own hand: it looks after the first of the queue, and backs up whoever is not waited for. */
import type { GuestResource } from '#agent/ports/proxmox';
import type { Checks } from './checks.ts';
import { createStillCurrent } from './current.ts';
import type { Looks } from './looks.ts';
import type { DutyPorts } from './ports.ts';
import type { Slot } from './slot.ts';
import type { Starts } from './starts.ts';
import type { Turns } from './turns.ts';

const STATUSES_MS = 60_000;
/** A first guest that has not asked yet is checked again after this. */
const IDLE_CHECK_MS = 5 * 60_000;

export type Statuses = ReturnType<typeof createStatuses>;

/** Which guests run: asked once a minute at most, while somebody waits for the slot. */
export const createStatuses = ({ proxmox, clock }: Pick<DutyPorts, 'proxmox' | 'clock'>) => {
  let statuses = new Map<number, GuestResource['status']>();
  let askedAt = Number.NEGATIVE_INFINITY;
  return {
    of: (vmid: number): GuestResource['status'] => statuses.get(vmid) ?? 'unknown',
    note: ({ vmid, status }: GuestResource): void => void statuses.set(vmid, status),
    expire: (): void => {
      askedAt = Number.NEGATIVE_INFINITY;
    },
    refresh: async (): Promise<void> => {
      if (clock.monotonic() - askedAt < STATUSES_MS) return;
      askedAt = clock.monotonic();
      const { guests } = await proxmox.resources().catch(() => ({ guests: [] as GuestResource[] }));
      if (guests.length > 0) statuses = new Map(guests.map(({ vmid, status }) => [vmid, status]));
    },
  };
};

export interface FallbackParts extends Pick<DutyPorts, 'proxmox' | 'archives' | 'backups' | 'clock' | 'journal'> {
  looks: Pick<Looks, 'foundCurrent'>;
  checks: Pick<Checks, 'run' | 'refusal' | 'isRefusalOld' | 'agoMs'>;
  slot: Pick<Slot, 'offer' | 'suspendTurn'>;
  turns: Turns;
  statuses: Statuses;
  starts: Pick<Starts, 'fallBack'>;
}

export const createFallback = (parts: FallbackParts) => {
  const { backups, journal, looks, checks, slot, turns, statuses, starts } = parts;
  const isStillCurrent = createStillCurrent(parts);

  /** One whose refusal may have ended: who was not asked for longest, so that each comes round, however many are refused. */
  const askAgain = async (): Promise<void> => {
    const refused = turns.dueInOrder().filter(({ vmid }) => checks.refusal(vmid) !== null && checks.isRefusalOld(vmid));
    const [next] = refused.sort((a, b) => checks.agoMs(b.vmid) - checks.agoMs(a.vmid));
    if (next !== undefined) await checks.run(next.vmid);
  };

  return async (): Promise<void> => {
    if (backups.running().length > 0) return slot.suspendTurn();
    if (slot.offer() !== null) return;
    await askAgain();
    if (turns.queue().length === 0) return;
    await statuses.refresh();
    const head = turns.first();
    if (head === undefined || (turns.ripe(head) === null && checks.agoMs(head.vmid) < IDLE_CHECK_MS)) return;
    const verdict = await checks.run(head.vmid);
    if (!verdict.ok) return;
    statuses.note(verdict.guest);
    const why = turns.ripe(head);
    if (why === null || turns.queue()[0]?.vmid !== head.vmid) return;
    if (!(await isStillCurrent(verdict, head.record))) return starts.fallBack(verdict, why);
    journal('info', 'A stopped guest is still as its last archive has it, so no backup is made.', { vmid: head.vmid });
    looks.foundCurrent(head.vmid, head.record);
  };
};
