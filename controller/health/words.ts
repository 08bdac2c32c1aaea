/** Figures as a person says them. Pure. */
import type { Label } from '#shared/label';

const UNITS = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

export const bytes = (value: number | null): string => {
  if (value === null) return 'unknown';
  const power = Math.min(value < 1 ? 0 : Math.floor(Math.log2(value) / 10), UNITS.length - 1);
  return `${power === 0 ? value : (value / 1024 ** power).toFixed(1)} ${UNITS[power]}`;
};

/** `3.1 GiB of 15.5 GiB used (20 %)`. */
export const fill = (used: number | null, total: number | null): string => {
  if (used === null || total === null) return 'size unknown';
  return `${bytes(used)} of ${bytes(total)} used${total > 0 ? ` (${Math.round((used / total) * 100)} %)` : ''}`;
};

const SPANS: [number, string][] = [
  [86_400, 'day'],
  [3600, 'hour'],
  [60, 'minute'],
];

/** `3 hours`; the largest unit of which there are at least two. */
export const span = (seconds: number): string => {
  const [size, unit] = SPANS.find(([one]) => seconds >= 2 * one) ?? [1, 'second'];
  const count = Math.floor(seconds / size);
  return `${count} ${unit}${count === 1 ? '' : 's'}`;
};

export const age = (seconds: number | null): string => {
  if (seconds === null) return 'age unknown';
  return seconds < 5 ? 'just now' : `${span(seconds)} ago`;
};

/** From one RFC 3339 time to another; null where the first is unknown. A clock that was set back gives 0. */
export const secondsBetween = (from: string | null, to: string): number | null =>
  from === null ? null : Math.max(0, Math.round((Date.parse(to) - Date.parse(from)) / 1000));

export const LABEL_WORDS: Record<Label, string> = {
  app: 'the applications were at rest when its data was fixed',
  filesystem: 'its file systems were consistent when its data was fixed',
  crash: 'as after a power cut: applications recover when they start',
  stopped: 'the guest was not running',
};
