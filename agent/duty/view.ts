/** What duty knows of every guest, as the wire shows it. Pure. */
import { timestamp } from '#shared/ids';
import type { DutyOverview as WireOverview } from '#shared/wire/admin-backups';
import type { DutyOverview } from './overview.ts';

const time = (ms: number | null): string | null => (ms === null ? null : timestamp(ms));

export const overviewView = ({ guests, busy }: DutyOverview): WireOverview => ({
  guests: guests.map(({ nextAt, lastGoodAt, offeredUntil, ...guest }) => ({
    ...guest,
    next_at: time(nextAt),
    last_good_at: time(lastGoodAt),
    offered_until: time(offeredUntil),
  })),
  busy,
});
