/** What a guest is told of its turn. Pure but for the clocks it is given. */
import type { Clock } from '#shared/clock';
import { timestamp } from '#shared/ids';
import type { BackupDue } from '#shared/wire/backups';
import type { Look } from './looks.ts';
import type { Offer } from './slot.ts';

/** Where it is not known how long it takes until the data is fixed. */
const USUAL_HOLD_SECONDS = 10;
/** Attempts for which applications are held; after these it runs without, for an application must not prevent its backup. */
const HELD_ATTEMPTS = 2;

export const notDue = (vmid: number, reason: string): BackupDue => ({
  vmid,
  due: false,
  reason,
  mode: null,
  hold: false,
  hold_expected_seconds: null,
  slot_expires_at: null,
  one_instant: null,
});

export const offered = (
  { decision, record, attempts }: Look,
  offer: Offer,
  clock: Pick<Clock, 'now' | 'monotonic'>,
): BackupDue => {
  const { vmid, verdict, until } = offer;
  const hold = verdict.mode === 'snapshot' && verdict.guest.status !== 'stopped' && attempts < HELD_ATTEMPTS;
  const expected = record.holdExpectedMs === null ? USUAL_HOLD_SECONDS : Math.max(1, Math.ceil(record.holdExpectedMs / 1000));
  return {
    vmid,
    due: true,
    reason: decision.reason,
    mode: verdict.mode,
    hold,
    hold_expected_seconds: hold ? expected : null,
    slot_expires_at: timestamp(clock.now() + until - clock.monotonic()),
    // Of a virtual machine it is known only when its freeze has been seen to hold.
    one_instant: verdict.mode === 'snapshot' && verdict.guest.type === 'lxc',
  };
};
