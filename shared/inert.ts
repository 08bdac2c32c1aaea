/** What drives, guests and files called themselves, as a terminal may be given it: nothing in it moves a cursor or turns the line around. Pure. */

/** Controls, formatting and bidi marks, lone halves of pairs, private and unassigned code points; line and paragraph separators. */
const LIVELY = /[\p{C}\p{Zl}\p{Zp}]/gu;

/** `\u001b`, as JSON writes it; above the first plane both halves. */
const escaped = (char: string): string =>
  Array.from({ length: char.length }, (_half, index) => `\\u${char.charCodeAt(index).toString(16).padStart(4, '0')}`).join('');

/** On one line of text. */
export const inert = (text: string): string => text.replace(LIVELY, escaped);

/** As one line of JSON, which means the same to whoever parses it. */
export const inertJson = (value: unknown): string => inert(JSON.stringify(value));

/** The same on as many lines as people like to read. */
export const inertJsonLines = (value: unknown): string => JSON.stringify(value, null, 2).split('\n').map(inert).join('\n');
