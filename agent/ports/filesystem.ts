/** How much room a file system has and how large a file is, asked by child processes: a hung one stops only them. */
import { CommandError, type RunCommand } from './command.ts';

export interface Space {
  /** The same for every path of one file system. */
  device: string;
  totalBytes: number;
  /** What an ordinary user may still fill. */
  availBytes: number;
}

export interface Filesystem {
  space(path: string): Promise<Space>;
}

/** `%S` is the block size that the counts are in. stat(1). */
const parse = (path: string, device: string, figures: string): Space => {
  const [blockBytes = Number.NaN, total = Number.NaN, avail = Number.NaN] = figures.trim().split(' ').map(Number);
  if (!Number.isFinite(blockBytes * total * avail)) throw new Error(`stat told no figures of ${path}`);
  return { device: device.trim(), totalBytes: blockBytes * total, availBytes: blockBytes * avail };
};

export const createFilesystem = (run: RunCommand): Filesystem => ({
  space: async (path) => {
    const [device, figures] = await Promise.all([
      run('stat', ['-c', '%d', '--', path]),
      run('stat', ['-f', '-c', '%S %b %a', '--', path]),
    ]);
    return parse(path, device, figures);
  },
});

/** Bytes of a file; null when there is none. */
export const createFileSize =
  (run: RunCommand) =>
  async (path: string): Promise<number | null> => {
    try {
      return Number(await run('stat', ['-c', '%s', '--', path]));
    } catch (error) {
      if (error instanceof CommandError && error.reason === 'exit') return null;
      throw error;
    }
  };
