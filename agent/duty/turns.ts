/** Whose turn the slot is, and what whoever has to wait is told. From memory. */
import type { GuestResource } from '#agent/ports/proxmox';
import type { Checks } from './checks.ts';
import type { Look, Looks } from './looks.ts';
import type { Patience } from './patience.ts';
import type { DutyBackups } from './ports.ts';
import { inOrder } from './queue.ts';
import type { Slot } from './slot.ts';

export const ELSEWHERE = "Another guest's backup is running on this host.";
export const OTHERS_TURN = "Another guest's backup comes first on this host.";

export interface TurnParts {
  looks: Pick<Looks, 'all' | 'of'>;
  checks: Pick<Checks, 'refusal'>;
  slot: Slot;
  patience: Pick<Patience, 'waitedMs' | 'isSilent' | 'isAsking'>;
  backups: Pick<DutyBackups, 'running'>;
  status: (vmid: number) => GuestResource['status'];
}

export type Turns = ReturnType<typeof createTurns>;

export const createTurns = ({ looks, checks, slot, patience, backups, status }: TurnParts) => {
  /** Those that are due, first one first. */
  const dueInOrder = (): Look[] => {
    const waiting = looks.all().flatMap((look) => {
      const { vmid, decision, lastGoodAt } = look;
      if (!decision.due) return [];
      const { since, kind } = decision;
      const facts = { vmid, since, dataOf: lastGoodAt ?? Number.NEGATIVE_INFINITY, retry: kind === 'retry' };
      return [{ look, ...facts, stopped: status(vmid) === 'stopped', lapsed: slot.isLapsed(vmid) }];
    });
    return inOrder(waiting).map(({ look }) => look);
  };
  /** Those of them that could start, as far as is known. */
  const queue = (): Look[] => dueInOrder().filter(({ vmid }) => checks.refusal(vmid) === null);

  /** It had its time to take the backup. */
  const isGivenUp = ({ vmid, rules }: Pick<Look, 'vmid' | 'rules'>): boolean => patience.waitedMs(vmid) >= rules.fallbackAfterMs;

  const hindranceOfDue = ({ vmid, rules }: Look): string | null => {
    if (backups.running().length > 0) return ELSEWHERE;
    const offer = slot.offer();
    if (offer !== null && offer.vmid !== vmid) return OTHERS_TURN;
    // Also of its own offer: applications are not held for what would be refused.
    const refusal = checks.refusal(vmid);
    if (refusal !== null) return refusal.sentence;
    if (offer !== null) return null;
    if (isGivenUp({ vmid, rules })) return 'The host makes this backup by itself, because it was not taken in time.';
    return queue()[0]?.vmid === vmid ? null : OTHERS_TURN;
  };

  /** Why the guest is not waited for; null while it is. */
  const ripe = (look: Look): string | null => {
    if (status(look.vmid) === 'stopped') return 'It is not running.';
    if (patience.isSilent(look.vmid)) return 'Its controller is silent.';
    return isGivenUp(look) ? 'Its controller did not take the offer.' : null;
  };

  return {
    dueInOrder,
    queue,
    ripe,
    /** Somebody could start now, and will: a controller that asks, or the agent itself. */
    isAnyWaiting: (): boolean => queue().some((look) => patience.isAsking(look.vmid) || ripe(look) !== null),
    /** The first of the queue, unless it has just let its turn pass. */
    first: (): Look | undefined => {
      const [head] = queue();
      return head && slot.turnOf(head.vmid) ? queue()[0] : head;
    },
    /** Why this guest gets no offer now; null where it has one, or gets one as soon as it is checked. */
    hindrance: (vmid: number): string | null => {
      if (backups.running().some((job) => job.vmid === vmid)) return 'A backup of this guest is running.';
      const look = looks.of(vmid);
      return look.decision.due ? hindranceOfDue(look) : look.decision.reason;
    },
  };
};
