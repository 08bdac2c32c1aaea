/** Whether what root obeys could have been written by another account: the file itself, and every directory above it. */
import { lstat, open, realpath, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Its message names the command that mends it. */
export class Untrusted extends Error {
  override readonly name = 'Untrusted';
}

export interface Wanted {
  /** Nobody but its owner and group may read it either. */
  secret?: boolean;
}

const OTHERS_WRITE = 0o022;
const OTHERS_READ = 0o004;
/** In a sticky directory nobody replaces the entry of another account (inode(7)). */
const STICKY = 0o1000;
const MOST_BYTES = 1024 * 1024;

const OWN_UID = process.geteuid?.() ?? 0;
const isTrusted = (uid: number): boolean => uid === 0 || uid === OWN_UID;
const OWNER = OWN_UID === 0 ? 'root' : `root or the user with the number ${OWN_UID}`;
const CHOWN = OWN_UID === 0 ? 'chown root:root' : `chown ${OWN_UID}`;

/** As a shell takes it for one word. */
const word = (path: string): string => (/^[\w@%+=:,./-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`);

/** `/a/b` and every directory above it, the root first. */
const withParents = (directory: string): string[] =>
  directory === '/' ? ['/'] : [...withParents(dirname(directory)), directory];

const checkOwner = (path: string, uid: number): void => {
  if (!isTrusted(uid)) throw new Untrusted(`${path} must belong to ${OWNER}: ${CHOWN} ${word(path)}`);
};

const checkDirectory = async (path: string): Promise<void> => {
  const { uid, mode } = await stat(path);
  checkOwner(path, uid);
  if ((mode & OTHERS_WRITE) !== 0 && (mode & STICKY) === 0)
    throw new Untrusted(`others may write in the directory ${path}: chmod go-w ${word(path)}`);
};

const checkFile = async (path: string, { secret = false }: Wanted): Promise<void> => {
  const found = await stat(path);
  if (!found.isFile()) throw new Untrusted(`${path} is not a file`);
  checkOwner(path, found.uid);
  if (secret && (found.mode & (OTHERS_READ | OTHERS_WRITE)) !== 0)
    throw new Untrusted(`others may read or write ${path}: chmod 600 ${word(path)}`);
  if ((found.mode & OTHERS_WRITE) !== 0)
    throw new Untrusted(`others may write ${path}: chmod ${(found.mode & 0o111) === 0 ? '644' : '755'} ${word(path)}`);
};

/** Rejects with Untrusted, or where it cannot be looked at. */
export const checkTrusted = async (path: string, wanted: Wanted = {}): Promise<void> => {
  const real = await realpath(path);
  for (const directory of new Set([...withParents(dirname(path)), ...withParents(dirname(real))]))
    await checkDirectory(directory);
  checkOwner(path, (await lstat(path)).uid);
  await checkFile(real, wanted);
};

/** The text of a file that only root can have written; null when there is no such file. */
export const readTrusted = async (path: string, wanted: Wanted = {}): Promise<string | null> => {
  try {
    await checkTrusted(path, wanted);
    const file = await open(path, 'r');
    try {
      if ((await file.stat()).size > MOST_BYTES) throw new Untrusted(`${path} is larger than 1 MiB`);
      return await file.readFile('utf8');
    } finally {
      await file.close();
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
};
