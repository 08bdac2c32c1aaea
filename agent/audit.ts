/** A line of the audit: what somebody did through the agent, or the agent by itself. */
import type { Clock } from '#shared/clock';
import type { Statement } from './ports/store.ts';

type Who = 'root' | 'agent' | `guest ${number}`;

/** `details` become JSON; never a secret. */
export const auditEntry = (clock: Pick<Clock, 'now'>, who: Who, what: string, details: object): Statement => ({
  sql: 'INSERT INTO audit (at, who, what, details) VALUES (?, ?, ?, ?)',
  values: [clock.now(), who, what, JSON.stringify(details)],
});
