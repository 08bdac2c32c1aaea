/** What the bench prints and keeps: a figure, its budget, and the samples that it was made of. Pure. */

export interface Summary {
  count: number;
  min: number;
  p50: number;
  p95: number;
  p99: number;
  max: number;
}

export interface Budget {
  sense: 'at most' | 'at least';
  limit: number;
}

export interface Figure {
  name: string;
  value: number;
  unit: string;
  budget?: Budget;
  /** How it was measured where that is not plain, and what else was seen. */
  note?: string;
  samples?: Summary;
}

export const atMost = (limit: number): Budget => ({ sense: 'at most', limit });
export const atLeast = (limit: number): Budget => ({ sense: 'at least', limit });

/** Null where there is no budget. */
export const keeps = ({ value, budget }: Pick<Figure, 'value' | 'budget'>): boolean | null => {
  if (budget === undefined) return null;
  return budget.sense === 'at most' ? value <= budget.limit : value >= budget.limit;
};

/** The smallest sample that at least `share` of them do not exceed. */
export const quantile = (samples: readonly number[], share: number): number => {
  const sorted = samples.toSorted((a, b) => a - b);
  const found = sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
  if (found === undefined) throw new Error('there is no sample');
  return found;
};

/** Of an even number of samples, the middle of the two. */
export const median = (samples: readonly number[]): number => {
  const sorted = samples.toSorted((a, b) => a - b);
  const half = (sorted.length - 1) / 2;
  return ((sorted[Math.floor(half)] ?? Number.NaN) + (sorted[Math.ceil(half)] ?? Number.NaN)) / 2;
};

/** Digits enough for whoever compares two runs. */
const rounded = (value: number): number => Number(value.toPrecision(6));

export const summarise = (samples: readonly number[]): Summary => ({
  count: samples.length,
  min: rounded(quantile(samples, 0)),
  p50: rounded(quantile(samples, 0.5)),
  p95: rounded(quantile(samples, 0.95)),
  p99: rounded(quantile(samples, 0.99)),
  max: rounded(quantile(samples, 1)),
});
