/** The name of a drive or of a file system that survives replugging. It reaches command lines, pages and logs, so it is inert in all of them. */

/** Every durable id, and nothing that a shell, a page or a terminal could take for more than a word. */
const DURABLE_ID = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,199}$/;
export const isDurableId = (text: string): boolean => DURABLE_ID.test(text);

export const filesystemDurableId = (uuid: string): string => `uuid:${uuid}`;

/** What a person can read of a drive, and a digest that keeps the truth. */
export interface DriveFacts {
  role: 'system' | 'backup' | 'user-data';
  model: string;
  serial: string;
  sizeBytes: number | null;
  /** 26 characters of Crockford's base32, lower case: 128 bits. */
  digest: string;
}

/** With these the whole stays below 200. */
const WORD_CHARS = 60;

/** Each byte that is not plain becomes `_`; so does a dot, which parts the words, and an empty word. */
const word = (text: string): string =>
  Array.from(new TextEncoder().encode(text).subarray(0, WORD_CHARS), (byte) => {
    const char = String.fromCharCode(byte);
    return /[A-Za-z0-9:-]/.test(char) ? char : '_';
  }).join('') || '_';

/** `byid:<role>.<model>.<serial>.<bytes>.<digest>` */
export const driveDurableId = ({ role, model, serial, sizeBytes, digest }: DriveFacts): string =>
  `byid:${[role, word(model), word(serial), String(sizeBytes ?? 0), digest].join('.')}`;
