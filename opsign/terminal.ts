/** The terminal of whoever sits here, whatever stdin, stdout and stderr are: what is asked is answered by a person, or not at all. */
import { closeSync, openSync, writeSync } from 'node:fs';
import { StringDecoder } from 'node:string_decoder';
import { setTimeout as sleep } from 'node:timers/promises';
import { ReadStream } from 'node:tty';
import { OpsignFailed } from './failed.ts';
import { createLineEditor, type LineEditor, type Outcome } from './line-editor.ts';

export interface Terminal {
  /** Shown on the terminal and nowhere else. */
  say: (line: string) => void;
  /** One line. `shown: false` while a secret is typed. Rejects (`Interrupted`, `OpsignFailed`) when no answer comes. */
  ask: (question: string, how: { shown: boolean }) => Promise<string>;
  close: () => void;
}

/** Ctrl-C. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';
}

/** tty(4): the controlling terminal of the process. */
const TTY = '/dev/tty';

/** What was typed or pasted before a question stood on the screen is no answer to it: a pasted command may bring its answer along. */
const SETTLE_MS = 100;

const noTerminal = (cause: unknown) =>
  new OpsignFailed(
    'There is no terminal here. Passphrases and confirmations are typed by a person, and never taken from a file, a pipe or the ' +
      'environment. Run this in a terminal (over ssh: "ssh -t").',
    { cause },
  );

const gone = () => new OpsignFailed('The terminal was closed before the question was answered.');

/** Ends a line that was not entered. */
const judge = (outcome: Outcome): void => {
  if (outcome === 'interrupted') throw new Interrupted('Interrupted.');
  if (outcome === 'ended') throw new OpsignFailed('The question was not answered.');
};

/** Types into the editor what comes from the terminal until the line ends. */
const typed = (input: ReadStream, editor: LineEditor, echo: (text: string) => void): Promise<void> =>
  new Promise((resolve, reject) => {
    const decoder = new StringDecoder('utf8');
    const done = (settle: () => void) => {
      input.off('data', onData).off('end', onGone).off('error', onGone);
      settle();
    };
    const onGone = () => done(() => reject(gone()));
    const onData = (bytes: Buffer) => {
      echo(editor.type(decoder.write(bytes)));
      if (editor.outcome() !== 'typing') done(resolve);
    };
    input.on('data', onData).on('end', onGone).on('error', onGone);
  });

/** Takes what was typed too early. Ctrl-C is never too early. */
const settle = async (input: ReadStream): Promise<void> => {
  let interrupted = false;
  const onData = (bytes: Buffer) => {
    interrupted ||= bytes.includes(0x03);
  };
  input.on('data', onData);
  await sleep(SETTLE_MS);
  input.off('data', onData);
  if (interrupted) judge('interrupted');
};

const ENDING = ['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGTERM'] as const;

/** The terminal is as it was afterwards, also for whoever ends this process meanwhile: Node sees to that for two signals only. */
const inRawMode = async <T>(input: ReadStream, ask: () => Promise<T>): Promise<T> => {
  const restore = () => {
    for (const signal of ENDING) process.off(signal, onSignal);
    input.pause();
    input.setRawMode(false);
  };
  const onSignal = (signal: NodeJS.Signals) => {
    restore();
    process.kill(process.pid, signal);
  };
  for (const signal of ENDING) process.on(signal, onSignal);
  input.setRawMode(true);
  input.resume();
  try {
    return await ask();
  } finally {
    restore();
  }
};

/** Throws `OpsignFailed` where there is no terminal. */
export const openTerminal = (): Terminal => {
  const { input, output } = opened();
  const write = (text: string) => void writeSync(output, text);

  const line = async (question: string, shown: boolean): Promise<string> => {
    const editor = createLineEditor();
    await settle(input);
    write(`${question} `);
    try {
      await typed(input, editor, (text) => shown && write(text));
    } finally {
      write('\n');
    }
    judge(editor.outcome());
    return editor.text();
  };

  return {
    say: (line) => write(`${line}\n`),
    ask: (question, { shown }) => inRawMode(input, () => line(question, shown)),
    close: () => {
      input.destroy();
      closeSync(output);
    },
  };
};

/** Two of them: libuv makes the one it reads from non-blocking. */
const opened = (): { input: ReadStream; output: number } => {
  try {
    return { input: new ReadStream(openSync(TTY, 'r')), output: openSync(TTY, 'w') };
  } catch (error) {
    throw noTerminal(error);
  }
};
