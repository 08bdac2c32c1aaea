/** What a person types to have a drive erased, so that nobody erases one by a slip. Pure. */
import { driveDurableId } from '#shared/durable-id';
import { inert } from '#shared/inert';
import type { Disk } from '#shared/wire/disks';
import { driveSize } from './words.ts';

export interface Question {
  /** Without a colon: `Its model`. */
  what: string;
  /** Whether this is it, whole: letters of either case, blanks anywhere. */
  isIt: (typed: string) => boolean;
}

/** As people copy by eye. */
const folded = (text: string): string => text.normalize('NFKC').replace(/\s+/gu, '').toLowerCase();

const question = (what: string, ...expected: readonly string[]): Question => {
  const accepted = expected.map(folded).filter((one) => one !== '');
  return { what, isIt: (typed) => accepted.includes(folded(typed)) };
};

const LAST = 4;
const lastOf = (serial: string): string => Array.from(serial.replace(/\s+/gu, '')).slice(-LAST).join('');

/** Of a drive that has no model its name, and of one that has no serial number its size: there is always something to read and type. */
export const questionsOf = ({ name, model, serial, total_bytes }: Disk): readonly Question[] => {
  const size = driveSize(total_bytes);
  return [
    folded(model) === '' ? question('Its name', name) : question('Its model', model, inert(model)),
    lastOf(serial) === ''
      ? question('Its size', size, size.replace('.', ','))
      : question(
          `The last ${Array.from(lastOf(serial)).length} characters of its serial number`,
          lastOf(serial),
          inert(lastOf(serial)),
        ),
  ];
};

/** Whether an id that permits something was made of the drive that this entry shows: the words in both are the same. */
export const isIdOf = (durableId: string, { role, model, serial, total_bytes }: Disk): boolean => {
  const digest = durableId.slice(durableId.lastIndexOf('.') + 1);
  return driveDurableId({ role, model, serial, sizeBytes: total_bytes, digest }) === durableId;
};
