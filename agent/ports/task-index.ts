/** The node's list of running and recent tasks, from its file: rewritten at every start, whoever starts (PVE/RESTEnvironment.pm). */
import { open, readdir } from 'node:fs/promises';
import { join } from 'node:path';

export interface IndexedTask {
  upid: string;
  /** As far as Proxmox has noticed: a worker that was killed stays here for up to ten seconds. */
  running: boolean;
  /** Empty while it runs. */
  status: string;
}

export interface TaskIndex {
  /** The same array again while the file has not changed; null where it cannot be read. */
  read(): Promise<readonly IndexedTask[] | null>;
}

/** `<UPID> <saved> [<end time, hexadecimal> <status>]` (PVE/INotify.pm, write_active_workers). */
const LINE = /^(\S+) [01](?: ([0-9A-Fa-f]{8,})(?: (.*))?)?$/;

const parseLine = (line: string): IndexedTask[] => {
  const [, upid, endtime, status = ''] = LINE.exec(line) ?? [];
  return upid === undefined ? [] : [{ upid, running: endtime === undefined, status }];
};

interface Version {
  stamp: string;
  tasks: readonly IndexedTask[];
}

export const createTaskIndex = (directory: string): TaskIndex => {
  let known: Version | null = null;

  const readChanged = async (): Promise<Version> => {
    const file = await open(join(directory, 'active'), 'r');
    try {
      const { ino, size, mtimeNs } = await file.stat({ bigint: true });
      const stamp = `${ino} ${size} ${mtimeNs}`;
      if (known?.stamp === stamp) return known;
      return { stamp, tasks: (await file.readFile('utf8')).split('\n').flatMap(parseLine) };
    } finally {
      await file.close();
    }
  };

  /** A node on which no task ever ran has neither of its two lists. */
  const isUntouched = async (): Promise<boolean> => {
    const names = await readdir(directory).catch(() => null);
    return names !== null && !names.includes('active') && !names.includes('index');
  };

  return {
    read: async () => {
      known = await readChanged().catch(() => null);
      if (known !== null) return known.tasks;
      return (await isUntouched()) ? [] : null;
    },
  };
};
