/** What a command may do to the world outside: answers on stdout, talk on stderr, an exit status. */
export interface Io {
  out(text: string): void;
  err(text: string): void;
  exit(status: number): void;
}

/** For scripts. */
export const EXIT = { well: 0, error: 1, attention: 2 } as const;

export const DEFAULT_CONFIG = '/etc/felhom/controller.yaml';
