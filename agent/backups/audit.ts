/** What the agent did to the host or a guest on its own, for whoever asks later. */
import { auditEntry } from '#agent/audit';
import type { Store } from '#agent/ports/store';
import type { Clock } from '#shared/clock';

/** On disk when it resolves. */
export type Audit = (what: string, details: Record<string, string | number>) => Promise<void>;

export const createAudit =
  (store: Store, clock: Clock): Audit =>
  async (what, details) => {
    await store.write(auditEntry(clock, 'agent', what, details));
  };
