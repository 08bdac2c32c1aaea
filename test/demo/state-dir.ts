/** The demo's own directory: emptied at each start, and never one that is somebody else's. */
import { chmodSync, existsSync, mkdirSync, readdirSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { takeDown } from './take-down.ts';

const MARK = '.felhom-demo';

/** Unix sockets may have 107 bytes of path (unix(7)); the longest one below is `agent/run/admin.sock`. */
const LONGEST = 107 - '/agent/run/admin.sock'.length;

/** An empty directory for the demo, without the drives of one that was killed; refuses one with anything else in it. */
export const prepareStateDir = async (path: string): Promise<string> => {
  const dir = existsSync(path) ? realpathSync(path) : resolve(path);
  if (Buffer.byteLength(dir) > LONGEST) {
    throw new Error(
      `The path of the state directory is longer than ${LONGEST} bytes. Choose a shorter one: --state /tmp/felhom-demo`,
    );
  }
  const found = existsSync(dir) ? readdirSync(dir) : [];
  if (found.length > 0 && !found.includes(MARK)) {
    throw new Error(`${dir} holds files that are not the demo's. Choose an empty or new directory: --state DIR`);
  }
  const left = await takeDown(dir);
  if (left !== '') throw new Error(`Drives of an earlier demo in ${dir} cannot be taken away. ${left}`);
  rmSync(dir, { recursive: true, force: true });
  mkdirSync(dir, { recursive: true });
  // Root's is passed through on the way to drives, as a host's own directories are.
  chmodSync(dir, process.getuid?.() === 0 ? 0o711 : 0o700);
  writeFileSync(join(dir, MARK), 'Made by `npm run demo`; emptied at its next start.\n');
  return realpathSync(dir);
};
