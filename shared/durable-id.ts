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

/** Of a model or a serial; what is longer is cut. With these the whole stays below 200. */
export const WORD_CHARS = 60;

/** As a word of an id: each byte that is not plain becomes `_`; so does a dot, which parts the words, and an empty word. */
export const durableWord = (text: string): string =>
  Array.from(new TextEncoder().encode(text).subarray(0, WORD_CHARS), (byte) => {
    const char = String.fromCharCode(byte);
    return /[A-Za-z0-9:-]/.test(char) ? char : '_';
  }).join('') || '_';

/** `byid:<role>.<model>.<serial>.<bytes>.<digest>` */
export const driveDurableId = ({ role, model, serial, sizeBytes, digest }: DriveFacts): string =>
  `byid:${[role, durableWord(model), durableWord(serial), String(sizeBytes ?? 0), digest].join('.')}`;

/** 128 bits in 26 characters: the last one carries but three. */
const DRIVE_ID =
  /^byid:(system|backup|user-data)\.([A-Za-z0-9:_-]{1,60})\.([A-Za-z0-9:_-]{1,60})\.(0|[1-9][0-9]{0,15})\.([0-9a-hjkmnp-tv-z]{25}[048cgmrw])$/;

/** The other way round: what `driveDurableId` put in, model and serial as words; null for anything that it never makes. */
export const readDriveDurableId = (text: string): DriveFacts | null => {
  const [, role, model, serial, bytes, digest] = (isDurableId(text) && DRIVE_ID.exec(text)) || [];
  if (role === undefined || model === undefined || serial === undefined || digest === undefined) return null;
  const sizeBytes = Number(bytes);
  if (!Number.isSafeInteger(sizeBytes)) return null;
  return { role: role as DriveFacts['role'], model, serial, sizeBytes: sizeBytes === 0 ? null : sizeBytes, digest };
};
