/** What the agent offers, as the controller takes it. Pure. */
import type { BackupDue } from '#shared/wire/backups';

export interface Offer {
  reason: string;
  /** Whether applications are to be held for this backup. */
  hold: boolean;
  /** Whether all data of the guest will be fixed in one instant, as far as the agent knows. */
  oneInstant: boolean;
  /** From the start of the backup to that moment, as it was lately. */
  holdExpectedMs: number | null;
  /** On the monotonic clock: from then on the backup slot may be another guest's. */
  lapsesAt: number;
}

/** A Date header tells whole seconds only, and the request that takes the offer needs a moment. */
const MARGIN_MS = 2000;

export interface Answered {
  /** When the question was sent, on the monotonic clock. */
  askedAt: number;
  /** The host's own time of the answer, in milliseconds since 1970; NaN where it did not say. */
  hostTime: number;
}

/** Both times of the lifetime are the host's, so the guest's own clock may be as wrong as it likes. */
const lapsesAt = (slotExpiresAt: string | null, { askedAt, hostTime }: Answered): number => {
  const lifetimeMs = slotExpiresAt === null ? Number.NaN : Date.parse(slotExpiresAt) - hostTime;
  return Number.isNaN(lifetimeMs) ? Number.POSITIVE_INFINITY : askedAt + lifetimeMs - MARGIN_MS;
};

/** Null: nothing is offered. Holding helps in snapshot mode only: suspend takes hours, stop mode ends the applications itself. */
export const offerOf = (offered: BackupDue, answered: Answered): Offer | null => {
  const { due, reason, mode, hold, slot_expires_at, one_instant, hold_expected_seconds } = offered;
  if (!due) return null;
  return {
    reason,
    hold: hold && mode === 'snapshot',
    oneInstant: one_instant === true,
    holdExpectedMs: hold_expected_seconds === null ? null : hold_expected_seconds * 1000,
    lapsesAt: lapsesAt(slot_expires_at, answered),
  };
};
