/** Whether a directory that Redis names is the one that we see by that name: it may run in a container, with names of its own. */
import { lstat, stat } from 'node:fs/promises';

/** A file's time may lag behind by a tick of the kernel. */
const TICK_MS = 100;

/** Which file it is and when it was written; null: not there, or not for us to see. */
const stampOf = async (path: string): Promise<{ id: string; mtimeMs: number } | null> => {
  try {
    const { dev, ino, mtimeNs, mtimeMs } = await lstat(path, { bigint: true });
    return { id: `${dev} ${ino} ${mtimeNs}`, mtimeMs: Number(mtimeMs) };
  } catch {
    return null;
  }
};

/** Call it before a dump that is ordered; the returned function tells whether that dump has come to this very place. */
export const watchFile = async (path: string | null): Promise<() => Promise<boolean>> => {
  if (path === null) return async () => false;
  const [before, began] = [await stampOf(path), Date.now()];
  return async () => {
    const after = await stampOf(path);
    if (after === null || after.id === before?.id) return false;
    return after.mtimeMs >= began - TICK_MS && after.mtimeMs <= Date.now() + TICK_MS;
  };
};

/** Whether that process works in the directory that we see. False where we may not look: proc_pid_cwd(5). */
export const worksIn = async (pid: number, directory: string): Promise<boolean> => {
  try {
    const [its, ours] = await Promise.all([stat(`/proc/${pid}/cwd/`), stat(directory)]);
    return its.dev === ours.dev && its.ino === ours.ino;
  } catch {
    return false;
  }
};

export const thatAre = async (paths: string[]): Promise<string[]> => {
  const found = await Promise.all(paths.map(async (path) => ((await stampOf(path)) === null ? [] : [path])));
  return found.flat();
};
