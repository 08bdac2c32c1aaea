/** The log: a line an event to stderr. While it is quiet, lines wait in memory: a frozen journal must not hold up a release. */

/** As sd-daemon(3) has them: 3 error, 4 warning, 5 notice, 6 information. */
export type Priority = 3 | 4 | 5 | 6;
export type Say = (priority: Priority, text: string) => void;

export interface Log {
  say: Say;
  /** Lines wait from now on. */
  begin(): void;
  end(): void;
}

/** Of a log that is quiet for long, the newest lines are kept. */
const MOST_WAITING = 500;

/** @param prefixed with `<6>`, as sd-daemon(3) reads a line's priority */
export const createLog = (write: (text: string) => void, prefixed: boolean): Log => {
  let quiet = false;
  let waiting: string[] = [];
  return {
    say: (priority, text) => {
      const line = `${prefixed ? `<${priority}>` : ''}${text}\n`;
      if (quiet) waiting = [...waiting.slice(1 - MOST_WAITING), line];
      else write(line);
    },
    begin: () => {
      quiet = true;
    },
    end: () => {
      quiet = false;
      const lines = waiting.join('');
      waiting = [];
      if (lines !== '') write(lines);
    },
  };
};
