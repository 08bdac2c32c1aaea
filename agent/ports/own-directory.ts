/** A directory that is the agent's alone. */
import { chmodSync, mkdirSync, readdirSync, statSync } from 'node:fs';

/**
 * Makes it, or closes it to others. One that is open to others and lacks `mark`, which the agent's own always holds, is somebody
 * else's: a slip such as `/run` or `/var/lib` in the configuration must not lock everybody out of it.
 */
export const ownDirectory = (path: string, mark: string): void => {
  if (mkdirSync(path, { recursive: true, mode: 0o700 }) !== undefined) return;
  if ((statSync(path).mode & 0o077) === 0) return;
  const names = readdirSync(path);
  if (names.length > 0 && !names.includes(mark)) {
    throw new Error(
      `The directory ${path} is open to others and holds what is not the agent's. Name a directory for the agent alone, or, if it is that, close it with: chmod 700 ${path}`,
    );
  }
  chmodSync(path, 0o700);
};
