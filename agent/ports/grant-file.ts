/** The second witness of used signatures: a small file beside the operators' keys, away from the database that may be put back from a copy. */
import { dirname, join } from 'node:path';
import { stateFilesIn } from './state-files.ts';

export interface GrantCount {
  /** Of the database that counts along; random. */
  setupId: string;
  /** How many signatures were ever accepted. */
  counter: number;
}

export interface GrantFile {
  readonly path: string;
  /** Null: there is none. Rejects where it cannot be read, or holds something else. */
  read(): Promise<GrantCount | null>;
  /** Durable when it resolves. */
  write(count: GrantCount): Promise<void>;
}

const NAME = 'grants.json';

const SETUP_ID = /^[0-9a-z]{26}$/;

const parsed = (text: string, path: string): GrantCount => {
  const { setup_id, counter } = JSON.parse(text) as Record<string, unknown>;
  if (typeof setup_id === 'string' && SETUP_ID.test(setup_id) && Number.isSafeInteger(counter) && (counter as number) >= 0)
    return { setupId: setup_id, counter: counter as number };
  throw new Error(`${path} does not hold a count of signatures`);
};

/** @param keysFile `opsign.authorized_keys` */
export const grantFileBeside = (keysFile: string): GrantFile => {
  const files = stateFilesIn(dirname(keysFile));
  const path = join(files.directory, NAME);
  return {
    path,
    read: async () => {
      const text = await files.read(NAME);
      return text === null ? null : parsed(text, path);
    },
    write: ({ setupId, counter }) => files.write(NAME, `${JSON.stringify({ setup_id: setupId, counter })}\n`),
  };
};
