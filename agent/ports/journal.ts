/** The agent's log: one line an event on stderr, which systemd hands to the journal. */

/** `<n>` at a line's start is the priority that journald reads (sd-daemon(3)). */
const PRIORITY = { error: '<3>', warning: '<4>', notice: '<5>', info: '<6>' } as const;
export type Level = keyof typeof PRIORITY;

/** `fields` become `key=value` behind the sentence; never pass a secret. */
export type Journal = (level: Level, sentence: string, fields?: Record<string, string | number | undefined>) => void;

const printable = (value: string | number): string => JSON.stringify(String(value)).replaceAll(/[^\x20-\x7e]/g, '?');

const journalTo =
  (write: (line: string) => void): Journal =>
  (level, sentence, fields = {}) => {
    const known = Object.entries(fields).filter((entry): entry is [string, string | number] => entry[1] !== undefined);
    const tail = known.map(([key, value]) => ` ${key}=${printable(value)}`).join('');
    write(`${PRIORITY[level]}${sentence}${tail}\n`);
  };

export const systemJournal: Journal = journalTo((line) => void process.stderr.write(line));
