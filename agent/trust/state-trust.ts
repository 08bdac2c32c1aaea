/**
 * Whether the database is the one that it was: a second file counts the signatures that were used, so that a database that was lost or
 * put back from a copy forgets none of them unseen.
 */
import { randomBytes } from 'node:crypto';
import { FelhomError } from '#shared/errors';
import type { GrantCount, GrantFile } from '../ports/grant-file.ts';
import type { Journal } from '../ports/journal.ts';
import type { Statement, Store } from '../ports/store.ts';
import { base32 } from './base32.ts';

export interface StateTrustPorts {
  store: Pick<Store, 'all' | 'write'>;
  file: GrantFile;
  journal: Journal;
}

export interface StateTrust {
  /** Why no signature is accepted and no drive is written; empty where both agree. */
  why(): string;
  /** Null: missing or unreadable. */
  counts(): { database: number | null; file: number | null };
  /** Reads the file again. Never rejects. */
  look(): Promise<void>;
  /** Reads it again and proves that it can be written, so that no signature is used up where it cannot. Rejects. */
  prove(): Promise<void>;
  /** Counts one more in the database, in somebody else's write. */
  counting(): Statement;
  /** That write is durable: now the file. Rejects where that failed; what was used stays used. */
  counted(): Promise<void>;
  /** Both begin anew as they are; `more` is written with it, all or nothing. Rejects (`state-failed`) where the database is damaged. */
  accept(more: readonly Statement[]): Promise<void>;
}

/** Its text, or why there is none. */
type Seen = { count: GrantCount | null } | { unreadable: string };

const ACCEPT =
  'Look at it, then run "felhom-agent state accept": it takes things as they are and closes every operation that waits for a signature.';

/** Guests may read it, so it is no path. */
const FILE = "the file grants.json beside the operators' keys";
const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

/** Pure; empty where both agree. */
const disagreement = (database: GrantCount | null, seen: Seen): string => {
  if ('unreadable' in seen) return `${capital(FILE)} cannot be used (${seen.unreadable}).`;
  const { count } = seen;
  if (database === null && count === null) return `Neither the database nor ${FILE} is set up yet.`;
  if (database === null) return `The database is new, but ${FILE} is of an older one: the database was lost.`;
  if (count === null) return `${capital(FILE)} is missing.`;
  if (count.setupId !== database.setupId)
    return `The database and ${FILE} are not of the same setup: one of them was put back from a copy.`;
  if (database.counter < count.counter)
    return `The database knows of ${database.counter} used signatures, ${FILE} of ${count.counter}: the database was put back from a copy.`;
  return '';
};

const newSetupId = (): string => base32(randomBytes(16));

const putRow = ({ setupId, counter }: GrantCount): Statement => ({
  sql: 'INSERT INTO grant_state (one, setup_id, counter) VALUES (1, ?, ?) ON CONFLICT (one) DO UPDATE SET setup_id = excluded.setup_id, counter = excluded.counter',
  values: [setupId, counter],
});

/** Every page and every row. sqlite.org/pragma.html#pragma_quick_check */
const damageIn = async (store: Pick<Store, 'all'>): Promise<string> => {
  try {
    const [row] = await store.all<{ quick_check: string }>('PRAGMA quick_check(1)');
    return row?.quick_check === 'ok' ? '' : (row?.quick_check ?? 'no answer');
  } catch (error) {
    return String(error);
  }
};

export const loadStateTrust = async ({ store, file, journal }: StateTrustPorts): Promise<StateTrust> => {
  let damage = await damageIn(store);
  let database: GrantCount | null = null;
  let seen: Seen = { count: null };

  const readRow = async (): Promise<void> => {
    const [row] = await store.all<{ setup_id: string; counter: number }>('SELECT setup_id, counter FROM grant_state');
    database = row === undefined ? null : { setupId: row.setup_id, counter: row.counter };
  };

  const look = async (): Promise<void> => {
    seen = await file.read().then(
      (count): Seen => ({ count }),
      (error: unknown): Seen => ({
        unreadable: error instanceof Error && 'code' in error ? String(error.code) : 'it holds something else',
      }),
    );
  };

  const fileCount = (): GrantCount | null => ('count' in seen ? seen.count : null);

  const write = async (count: GrantCount): Promise<void> => {
    await file.write(count);
    seen = { count };
  };

  /** The file first: where it cannot be made, nothing is. */
  const setUp = async (): Promise<void> => {
    const count = { setupId: newSetupId(), counter: 0 };
    await write(count);
    await store.write(putRow(count));
    database = count;
  };

  const why = (): string => {
    const what = damage === '' ? disagreement(database, seen) : `The database is damaged: ${damage}.`;
    return what === '' ? '' : `${what} ${ACCEPT}`;
  };

  /** An agent that ended between the database and the file. */
  const bringForward = async (): Promise<void> => {
    if (why() === '' && database !== null && fileCount()?.counter !== database.counter) await write(database);
  };

  if (damage === '') await readRow();
  await look();
  try {
    if (damage === '' && database === null && 'count' in seen && seen.count === null) await setUp();
    await bringForward();
  } catch (error) {
    journal('error', 'The file that counts used signatures could not be written.', { file: file.path, cause: String(error) });
  }

  return {
    why,
    look,
    counts: () => ({ database: database?.counter ?? null, file: fileCount()?.counter ?? null }),
    prove: async () => {
      await look();
      if (why() !== '' || database === null) throw new Error(why());
      await write(database);
    },
    counting: () => ({ sql: 'UPDATE grant_state SET counter = counter + 1 WHERE one = 1' }),
    counted: async () => {
      if (database === null) throw new Error('nothing is set up');
      database = { ...database, counter: database.counter + 1 };
      await write(database);
    },
    accept: async (more) => {
      damage = await damageIn(store);
      if (damage !== '')
        throw new FelhomError(
          'state-failed',
          'The database is damaged, so it cannot be accepted. Put back a copy of it, or move it away: then the agent begins with an empty one.',
          new Error(damage),
        );
      const count = { setupId: newSetupId(), counter: Math.max(database?.counter ?? 0, fileCount()?.counter ?? 0) };
      await store.write(putRow(count), ...more);
      database = count;
      await write(count);
    },
  };
};
