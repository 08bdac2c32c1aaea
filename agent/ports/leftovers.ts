/** What a killed vzdump leaves in the dump directory: the unfinished archive and its temporary directory. */
import { join } from 'node:path';
import { CommandError, type RunCommand } from './command.ts';

export interface Leftovers {
  /** Removes what is left of one archive, named as vzdump names it, and answers the names of what was there. */
  remove(dumpDir: string, archiveBaseName: string): Promise<string[]>;
}

/** With the second it was begun in, so that nothing of another run fits (PVE/VZDump.pm). */
const NAME = /^(vzdump-(?:lxc|qemu)-\d+-\d{4}_\d\d_\d\d-\d\d_\d\d_\d\d)(?:\.(?:tar|vma)(?:\.(?:zst|gz|lzo))?)?$/;

/** The archive's last suffix gives way to `.dat` (PVE/VZDump.pm, tmptar), so it follows the format or, uncompressed, the name. */
const SUFFIXES = ['.dat', '.tar.dat', '.vma.dat', '.tmp'];

export const createLeftovers = (run: RunCommand): Leftovers => {
  const isThere = async (path: string): Promise<boolean> => {
    try {
      await run('stat', ['-c', '%i', '--', path]);
      return true;
    } catch (error) {
      if (error instanceof CommandError && error.reason === 'exit') return false;
      throw error;
    }
  };

  return {
    remove: async (dumpDir, archiveBaseName) => {
      const base = NAME.exec(archiveBaseName)?.[1];
      if (base === undefined) throw new Error(`${archiveBaseName} is not the name of a vzdump archive.`);
      const removed: string[] = [];
      for (const name of SUFFIXES.map((suffix) => base + suffix)) {
        const path = join(dumpDir, name);
        if (!(await isThere(path))) continue;
        // The temporary directory of a suspend-mode run holds a copy of the guest: its links are never followed.
        await run('rm', ['-rf', '--one-file-system', '--', path]);
        removed.push(name);
      }
      return removed;
    },
  };
};
