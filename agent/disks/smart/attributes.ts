/** The table of SMART attributes that SATA drives keep. Pure. */
import { at, type Json, listAt, numberAt, textAt } from './document.ts';

export interface Attribute {
  id: number;
  /** As smartctl's drive database names it: one number means different things on different models. */
  name: string;
  /** Falls towards the threshold as it gets worse; null where the drive gives none. */
  value: number | null;
  threshold: number | null;
  /** Of those that foretell a failure, as against those that tell of age. */
  prefail: boolean;
  failed: 'now' | 'past' | 'no';
  /** What it counts. */
  raw: number | null;
}

/** Drives pack several counts into one number; smartctl takes them apart and writes the count first: `25 (Min/Max 19/39)`. */
const rawOf = (row: Json): number | null => {
  const [digits] = /^-?\d{1,15}/.exec(textAt(row, 'raw', 'string')) ?? [];
  return digits === undefined ? numberAt(row, 'raw', 'value') : Number(digits);
};

/** smartctl says when; without its word, a value at a threshold above 0 has failed. */
const failedOf = (row: Json, value: number | null, threshold: number | null): Attribute['failed'] => {
  const word = textAt(row, 'when_failed').toLowerCase();
  if (word === 'now') return 'now';
  if (word === 'past') return 'past';
  if (typeof at(row, 'when_failed') === 'string') return 'no';
  return value !== null && threshold !== null && threshold > 0 && value > 0 && value <= threshold ? 'now' : 'no';
};

export const attributesOf = (document: Json): Attribute[] =>
  listAt(document, 'ata_smart_attributes', 'table').flatMap((row) => {
    const id = numberAt(row, 'id');
    if (id === null) return [];
    const value = numberAt(row, 'value');
    const threshold = numberAt(row, 'thresh');
    return [
      {
        id,
        name: textAt(row, 'name'),
        value,
        threshold,
        prefail: at(row, 'flags', 'prefailure') === true,
        failed: failedOf(row, value, threshold),
        raw: rawOf(row),
      },
    ];
  });

/** How much of something bad was counted; 0 where nothing was, or nobody counts. */
export const countOf = (attributes: readonly Attribute[], name: RegExp): number =>
  Math.max(0, ...attributes.filter((one) => name.test(one.name)).map(({ raw }) => raw ?? 0));
