/** The node's one backup slot while no backup runs: whose turn it is, and to whom it is offered. On the monotonic clock. */

import type { Clock } from '#shared/clock';
import type { Passed } from './checks.ts';

export interface Offer {
  vmid: number;
  verdict: Passed;
  /** By the monotonic clock. */
  until: number;
}

export type Slot = ReturnType<typeof createSlot>;

const OFFER_MS = 180_000;
const LAPSED_MS = 30 * 60_000;

export const createSlot = (clock: Pick<Clock, 'monotonic'>) => {
  let offer: Offer | null = null;
  /** Who may ask for the offer. A turn that is not used is over like an offer that is not taken. */
  let turn: { vmid: number; until: number } | null = null;
  const lapsedUntil = new Map<number, number>();

  const lapse = (vmid: number): void => {
    lapsedUntil.set(vmid, clock.monotonic() + LAPSED_MS);
    turn = null;
  };

  const current = (): Offer | null => {
    if (offer === null || clock.monotonic() < offer.until) return offer;
    lapse(offer.vmid);
    offer = null;
    return null;
  };

  return {
    offer: current,
    /** Asking again does not extend it. */
    give: (vmid: number, verdict: Passed): Offer => {
      const known = current();
      if (known?.vmid === vmid) return known;
      offer = { vmid, verdict, until: clock.monotonic() + OFFER_MS };
      return offer;
    },
    /** Says who is first in the queue; true when that one has just let its turn pass. */
    turnOf: (vmid: number): boolean => {
      if (turn?.vmid !== vmid) turn = { vmid, until: clock.monotonic() + OFFER_MS };
      if (clock.monotonic() < turn.until) return false;
      lapse(vmid);
      return true;
    },
    /** The slot is taken: nobody's time to ask runs out meanwhile. */
    suspendTurn: (): void => {
      turn = null;
    },
    isLapsed: (vmid: number): boolean => clock.monotonic() < (lapsedUntil.get(vmid) ?? Number.NEGATIVE_INFINITY),
    /** It started, or is not due any more: nothing is held against it. */
    done: (vmid: number): void => {
      if (offer?.vmid === vmid) offer = null;
      if (turn?.vmid === vmid) turn = null;
      lapsedUntil.delete(vmid);
    },
  };
};
