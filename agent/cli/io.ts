/** How commands speak: answers on stdout, talk on stderr, an exit status for scripts. */

export interface Io {
  /** One line of the answer. */
  out: (line: string) => void;
  /** One line of talk. */
  err: (line: string) => void;
  exit: (status: number) => void;
}

/** A command could not do it; the message says why and what to try next. */
export class CommandFailed extends Error {
  override readonly name = 'CommandFailed';
}

export const DEFAULT_CONFIG = '/etc/felhom/agent.yaml';
