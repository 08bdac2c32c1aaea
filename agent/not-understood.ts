/** What says that a source was read but is not what it should be. */
export class NotUnderstood extends Error {
  override readonly name = 'NotUnderstood';
}

/** Text of a file that people or programs write; a byte of zero or broken UTF-8 means that something else is in it. */
export const plainText = (bytes: Buffer, file: string): string => {
  const text = bytes.toString('utf8');
  if (text.includes('\0') || !Buffer.from(text, 'utf8').equals(bytes)) throw new NotUnderstood(`${file} is not text`);
  return text;
};
