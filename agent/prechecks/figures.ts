/** Figures as people read them. Pure. */

const UNITS = [
  ['GB', 1e9],
  ['MB', 1e6],
  ['kB', 1e3],
] as const;

/** Decimal units, as drives are sold. */
export const size = (bytes: number): string => {
  const unit = UNITS.find(([, one]) => bytes >= one);
  return unit === undefined ? `${Math.round(bytes)} bytes` : `${(bytes / unit[1]).toFixed(1)} ${unit[0]}`;
};

export const percent = (fraction: number): string => `${(fraction * 100).toFixed(1)} %`;
