/** Headings, rows and wrapped lines of the screen. Pure: no colour, no width beyond 100. */
import { plainText } from '#shared/quiesce/plain-text';
import type { Part } from './overview.ts';

const WIDTH = 96;

/** Breaks at spaces; further lines stand under the first word. */
export const wrap = (head: string, text: string): string[] => {
  const lines: string[] = [];
  let line = head;
  for (const word of plainText(text).split(' ')) {
    if (line.length + 1 + word.length > WIDTH && line.trim() !== '' && line !== head) {
      lines.push(line);
      line = ' '.repeat(head.length);
    }
    line = line === head || line.trim() === '' ? `${line}${word}` : `${line} ${word}`;
  }
  return [...lines, line];
};

export const row = (name: string, text: string): string[] => wrap(`  ${name.padEnd(22)}`, text);

const rowsOf = <T>(part: Part<T>, rows: (value: T) => string[]): string[] =>
  part.known ? rows(part.value) : wrap('  ', `not known: ${part.error}`);

/** A heading with its rows, or why there are none. */
export const block = <T>(heading: string, part: Part<T>, rows: (value: T) => string[], more: string[] = []): string[] => [
  heading,
  ...rowsOf(part, rows),
  ...more,
  '',
];
