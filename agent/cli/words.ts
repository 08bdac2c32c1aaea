/** Figures and states as the console says them. Pure. */
import type { Archive } from '#shared/wire/archives';

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

export const bytes = (value: number): string => {
  const power = Math.min(value < 1 ? 0 : Math.floor(Math.log2(value) / 10), UNITS.length - 1);
  return `${power === 0 ? value : (value / 1024 ** power).toFixed(1)} ${UNITS[power]}`;
};

/** To the second: `2026-11-22T04:15:00Z`. */
export const time = (rfc3339: string | null, otherwise = '-'): string => rfc3339?.replace(/\.\d+Z$/, 'Z') ?? otherwise;

const SPANS: [seconds: number, unit: string][] = [
  [86_400, 'd'],
  [3600, 'h'],
  [60, 'min'],
];

/** `3 h`: the largest unit of which there are at least two. */
export const span = (seconds: number): string => {
  const [size, unit] = SPANS.find(([one]) => seconds >= 2 * one) ?? [1, 's'];
  return `${Math.floor(seconds / size)} ${unit}`;
};

type Verified = Pick<Archive, 'verification' | 'verified_at' | 'verification_error'>;

/** In a table's cell. */
export const verified = ({ verification, verified_at }: Pick<Verified, 'verification' | 'verified_at'>): string =>
  verification === 'ok'
    ? time(verified_at, 'yes')
    : { pending: 'not yet', failed: 'DAMAGED', unsupported: 'cannot' }[verification];

export const verifiedSentence = ({ verification, verified_at, verification_error }: Verified): string => {
  switch (verification) {
    case 'ok':
      return `read to its end and whole, ${time(verified_at, 'at an unknown time')}`;
    case 'failed':
      return `DAMAGED, ${time(verified_at, 'at an unknown time')}: ${verification_error}`;
    case 'unsupported':
      return 'of a kind that cannot be read here: whether it is whole is not known';
    case 'pending':
      return 'not read yet: whether it is whole is not known';
  }
};
