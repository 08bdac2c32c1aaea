/** A guest's data at one moment: read-only btrfs snapshots where the volumes allow it, else copies. */

import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm, stat, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** A volume and where it stands in the archive: `/`, `/data`, `/scsi0`. */
export interface Source {
  directory: string;
  at: string;
}

/** One directory to archive from, and the path in it that holds the volume. */
export interface CutTree {
  root: string;
  at: string;
}

export interface Cut {
  trees: CutTree[];
  remove(): Promise<void>;
}

const BTRFS_MAGIC = 0x9123683e;
/** Every btrfs subvolume's root has this inode number. */
const SUBVOLUME_INODE = 256;

const isSubvolume = async (directory: string): Promise<boolean> =>
  process.getuid?.() === 0 && (await statfs(directory)).type === BTRFS_MAGIC && (await stat(directory)).ino === SUBVOLUME_INODE;

const snapshot = async (source: Source): Promise<{ tree: CutTree; remove(): Promise<void> } | undefined> => {
  if (!(await isSubvolume(source.directory))) return undefined;
  const root = await mkdtemp(join(dirname(source.directory), '.vzdump-'));
  // The volume at `/` must be below a directory too: the snapshot is made, not filled.
  const inside = source.at === '/' ? '/root' : source.at;
  await mkdir(dirname(join(root, inside)), { recursive: true });
  try {
    await run('btrfs', ['subvolume', 'snapshot', '-r', source.directory, join(root, inside)]);
  } catch {
    await rm(root, { recursive: true, force: true });
    return undefined;
  }
  const remove = async (): Promise<void> => {
    await run('btrfs', ['subvolume', 'delete', join(root, inside)]);
    await rm(root, { recursive: true, force: true });
  };
  return { tree: source.at === '/' ? { root: join(root, inside), at: '/' } : { root, at: source.at }, remove };
};

/** Files may come and go while they are copied; that is not a failure, as it is none of a snapshot. */
const vanished = (error: unknown): boolean =>
  String((error as { stderr?: unknown }).stderr)
    .trim()
    .split('\n')
    .every((line) => /No such file or directory/.test(line));

const copy = async (source: Source): Promise<{ tree: CutTree; remove(): Promise<void> }> => {
  const root = await mkdtemp(join(tmpdir(), 'felhom-vzdump-'));
  const remove = (): Promise<void> => rm(root, { recursive: true, force: true });
  try {
    await mkdir(join(root, source.at), { recursive: true });
    await run('cp', ['-a', '--reflink=auto', `${source.directory}/.`, join(root, source.at)]).catch((error: unknown) => {
      if (!vanished(error)) throw error;
    });
  } catch (error) {
    await remove();
    throw error;
  }
  return { tree: { root, at: source.at }, remove };
};

/** With a gap one volume after the other, in their order, each `gapMs` after the last; without, all at once. */
const takeAll = async (sources: readonly Source[], gapMs: number) => {
  const take = async (source: Source) => (await snapshot(source)) ?? copy(source);
  if (gapMs === 0) return Promise.allSettled(sources.map(take));
  const taken: PromiseSettledResult<Awaited<ReturnType<typeof take>>>[] = [];
  for (const source of sources) {
    if (taken.length > 0) await sleep(gapMs);
    taken.push(...(await Promise.allSettled([take(source)])));
  }
  return taken;
};

export const takeCut = async (sources: readonly Source[], gapMs = 0): Promise<Cut> => {
  const taken = await takeAll(sources, gapMs);
  const done = taken.flatMap((t) => (t.status === 'fulfilled' ? [t.value] : []));
  const remove = async (): Promise<void> => {
    await Promise.all(done.map((d) => d.remove()));
  };
  const failed = taken.find((t) => t.status === 'rejected');
  if (failed) {
    await remove();
    throw failed.reason;
  }
  return { trees: done.map((d) => d.tree), remove };
};

/** Bytes in files, of those changed since `sinceMs`: what rsync would transfer. */
export const bytesUnder = async (directory: string, sinceMs = 0): Promise<number> => {
  const entries = await readdir(directory, { withFileTypes: true, recursive: true }).catch(() => []);
  const sizes = entries
    .filter((e) => e.isFile())
    .map((e) =>
      stat(join(e.parentPath, e.name)).then(
        (s) => (s.ctimeMs >= sinceMs ? s.size : 0),
        () => 0,
      ),
    );
  return (await Promise.all(sizes)).reduce((a, b) => a + b, 0);
};
