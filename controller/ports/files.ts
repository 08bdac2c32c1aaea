/** Small files that survive a power cut: written beside, flushed, renamed, and the directory flushed. */
import { constants } from 'node:fs';
import { open, readFile, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

const syncDirectory = async (path: string): Promise<void> => {
  const directory = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
};

const writeFlushed = async (path: string, text: string): Promise<void> => {
  const file = await open(path, 'w', 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
};

/** Replaces the file as a whole, or throws and leaves the former one. */
export const replaceFile = async (path: string, text: string): Promise<void> => {
  const beside = `${path}.new`;
  try {
    await writeFlushed(beside, text);
    await rename(beside, path);
  } catch (error) {
    await rm(beside, { force: true }).catch(() => undefined);
    throw error;
  }
  await syncDirectory(dirname(path));
};

/** The text, or null when there is no such file. */
export const readText = async (path: string): Promise<string | null> => {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
};
