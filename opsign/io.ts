/** How commands speak: answers on stdout, talk on stderr. */

export interface Io {
  /** One line of the answer. Resolves when it is written; rejects where it cannot be. */
  out: (line: string) => Promise<void>;
  /** One line of talk. */
  err: (line: string) => void;
  /** Whether the person at the terminal sees the talk. */
  talkIsSeen: boolean;
  /** All of stdin, or its first line where that is a terminal; no more than can be a signature. */
  readIn: () => Promise<string>;
}
