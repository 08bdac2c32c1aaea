/** Whose account may open a database: its owner's, and root's only where nobody else could have put the file there. */
import { lstat, readlink } from 'node:fs/promises';
import { basename, dirname, resolve } from 'node:path';
import { checkTrusted } from '../trust.ts';
import type { Account } from './adapter.ts';

/** As many as Linux follows: path_resolution(7). */
const MOST_LINKS = 40;

/** None, or none any more. */
export class NoDatabase extends Error {
  override readonly name = 'NoDatabase';

  constructor(path: string) {
    super(`there is no database ${path}`);
  }
}

interface Link {
  path: string;
  uid: number;
}

/** Every component by itself, links read and not followed blindly. @param links those met so far */
const follow = async (path: string, links: Link[]): Promise<string> => {
  if (path === '/') return path;
  const above = await follow(dirname(path), links);
  const here = resolve(above, basename(path));
  const found = await lstat(here);
  if (!found.isSymbolicLink()) return here;
  links.push({ path: here, uid: found.uid });
  if (links.length > MOST_LINKS) throw new Error(`${here} leads round in a circle`);
  return follow(resolve(above, await readlink(here)), links);
};

/**
 * A link is followed only where root or the file's own owner made it: otherwise another account could have us open, as root or as
 * a third one, what it could not open itself.
 */
export const ownerOf = async (path: string): Promise<Account> => {
  const links: Link[] = [];
  const real = await follow(resolve(path), links).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') throw new NoDatabase(path);
    throw error;
  });
  const found = await lstat(real);
  if (!found.isFile()) throw new NoDatabase(path);
  const { uid, gid } = found;
  const foreign = links.find((link) => link.uid !== 0 && link.uid !== uid);
  if (foreign !== undefined)
    throw new Error(`the link ${foreign.path} belongs neither to root nor to the owner of the database: name ${real} instead`);
  if (uid === 0) await checkTrusted(real);
  return { uid, gid, name: null };
};
