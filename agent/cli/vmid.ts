/** A guest's number as a command's argument. */
import { InvalidArgumentError } from 'commander';

export const vmid = (text: string): string => {
  if (/^[1-9][0-9]{2,8}$/.test(text)) return text;
  throw new InvalidArgumentError('A guest number is 100 or more, as "pct list" and "qm list" show it.');
};
