/** What tells this start of the host from every other. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** random(4). */
export const readBootId = async (proc = '/proc'): Promise<string> =>
  (await readFile(join(proc, 'sys/kernel/random/boot_id'), 'utf8')).trim();
