/** An archive's volume id as a command's argument. */
import { InvalidArgumentError } from 'commander';

export const volid = (text: string): string => {
  if (/^[A-Za-z][A-Za-z0-9._-]*:.+$/.test(text) && text.length <= 512) return text;
  throw new InvalidArgumentError('Name an archive as "felhom-agent backup list" shows it: <storage>:backup/<file>.');
};
