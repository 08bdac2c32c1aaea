/** Whether an archive is of a size that its guest's archives have. Pure. */
import { type Archive, isOurs } from './archive.ts';
import { newestFirst } from './retention.ts';

const COMPARED = 3;
const SMALLEST_SHARE = 0.5;
/** So many in a row and the new size is believed; meanwhile the problem stands and nothing is deleted. */
const BELIEVED_AFTER = 7;

/** Of two the smaller. */
const median = (sizes: readonly number[]): number => [...sizes].sort((a, b) => a - b)[Math.floor((sizes.length - 1) / 2)] ?? 0;

export interface Plausibility {
  /** The newest archives of a believable size, newest first. */
  sizes: number[];
  /** Of the newest of all: what it was expected to have at least; null when it is believed. */
  missing: { sizeBytes: number; leastBytes: number } | null;
}

/**
 * Walks through a guest's archives from the oldest on: what is much smaller than those before it does not become the measure for
 * the next, so that empty backups cannot make each other look right. Archives of another format count apart; damaged ones not at all.
 */
export const plausibility = (archives: readonly Archive[]): Plausibility => {
  const ours = archives.filter((archive) => isOurs(archive) && archive.verification !== 'failed').sort(newestFirst);
  const format = ours[0]?.format;
  let believed: number[] = [];
  let doubted: number[] = [];
  let missing: Plausibility['missing'] = null;
  for (const { sizeBytes } of ours.filter((archive) => archive.format === format).reverse()) {
    const leastBytes = Math.max(1, median(believed.slice(-COMPARED)) * SMALLEST_SHARE);
    missing = null;
    if (sizeBytes >= leastBytes) {
      believed.push(sizeBytes);
      doubted = [];
      continue;
    }
    doubted.push(sizeBytes);
    missing = { sizeBytes, leastBytes };
    if (doubted.length < BELIEVED_AFTER || sizeBytes === 0) continue;
    believed = doubted;
    doubted = [];
    missing = null;
  }
  return { sizes: believed.slice(-COMPARED).reverse(), missing };
};
