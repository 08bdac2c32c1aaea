/** SQLite databases that processes have open right now. Pure. */
import { basename, dirname } from 'node:path/posix';
import type { Findings, FoundProcess } from './findings.ts';
import { onAnotherMount, outsideOfBackups } from './places.ts';
import type { Part, Proposed } from './proposal.ts';

/** What can be made anew, or is nobody's data; and felhom's own. */
const NOT_DATA = /^\/(?:dev|proc|run|sys|tmp|var\/(?:cache|lib\/felhom-[a-z]+))\/|\/\.cache\//;

interface OpenDatabase {
  path: string;
  by: FoundProcess[];
}

/** `data.db` of `/var/lib/notes` says little: its directory is named too. */
const nameOf = (path: string): string => {
  const stem = basename(path).replace(/\.[^.]*$/, '');
  return /^(?:app|data|database|db|main|sqlite|store)$/i.test(stem) ? `${basename(dirname(path))}-${stem}` : stem;
};

const openDatabases = (processes: readonly FoundProcess[]): OpenDatabase[] => {
  const found = new Map<string, FoundProcess[]>();
  for (const process of processes) {
    // What is in a container is seen there only; its container is held as a whole.
    if (process.container !== null) continue;
    const paths = new Set((process.files ?? []).filter(({ sqlite }) => sqlite).map(({ path }) => path));
    for (const path of paths) if (!NOT_DATA.test(path)) found.set(path, [...(found.get(path) ?? []), process]);
  }
  return [...found].map(([path, by]) => ({ path, by })).sort((a, b) => (a.path < b.path ? -1 : 1));
};

const whose = ({ name, pid, unit }: FoundProcess): string => `${name} (${unit ?? `process ${pid}`})`;

export const sqliteDatabases = ({ processes, mounts }: Findings): Part[] =>
  openDatabases(processes).map(({ path, by }) => {
    const outside = outsideOfBackups(mounts, path);
    if (outside !== null) return { uncovered: [`The SQLite database ${outside}, which is in no backup of this guest.`] };
    const proposed: Proposed = {
      entry: { name: nameOf(path), adapter: 'sqlite', path },
      why: [`A SQLite database that ${[...new Set(by.map(whose))].join(', ')} has open.`, ...onAnotherMount(mounts, [path])],
      active: true,
    };
    return { proposed: [proposed] };
  });
