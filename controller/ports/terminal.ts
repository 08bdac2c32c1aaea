/** The person at the terminal: asked on stderr, answers on stdin. */
import type { ReadStream, WriteStream } from 'node:tty';

export type Ask = (question: string) => Promise<string | null>;

/** One line, or null where it is given up (Ctrl-C, Ctrl-D). */
const askOn = async (input: ReadStream, output: WriteStream, question: string): Promise<string | null> => {
  // Loaded only now: an idle loop carries nothing of this.
  const { createInterface } = await import('node:readline');
  return new Promise((resolve) => {
    // In raw mode, so that a line may be as long as a signature: a terminal itself hands over 4095 characters at the most.
    const lines = createInterface({ input, output, terminal: true, historySize: 0 });
    let typed: string | null = null;
    lines.once('close', () => resolve(typed));
    lines.once('SIGINT', () => {
      output.write('\n');
      lines.close();
    });
    lines.question(question, (line) => {
      typed = line;
      lines.close();
    });
  });
};

/** Null where either is no terminal: then nobody is there who has read the question. */
export const terminalAsk = (input: ReadStream, output: WriteStream): Ask | null =>
  input.isTTY && output.isTTY ? (question) => askOn(input, output, question) : null;
