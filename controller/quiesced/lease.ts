/** The lease: what is held and how each is let go, on disk before the first hold; and its marker in /run, gone after a reboot. */
import { randomUUID } from 'node:crypto';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import type { QuiesceApp } from '#shared/quiesce/config';
import { errorText } from '#shared/quiesce/plain-text';
import type { State } from './adapters/adapter.ts';
import { removeFile, replaceFile } from './files.ts';
import type { Say } from './log.ts';
import type { ProcessId } from './proc.ts';
import { checkTrusted, readTrusted } from './trust.ts';

/** All that a release needs: neither quiesce.yaml nor anybody's answer. */
export interface LeasedApp {
  app: QuiesceApp;
  state: State;
}

interface LeaseFile {
  id: string;
  apps: LeasedApp[];
}

export interface Leftovers {
  children: ProcessId[];
  /** Of their commands. */
  groups: ProcessId[];
}

interface MarkerFile extends Leftovers {
  id: string;
}

/** What a start finds. */
export interface FoundLease {
  apps: LeasedApp[];
  /** Made since the boot, by a process that has died; otherwise from before a reboot, or out of an archive. */
  live: boolean;
  leftovers: Leftovers;
}

export interface LeaseStore {
  read(): Promise<FoundLease>;
  /** Returns once it is durable; rejects where it cannot be, and then it holds what it held before. */
  add(apps: readonly LeasedApp[]): Promise<void>;
  /** It is back, or was never touched. Never fails: what stays on disk too long is let go once more at the next start. */
  drop(name: string): void;
  /** Nothing is written to the disk from now on, unless it is asked for by `add`. */
  begin(): void;
  /** What was dropped meanwhile is written. */
  end(): void;
  /** The processes that a next start has to end first, should this one die. */
  mark(leftovers: Leftovers): Promise<void>;
  /** Resolves when nothing is left to write. */
  settled(): Promise<void>;
}

const parse = <T>(text: string | null): T | null => (text === null ? null : (JSON.parse(text) as T));

export interface LeasePlace {
  stateDir: string;
  runtimeDir: string;
  say: Say;
  /** Rejects where somebody else could have written the file, or it cannot be read. */
  readFile?: (path: string) => Promise<string | null>;
}

/** No reason to take a lease for unreadable: no descriptor or memory left, a disk that does not answer. */
const PASSING = ['EMFILE', 'ENFILE', 'ENOMEM', 'EAGAIN', 'EIO', 'ETIMEDOUT'];
const READ_AGAIN = { tries: 30, everyMs: 1000 };

export const openLeases = ({ stateDir, runtimeDir, say, readFile = readTrusted }: LeasePlace): LeaseStore => {
  const leasePath = join(stateDir, 'lease.json');
  const markerPath = join(runtimeDir, 'marker.json');
  const entries = new Map<string, LeasedApp>();
  let id = randomUUID();
  let leftovers: Leftovers = { children: [], groups: [] };
  /** What is on disk, as names; null: not known. */
  let onDisk: string | null = '';

  /** One writer at a time, in the order of the calls. */
  let turn: Promise<unknown> = Promise.resolve();
  const inTurn = (act: () => Promise<void>): Promise<void> => {
    const result = turn.then(act);
    turn = result.catch(() => undefined);
    return result;
  };

  const writeMarker = async (): Promise<void> => {
    const marker: MarkerFile = { id, ...leftovers };
    await writeFile(`${markerPath}.new`, JSON.stringify(marker), { mode: 0o600 });
    await rename(`${markerPath}.new`, markerPath);
  };

  const write = async (): Promise<void> => {
    const wanted = [...entries.keys()].join('\n');
    if (wanted === onDisk) return;
    onDisk = null;
    if (wanted === '') {
      await removeFile(leasePath);
      await rm(markerPath, { force: true });
      id = randomUUID();
    } else {
      const lease: LeaseFile = { id, apps: [...entries.values()] };
      await mkdir(stateDir, { recursive: true, mode: 0o700 });
      await replaceFile(leasePath, `${JSON.stringify(lease)}\n`);
      await writeMarker();
    }
    onDisk = wanted;
  };

  let quiet = false;
  const rewrite = (): void => {
    if (quiet) return;
    inTurn(write).catch((error: unknown) => say(4, `the lease could not be brought up to date: ${errorText(error)}`));
  };

  const readMarker = async (): Promise<MarkerFile | null> => {
    try {
      return parse<MarkerFile>(await readTrusted(markerPath));
    } catch {
      return null;
    }
  };

  const readPatiently = async (path: string): Promise<string | null> => {
    for (let tries = 1; ; tries++) {
      try {
        return await readFile(path);
      } catch (error) {
        if (tries >= READ_AGAIN.tries || !PASSING.includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
        if (tries === 1) say(4, `the lease cannot be read yet: ${errorText(error)}`);
        await setTimeout(READ_AGAIN.everyMs);
      }
    }
  };

  return {
    read: async () => {
      const marker = await readMarker();
      const found = { live: false, leftovers: { children: marker?.children ?? [], groups: marker?.groups ?? [] } };
      try {
        const lease = parse<LeaseFile>(await readPatiently(leasePath));
        for (const leased of lease?.apps ?? []) entries.set(leased.app.name, leased);
        if (lease !== null) id = lease.id as typeof id;
        onDisk = null;
        return { ...found, apps: [...entries.values()], live: lease !== null && marker?.id === lease.id };
      } catch (error) {
        say(3, `the lease on disk cannot be obeyed, and is put aside: ${errorText(error)}`);
        await rename(leasePath, `${leasePath}.unreadable`).catch(() => undefined);
        return { ...found, apps: [] };
      }
    },
    add: async (apps) => {
      for (const leased of apps) entries.set(leased.app.name, leased);
      try {
        onDisk = null;
        await inTurn(write);
        // What the next start would not obey lets nobody go.
        for (const path of [leasePath, markerPath]) await checkTrusted(path);
      } catch (error) {
        for (const { app } of apps) entries.delete(app.name);
        onDisk = null;
        rewrite();
        throw error;
      }
    },
    drop: (name) => {
      if (entries.delete(name)) rewrite();
    },
    begin: () => {
      quiet = true;
    },
    end: () => {
      if (!quiet) return;
      quiet = false;
      rewrite();
    },
    mark: (now) => {
      leftovers = now;
      return inTurn(async () => {
        if (entries.size > 0) await writeMarker();
      });
    },
    settled: async () => {
      for (let last: unknown; last !== turn; ) {
        last = turn;
        await last;
      }
    },
  };
};
