/** What is proposed, before it becomes text; and names for it that no two share. Pure. */
import type { AdapterName } from '#shared/quiesce/config';

/** The keys of an entry in quiesce.yaml. */
export interface Entry {
  name: string;
  adapter: AdapterName;
  [key: string]: unknown;
}

export interface Proposed {
  entry: Entry;
  /** Sentences, for the comment above it. */
  why: string[];
  /** False: shown as a comment, for a person to decide. */
  active: boolean;
}

export interface Proposal {
  proposed: Proposed[];
  /** What no entry covers, a sentence each. */
  uncovered: string[];
  /** What could not be looked at, a sentence each. */
  unseen: string[];
  /** What is worth knowing besides. */
  notes: string[];
}

/** What one source of proposals has to say. */
export type Part = Partial<Proposal>;

const MOST_NAME = 63;

/** As `name` in quiesce.yaml may be written. */
const plain = (wish: string): string =>
  wish
    .replace(/[^A-Za-z0-9._-]+/g, '-')
    .replace(/^[^A-Za-z0-9]+|[^A-Za-z0-9]+$/g, '')
    .slice(0, MOST_NAME) || 'app';

const numbered = (name: string, number: number): string => {
  const end = `-${number}`;
  return `${name.slice(0, MOST_NAME - end.length)}${end}`;
};

/** The wished names, the second of two alike with a number; commented-out ones too, for they may be taken in as they are. */
export const withUniqueNames = (proposed: readonly Proposed[]): Proposed[] => {
  const taken = new Set<string>();
  return proposed.map((one) => {
    const wish = plain(one.entry.name);
    let name = wish;
    for (let number = 2; taken.has(name); number += 1) name = numbered(wish, number);
    taken.add(name);
    return { ...one, entry: { ...one.entry, name } };
  });
};
