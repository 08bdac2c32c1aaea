/** Text of another program, made fit for a terminal and a log. Pure. */

const MOST_CHARS = 500;

/** One line, no control characters, no more than a person reads. */
export const plainText = (text: string): string => {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not reach a terminal
  const line = text.replace(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]+/g, ' ').trim();
  return line.length > MOST_CHARS ? `${line.slice(0, MOST_CHARS - 1)}…` : line;
};

/** Whatever was thrown, as a sentence. */
export const errorText = (error: unknown): string => plainText(error instanceof Error ? error.message : String(error));
