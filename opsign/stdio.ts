/** stdout and stdin of this program. */
import type { ReadStream as TtyInput } from 'node:tty';
import { GRANT_BYTES } from '#shared/grant';
import { OpsignFailed } from './failed.ts';

/** Resolves when it is out; rejects (`OpsignFailed`) on a full disk or a closed pipe. */
export const writeLine = (stream: NodeJS.WriteStream, line: string): Promise<void> =>
  new Promise((resolve, reject) => {
    const broken = (cause: Error) => reject(new OpsignFailed(`The answer could not be written: ${cause.message}`, { cause }));
    stream.once('error', broken);
    stream.write(`${line}\n`, (error) => {
      if (error) return broken(error);
      stream.off('error', broken);
      resolve();
    });
  });

/** To the end, or where a person types or pastes to the end of the line. Stops where it is longer than any signature. */
export const readInput = async (stream: NodeJS.ReadStream | TtyInput): Promise<string> => {
  let text = '';
  for await (const chunk of stream.setEncoding('utf8')) {
    text += String(chunk);
    if (text.length > GRANT_BYTES || (stream.isTTY && text.includes('\n'))) break;
  }
  return text;
};
