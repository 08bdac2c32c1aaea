/** When the agent is asked next. Pure. */
import type { AttemptResult } from './result.ts';

/** In polls, after the first, second … attempt without a backup: 5, 15, 60, 240 minutes at a poll of one. */
const BACK_OFF_POLLS = [5, 15, 60, 240] as const;

/** Attempts without a backup, one after the other. */
export const failuresAfter = (failures: number, outcome: AttemptResult['outcome'] | 'not-due'): number => {
  if (outcome === 'done') return 0;
  return outcome === 'not-due' ? failures : failures + 1;
};

/** A sick backup must not pause applications at every poll. A sixth more or less keeps guests from asking together. */
export const waitAfter = (
  outcome: AttemptResult['outcome'] | 'not-due',
  failures: number,
  pollMs: number,
  random: number,
): number => {
  const calm = outcome === 'done' || outcome === 'not-due' || failures === 0;
  const polls = calm ? 1 : (BACK_OFF_POLLS[Math.min(failures, BACK_OFF_POLLS.length) - 1] ?? 1);
  return Math.round(pollMs * polls * (1 + (random * 2 - 1) / 6));
};
