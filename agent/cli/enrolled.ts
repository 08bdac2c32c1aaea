/** The guests that a command is about: the one that was named, or every enrolled one. */
import { listGuests } from '#shared/wire/admin';
import { ask } from './admin-client.ts';
import { CommandFailed, type Io } from './io.ts';

const theGuests = async (named: string | undefined, config: string): Promise<string[]> =>
  named === undefined ? (await ask(listGuests, { config })).guests.map(({ vmid }) => String(vmid)) : [named];

/** One guest that cannot be asked about does not hide the others: it is told, and the command has failed in the end. */
export const forEachGuest = async <T>(
  { named, config }: { named: string | undefined; config: string },
  { err, exit }: Io,
  each: (vmid: string) => Promise<T>,
): Promise<T[]> => {
  const found: T[] = [];
  let failed = false;
  for (const vmid of await theGuests(named, config)) {
    try {
      found.push(await each(vmid));
    } catch (error) {
      if (named !== undefined || !(error instanceof CommandFailed)) throw error;
      err(`guest ${vmid}: ${error.message}`);
      failed = true;
    }
  }
  if (failed) exit(1);
  return found;
};
