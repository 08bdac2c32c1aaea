/** The one way a number reaches an integer field of the wire. */

/** Truncated toward zero and kept within ±2^53−1; null for what is not a finite number. Field clients cannot decode `1500.0` or NaN. */
export const int = (value: number | null | undefined): number | null => {
  if (value === null || value === undefined || !Number.isFinite(value)) return null;
  const whole = Math.trunc(value);
  return Math.min(Math.max(whole, Number.MIN_SAFE_INTEGER), Number.MAX_SAFE_INTEGER) + 0;
};

/** A share of 1 as 0–100 with one decimal, null when it cannot be computed. */
export const percent = (part: number, whole: number): number | null => {
  const value = fraction(part, whole);
  return value === null ? null : Math.round(value * 1000) / 10;
};

/** `part / whole` within 0–1, null when `whole` is not positive or either is unknown. */
export const fraction = (part: number | null | undefined, whole: number | null | undefined): number | null => {
  if (typeof part !== 'number' || typeof whole !== 'number' || !(whole > 0) || !Number.isFinite(part / whole)) return null;
  return Math.min(Math.max(part / whole, 0), 1);
};
