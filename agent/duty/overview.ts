/** When each guest is backed up next, and why it waits. Pure. */
import type { Job } from '#agent/backups/jobs';
import type { Clock } from '#shared/clock';
import type { Look } from './looks.ts';
import type { Offer } from './slot.ts';

export interface GuestDuty {
  vmid: number;
  due: boolean;
  reason: string;
  /** Milliseconds since 1970; null: not known. */
  nextAt: number | null;
  lastGoodAt: number | null;
  failures: number;
  offeredUntil: number | null;
}
export interface DutyOverview {
  guests: GuestDuty[];
  /** Why no backup can be offered to anybody; empty where one can. */
  busy: string;
}

interface Facts {
  looks: readonly Look[];
  offer: Offer | null;
  running: readonly Job[];
  /** Why a guest that is due gets no offer now. */
  hindrance: (vmid: number) => string | null;
}

export const overviewOf = (
  { looks, offer, running, hindrance }: Facts,
  clock: Pick<Clock, 'now' | 'monotonic'>,
): DutyOverview => {
  const until = offer && clock.now() + offer.until - clock.monotonic();
  return {
    guests: looks.map(({ vmid, decision, lastGoodAt, attempts }) => ({
      vmid,
      due: decision.due,
      reason: (decision.due ? hindrance(vmid) : null) ?? decision.reason,
      nextAt: decision.due ? clock.now() : decision.nextAt,
      lastGoodAt,
      failures: attempts,
      offeredUntil: offer?.vmid === vmid ? until : null,
    })),
    busy: busyWith(running, offer),
  };
};

const busyWith = ([running]: readonly Job[], offer: Offer | null): string => {
  if (running) return `A backup of guest ${running.vmid} is running.`;
  return offer ? `The slot is offered to guest ${offer.vmid}.` : '';
};
