/** The log: a line an event to stderr. While it is quiet, lines wait in memory: a frozen journal must not hold up a release. */
import type { Line } from '../backup/events.ts';

export interface Log {
  say(line: Line): void;
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
    say: ({ priority, text }) => {
      const line = `${prefixed ? `<${priority}>` : ''}${text}\n`;
      if (quiet) waiting = [...waiting.slice(-MOST_WAITING), line];
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
