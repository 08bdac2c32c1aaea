/** Reading below /sys: its files come and go with their devices. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** sysfs says so of what is gone, or of what this device does not have. */
const ABSENT: ReadonlySet<unknown> = new Set(['ENOENT', 'ENOTDIR', 'ENODEV', 'ENXIO']);
const isAbsent = (error: unknown): boolean => error instanceof Error && 'code' in error && ABSENT.has(error.code);

export const entries = async (directory: string): Promise<string[]> => {
  try {
    return (await readdir(directory)).sort();
  } catch {
    return [];
  }
};

/** Empty where there is nothing to read. */
export const line = async (...path: string[]): Promise<string> => {
  try {
    return (await readFile(join(...path), 'utf8')).trim();
  } catch {
    return '';
  }
};

/** As `entries`, but empty only where the directory is not there: what cannot be read rejects. */
export const surelyEntries = async (directory: string): Promise<string[]> => {
  try {
    return (await readdir(directory)).sort();
  } catch (error) {
    if (isAbsent(error)) return [];
    throw error;
  }
};

/** As `line`, but empty only where the file is not there, and blanks are kept: they may be part of a name. */
export const surelyLine = async (...path: string[]): Promise<string> => {
  try {
    return (await readFile(join(...path), 'utf8')).replace(/\n$/, '');
  } catch (error) {
    if (isAbsent(error)) return '';
    throw error;
  }
};

export const each = <T>(names: readonly string[], read: (name: string) => Promise<T>): Promise<T[]> =>
  Promise.all(names.map(read));
