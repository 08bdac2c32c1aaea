/** One loop per state directory. The lock names a process by number and start time, so that a dead one's is taken over. */
import { randomUUID } from 'node:crypto';
import { link, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

export type LockResult =
  | { kind: 'held'; release: () => Promise<void> }
  | { kind: 'taken'; pid: number }
  | { kind: 'unwritable'; error: Error };

const BOOT_ID = '/proc/sys/kernel/random/boot_id';

/** `<pid> <start time> <boot>` of a living process; null when there is none. proc_pid_stat(5): field 22, after the name in brackets. */
const identify = async (pid: number): Promise<string | null> => {
  try {
    const [stat, boot] = await Promise.all([readFile(`/proc/${pid}/stat`, 'utf8'), readFile(BOOT_ID, 'utf8')]);
    const started = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
    return `${pid} ${started} ${boot.trim()}`;
  } catch {
    return null;
  }
};

/** The number of the living process that holds it; null when the lock is stale, unreadable or not there. */
const holderOf = async (path: string): Promise<number | null> => {
  const text = (await readFile(path, 'utf8').catch(() => '')).trim();
  const pid = Number.parseInt(text, 10);
  return pid > 0 && (await identify(pid)) === text ? pid : null;
};

/** Links our own file in place: exactly one of several can. */
const linked = async (own: string, path: string): Promise<boolean> => {
  try {
    await link(own, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
};

/** Puts a stale lock aside, and back again if it turns out that another start has just made it. */
const putAside = async (path: string, aside: string): Promise<void> => {
  await rename(path, aside).catch(() => undefined);
  if ((await holderOf(aside)) !== null) await link(aside, path).catch(() => undefined);
  await rm(aside, { force: true });
};

const acquire = async (path: string, own: string): Promise<LockResult> => {
  const me = await identify(process.pid);
  await writeFile(own, `${me}\n`, { mode: 0o600 });
  for (let attempt = 0; attempt < 5; attempt++) {
    if (await linked(own, path)) {
      return { kind: 'held', release: async () => rm(path, { force: true }).catch(() => undefined) };
    }
    const pid = await holderOf(path);
    if (pid !== null) return { kind: 'taken', pid };
    await putAside(path, `${own}.aside`);
  }
  return { kind: 'taken', pid: 0 };
};

/** The loop that runs on this state directory now; null when none does. */
export const runningLoop = (stateDir: string): Promise<number | null> => holderOf(join(stateDir, 'lock'));

/** No reason not to back up. */
const DISK_TROUBLE = ['ENOSPC', 'EDQUOT', 'EROFS', 'EIO'];

/**
 * @param name of this try's own file: two starts may have one process number, in a container each
 * @throws where the directory is not there or not this user's
 */
export const lockState = async (stateDir: string, name = `lock.${randomUUID()}`): Promise<LockResult> => {
  const path = join(stateDir, 'lock');
  const own = join(stateDir, name);
  try {
    return await acquire(path, own);
  } catch (error) {
    if (!DISK_TROUBLE.includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    const pid = await holderOf(path);
    return pid === null ? { kind: 'unwritable', error: error as Error } : { kind: 'taken', pid };
  } finally {
    await rm(own, { force: true }).catch(() => undefined);
  }
};
