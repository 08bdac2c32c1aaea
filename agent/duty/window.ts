/** The hours of the local day in which a missed backup may be made up for. Pure. */
import type { Window } from '#agent/config';
import type { OffsetAt } from '#agent/ports/local-time';
import { instantOf } from './zone.ts';

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;

const midnightOf = (wall: number): number => Math.floor(wall / DAY_MS) * DAY_MS;

/** `to` is outside. */
export const isInside = ({ from, to }: Window, offsetAt: OffsetAt, now: number): boolean => {
  const wall = now + offsetAt(now);
  const minute = Math.floor((wall - midnightOf(wall)) / MINUTE_MS);
  return from < to ? minute >= from && minute < to : minute >= from || minute < to;
};

/** When it opens next; `now` while it is open. */
export const opensAt = (window: Window, offsetAt: OffsetAt, now: number): number => {
  if (isInside(window, offsetAt, now)) return now;
  const midnight = midnightOf(now + offsetAt(now));
  const openings = [0, 1].map((days) => instantOf(offsetAt, midnight + days * DAY_MS + window.from * MINUTE_MS).at);
  return openings.find((at) => at > now) ?? now;
};
