/** Small files of the state directory: read whole, replaced whole, durable when the write resolves. */
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';

export interface StateFiles {
  /** Where they lie, for sentences that name a file. */
  readonly directory: string;
  /** Null: there is no such file. */
  read(name: string): Promise<string | null>;
  /** Readable by the owner only. */
  write(name: string, content: string): Promise<void>;
}

const isMissing = (error: unknown): boolean => error instanceof Error && 'code' in error && error.code === 'ENOENT';

const syncDirectory = async (path: string): Promise<void> => {
  const handle = await open(path, 'r');
  await handle.sync().finally(() => handle.close());
};

export const stateFilesIn = (directory: string): StateFiles => ({
  directory,
  read: async (name) => {
    try {
      return await readFile(join(directory, name), 'utf8');
    } catch (error) {
      if (isMissing(error)) return null;
      throw error;
    }
  },
  write: async (name, content) => {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const partial = join(directory, `${name}.partial`);
    await rm(partial, { force: true });
    const handle = await open(partial, 'wx', 0o600);
    try {
      await handle.writeFile(content);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(partial, join(directory, name));
    await syncDirectory(directory);
  },
});
