/** What is found out about an archive. */

/** `unsupported`: this host cannot read such an archive. `unreadable`: this time it could not be read; nothing is known. */
type Verdict = 'whole' | 'damaged' | 'unsupported' | 'unreadable';

export interface Finding {
  verdict: Verdict;
  /** For customers: no path, nobody else's words. Empty when it is whole. */
  error: string;
  /** For the log. */
  detail: string;
  /** Files of a tar, disks of a VMA. */
  members: number;
  /** After decompression. */
  bytes: number;
}

/** Exit status, for whoever starts the program. */
export const EXIT = { whole: 0, unreadable: 1, damaged: 2, unsupported: 3 } as const satisfies Record<Verdict, number>;

/** Ends a check with what it found. */
export class CheckEnded extends Error {
  override readonly name = 'CheckEnded';
  readonly verdict: Exclude<Verdict, 'whole'>;
  readonly detail: string;

  constructor(verdict: Exclude<Verdict, 'whole'>, sentence: string, detail = '') {
    super(sentence);
    this.verdict = verdict;
    this.detail = detail;
  }
}

export const damaged = (sentence: string, detail = ''): CheckEnded => new CheckEnded('damaged', sentence, detail);
