/** The file of operators' keys, read anew whenever a signature comes: a key that root retires signs no more from that moment. */
import { constants } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { GrantKey } from '#shared/grant';
import { KeysError, readKeys } from '#shared/operator-keys';

export interface OpsignKeys {
  /** By `kid`. Rejects (`KeysError`) where the file is missing, is not root's alone, or has one bad line; the message names the file. */
  read(): Promise<ReadonlyMap<string, GrantKey>>;
}

/** Hundreds of keys. */
const MOST_BYTES = 64 * 1024;
const OTHERS_MAY_WRITE = 0o022;

const asCode = (error: unknown): string => (error instanceof Error && 'code' in error ? String(error.code) : '');

/** A link is not followed: whoever may change what it points to decides who may sign. */
const opened = async (path: string): Promise<FileHandle> => {
  try {
    return await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    const code = asCode(error);
    if (code === 'ENOENT')
      throw new KeysError(
        `There is no ${path}, so there is nobody whose signature counts. Write into it the line that "felhom-opsign pubkey" prints, as root.`,
      );
    throw new KeysError(
      code === 'ELOOP' ? `${path} is a link; it has to be a file.` : `${path} cannot be read (${code || String(error)}).`,
    );
  }
};

const requireOwn = ({ uid, mode }: { uid: number; mode: number }, path: string): void => {
  if (uid === 0 && (mode & OTHERS_MAY_WRITE) === 0) return;
  throw new KeysError(`${path} has to be root's and writable by nobody else ("chown root ${path}; chmod go-w ${path}").`);
};

const keysIn = async (text: string, path: string): Promise<ReadonlyMap<string, GrantKey>> => {
  try {
    return await readKeys(text);
  } catch (error) {
    throw error instanceof KeysError ? new KeysError(`${path}: ${error.message}`) : error;
  }
};

const textOf = async (handle: FileHandle, path: string): Promise<string> => {
  const facts = await handle.stat();
  if (!facts.isFile()) throw new KeysError(`${path} is not a file.`);
  requireOwn(facts, path);
  if (facts.size > MOST_BYTES) throw new KeysError(`${path} is too large for a list of keys (${facts.size} bytes).`);
  return await handle.readFile('utf8');
};

export const opsignKeysIn = (path: string): OpsignKeys => ({
  read: async () => {
    const handle = await opened(path);
    try {
      requireOwn(await stat(dirname(path)), dirname(path));
      return await keysIn(await textOf(handle, path), path);
    } finally {
      await handle.close();
    }
  },
});
