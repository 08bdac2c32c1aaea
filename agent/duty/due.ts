/** Whether a guest should be backed up now, and when next. Pure: over what is known of one guest at one moment. */

import { believed, SKEW_MS } from '#agent/believed';
import type { GuestRules } from '#agent/config';
import type { OffsetAt } from '#agent/ports/local-time';
import { isInside, opensAt } from './window.ts';
import { counted, span } from './words.ts';

const MINUTE_MS = 60_000;
/** Until then a scheduled backup is on time; later it is made up for, when nobody is at work. */
const ON_TIME_MS = 120 * MINUTE_MS;
/** After a boot guests start and disks are busy. */
const AFTER_BOOT_MS = 15 * MINUTE_MS;
/** A start that follows its scheduled moment by no more than this counts as having been at that moment. */
const PUNCTUAL_MS = 5 * MINUTE_MS;
const BACK_OFF_MS = [5, 15, 60, 240].map((minutes) => minutes * MINUTE_MS);

export interface DutyFacts {
  now: number;
  rules: Pick<GuestRules, 'window' | 'maxAgeMs'> & { minIntervalMs: number };
  /** Ascending, with the host's jitter; those past and those to come. */
  occurrences: readonly number[];
  offsetAt: OffsetAt;
  uptimeMs: number;
  /** The data of the newest good backup is no younger than this. */
  lastGoodAt: number | null;
  /** Start of the newest backup that answers the schedule: a good one, or one that somebody cancelled. */
  answeredAt: number | null;
  /** The newest start of whatever kind. */
  lastStartAt: number | null;
  /** Since then; Infinity where there was none or its time is not believed. */
  sinceStartMs: number;
  /** Of the last good one's successors, oldest first: why each failed. */
  failures: readonly string[];
  /** Since the newest of them ended. */
  sinceFailureMs: number;
}

export type Decision =
  /** `since`: when it became due, for the order among guests. */
  | { due: true; kind: 'first' | 'scheduled' | 'catch-up' | 'retry'; since: number; reason: string }
  /** `missed`: there is something to make up for, at `nextAt`. */
  | { due: false; missed: boolean; nextAt: number | null; reason: string };

/** Attempts that failed by themselves: what was stopped on purpose is none. */
export const attemptsOf = (failures: readonly string[]): number =>
  failures.filter((failure) => failure !== 'cancelled' && failure !== 'preempted').length;

export const decide = (facts: DutyFacts): Decision => {
  const { failures, lastGoodAt } = facts;
  const failure = failures.at(-1);
  if (failure !== undefined && failure !== 'cancelled') return retry(facts, failure);
  const since = missedSince(facts);
  if (since === null) return { due: false, missed: false, nextAt: nextAt(facts), reason: ageOf(facts) };
  const spacing = spacingMs(facts);
  if (spacing > 0) return tooSoon(facts, spacing);
  if (lastGoodAt === null && failure === undefined)
    return { due: true, kind: 'first', since: Number.NEGATIVE_INFINITY, reason: 'No backup yet.' };
  if (isOnTime(facts)) return { due: true, kind: 'scheduled', since, reason: `A backup is scheduled. ${ageOf(facts)}` };
  return catchUp(facts, since);
};

/** Each failure is followed by a longer wait, whatever the schedule and the window say. */
const retry = ({ now, failures, sinceFailureMs }: DutyFacts, failure: string): Decision => {
  const attempts = attemptsOf(failures);
  // A guest that cannot start may be tried again and again by a program: not every few minutes for days.
  const inVain = failure === 'preempted' ? failures.length - 1 - failures.findLastIndex((one) => one !== 'preempted') : attempts;
  const left = (BACK_OFF_MS[Math.min(inVain, BACK_OFF_MS.length) - 1] ?? 0) - sinceFailureMs;
  const what =
    failure === 'preempted' ? 'The last backup gave way to a start of this guest' : `${counted(attempts, 'attempt')} failed`;
  if (left <= 0) {
    const since = Number.isFinite(left) ? now + left : now;
    return { due: true, kind: 'retry', since, reason: `${what}; it is time for the next.` };
  }
  return { due: false, missed: true, nextAt: now + left, reason: `${what}; the next is made in ${span(left + MINUTE_MS)}.` };
};

/** The first moment that nothing answered yet; null when there is none. */
const missedSince = (facts: DutyFacts): number | null => {
  const { now, rules, lastGoodAt } = facts;
  const scheduled = firstUnanswered(facts);
  if (lastGoodAt !== null && believed(lastGoodAt, now) === null) return scheduled ?? now;
  const baseAt = lastGoodAt ?? believed(facts.answeredAt, now);
  if (baseAt === null) return now;
  const tooOld = now - baseAt >= rules.maxAgeMs ? baseAt + rules.maxAgeMs : null;
  if (scheduled === null || tooOld === null) return scheduled ?? tooOld;
  return Math.min(scheduled, tooOld);
};

/** The first moment past that counts: later than what answered last, and far enough from it. */
const firstUnanswered = (facts: DutyFacts): number | null => {
  const from = earliestCounting(facts);
  const first = facts.occurrences.find((at) => at >= from);
  return first !== undefined && first <= facts.now ? first : null;
};

const earliestCounting = (facts: DutyFacts): number => {
  const answeredAt = believed(facts.answeredAt, facts.now);
  if (answeredAt === null) return Number.NEGATIVE_INFINITY;
  return Math.max(answeredAt + 1, answeredAt - latenessMs(facts, answeredAt) + facts.rules.minIntervalMs);
};

/** How long after its scheduled moment a start came; 0 for one that had none. */
const latenessMs = ({ occurrences }: DutyFacts, startAt: number): number => {
  const moment = occurrences.findLast((at) => at <= startAt) ?? Number.NEGATIVE_INFINITY;
  return startAt - moment <= PUNCTUAL_MS ? startAt - moment : 0;
};

/** What is left of the interval since the newest start. */
const spacingMs = (facts: DutyFacts): number => {
  const { answeredAt, lastStartAt, sinceStartMs, rules } = facts;
  const late = answeredAt !== null && answeredAt === lastStartAt ? latenessMs(facts, answeredAt) : 0;
  return Math.max(0, rules.minIntervalMs - sinceStartMs - late);
};

const tooSoon = ({ now, sinceStartMs }: DutyFacts, leftMs: number): Decision => ({
  due: false,
  missed: true,
  nextAt: now + leftMs,
  reason: `A backup was started ${span(sinceStartMs)} ago; the next may start in ${span(leftMs)}.`,
});

const isOnTime = (facts: DutyFacts): boolean => {
  const newest = facts.occurrences.findLast((at) => at <= facts.now) ?? Number.NEGATIVE_INFINITY;
  return newest >= earliestCounting(facts) && facts.now - newest < ON_TIME_MS;
};

/** Once, however many were missed; in the window while the last good one is not far too old; never right after a boot. */
const catchUp = (facts: DutyFacts, since: number): Decision => {
  const { now, uptimeMs, rules, offsetAt } = facts;
  const afterBoot = AFTER_BOOT_MS - uptimeMs;
  if (afterBoot > 0)
    return {
      due: false,
      missed: true,
      nextAt: now + afterBoot,
      reason: 'This host was started only a moment ago; a missed backup is made soon.',
    };
  const good = believed(facts.lastGoodAt, now);
  const anyTime = good === null || now - good >= 2 * rules.maxAgeMs;
  if (anyTime || isInside(rules.window, offsetAt, now)) return { due: true, kind: 'catch-up', since, reason: ageOf(facts) };
  const opening = opensAt(rules.window, offsetAt, now);
  const reason = `${ageOf(facts)} A missed backup is made when the hours for that begin, in ${span(opening - now)}.`;
  return { due: false, missed: true, nextAt: Math.min(opening, good + 2 * rules.maxAgeMs), reason };
};

const nextAt = (facts: DutyFacts): number | null => {
  const { now, occurrences, rules } = facts;
  const from = earliestCounting(facts);
  const planned = occurrences.find((at) => at > now && at >= from) ?? Number.POSITIVE_INFINITY;
  const oldAt = (facts.lastGoodAt ?? now) + rules.maxAgeMs;
  return Math.min(planned, oldAt);
};

const ageOf = ({ now, lastGoodAt }: DutyFacts): string => {
  if (lastGoodAt === null) return 'No backup yet.';
  if (lastGoodAt > now + SKEW_MS) return "The last good backup's time lies in the future, so its age is not known.";
  return `The last good backup is ${span(Math.max(0, now - lastGoodAt))} old.`;
};
