/** The line that felhom-opsign printed, from a file, a pipe or a paste. */
import { readFile } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { CommandFailed } from './io.ts';

/** Longer than any signature, so that whoever sends too much hears why. */
const MOST_CHARS = 8192;

type Input = Readable & { isTTY?: boolean };

/** At a terminal the end of the line is its end. */
const typed = async (input: Input): Promise<string> => {
  let text = '';
  for await (const chunk of input.setEncoding('utf8')) {
    text += String(chunk);
    if (text.length > MOST_CHARS || (input.isTTY === true && text.includes('\n'))) break;
  }
  return text;
};

const fromFile = (file: string): Promise<string> =>
  readFile(file, 'utf8').catch((cause: unknown) => {
    throw new CommandFailed(
      `${file} cannot be read. Save the line that felhom-opsign printed in it, or leave it out and paste the line.`,
      {
        cause,
      },
    );
  });

/** Without the newline that ends a line. @param file `-`: standard input */
export const grantLine = async (file: string, input: Input = process.stdin): Promise<string> => {
  const line = (file === '-' ? await typed(input) : await fromFile(file)).replace(/\r?\n$/, '');
  if (line === '') throw new CommandFailed('There is no signature. Paste the one line that felhom-opsign printed.');
  return line.slice(0, MOST_CHARS);
};
