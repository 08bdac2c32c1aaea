/** The instance id that tells this running guest from a copy of it: made once per boot, since its directory is in memory. */
import { randomUUID } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** The id in the file; null where there is none, or this user may not read it: then it is better to send none than a second one. */
export const readInstance = async (runtimeDir: string): Promise<string | null> => {
  const text = await readFile(join(runtimeDir, 'instance'), 'utf8').catch(() => '');
  return UUID.test(text.trim()) ? text.trim() : null;
};

/** The id in the file, made if need be; one for this process alone where it cannot be kept. */
export const keepInstance = async (runtimeDir: string): Promise<string> => {
  const kept = await readInstance(runtimeDir);
  if (kept !== null) return kept;
  const made = randomUUID();
  try {
    await mkdir(runtimeDir, { recursive: true });
    await writeFile(join(runtimeDir, 'instance'), `${made}\n`, { mode: 0o600 });
  } catch {
    // Then it is this process' own, and the agent takes a restart within a minute for a second guest.
  }
  return made;
};
