/** What needs attention, as one value. Pure. */
import type { Severity } from '#shared/problems';

export interface Finding {
  code: string;
  sentence: string;
  /** One thing to do; empty where there is nothing. */
  next: string;
  /** How bad, where that is said. */
  severity?: Severity;
  /** Since when, by the host's clock. */
  since?: string;
}

export const found = (when: boolean, code: string, sentence: string, next: string): Finding[] =>
  when ? [{ code, sentence, next }] : [];

export const ASK_OPERATOR = 'ask whoever looks after the host';
