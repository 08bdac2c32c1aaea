/** Text on lines of a given width: paragraphs, and tables whose cells are wrapped. Pure; made inert before. */

/** A word that fits on no line is cut. */
const pieces = (word: string, width: number): string[] => {
  const chars = Array.from(word);
  const count = Math.max(1, Math.ceil(chars.length / width));
  return Array.from({ length: count }, (_all, index) => chars.slice(index * width, (index + 1) * width).join(''));
};

/** Breaks at spaces; never empty. */
export const wrapped = (text: string, width: number): string[] => {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(/\s+/).flatMap((one) => pieces(one, width))) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = '';
    }
    line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
};

/** Further lines stand under the first one's text. */
export const hanging = (head: string, text: string, width: number): string[] =>
  wrapped(text, Math.max(20, width - head.length)).map((line, index) => `${index === 0 ? head : ' '.repeat(head.length)}${line}`);

const GAP = 2;
/** No column gets narrower. */
const LEAST = 8;

const widest = (cells: readonly string[]): number => Math.max(...cells.map((cell) => cell.length));

/** The widest column gives way, a character at a time, until all fit. */
const fitted = (natural: readonly number[], width: number): number[] => {
  const widths = [...natural];
  const total = () => widths.reduce((sum, one) => sum + one, GAP * (widths.length - 1));
  while (total() > width && Math.max(...widths) > LEAST) {
    const at = widths.indexOf(Math.max(...widths));
    widths[at] = (widths[at] ?? 0) - 1;
  }
  return widths;
};

/** Rows of equally many cells; a cell that is too long goes on below itself. */
export const table = (rows: readonly (readonly string[])[], width: number): string[] => {
  const natural = (rows[0] ?? []).map((_head, column) => widest(rows.map((row) => row[column] ?? '')));
  const widths = fitted(natural, width);
  return rows.flatMap((row) => {
    const cells = row.map((cell, column) => wrapped(cell, widths[column] ?? LEAST));
    const height = Math.max(...cells.map(({ length }) => length));
    return Array.from({ length: height }, (_all, line) =>
      cells
        .map((cell, column) => (cell[line] ?? '').padEnd(widths[column] ?? 0))
        .join(' '.repeat(GAP))
        .trimEnd(),
    );
  });
};
