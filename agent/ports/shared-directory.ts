/**
 * The directory that a guest is given for its drives: a small file system of its own in memory, whose mounts come and go in every
 * place that has it as a slave (mount_namespaces(7)). It holds mount points only, so that a guest, even one whose root is ours, can
 * neither fill a drive of the host through it nor leave anything in it.
 */
import { chmod, lstat, mkdir, readFile, rename, rm, rmdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { parseMountinfo } from '#shared/mountinfo';
import type { RunCommand } from './command.ts';
import { mountUnitName } from './mount-units.ts';
import type { Proc } from './proc.ts';

export interface SharedDirectories {
  /** Makes it, as often as wanted, and has it come back at each boot where somebody sees to that. Rejects where it cannot be had. */
  ensure(path: string): Promise<void>;
  /** Takes it away; nothing to do is no failure. Rejects while something is mounted below it. */
  remove(path: string): Promise<void>;
}

export interface SharedDirectoryPorts {
  run: RunCommand<'mount' | 'umount' | 'systemctl'>;
  proc: Pick<Proc, 'mountinfo' | 'mountinfoOf'>;
  /** Where systemd is the first process, its units lie here; null: it is not, and we mount ourselves. */
  unitDir: string | null;
}

const OPTIONS = 'mode=0755,size=64k,nr_inodes=1k,nosuid,nodev,noexec';
const SOURCE = 'felhom';

/** Whether a mount is there, and whether what is mounted below it shows elsewhere too (`shared:N`, proc_pid_mountinfo(5)). */
export const stateIn = (mountinfo: string, path: string): 'absent' | 'private' | 'shared' => {
  const lines = mountinfo.split('\n').filter((line) => parseMountinfo(line).some(({ point }) => point === path));
  const last = lines.at(-1);
  if (last === undefined) return 'absent';
  return /^(?:\S+ ){6}(?:\S+ )*?shared:\d+ /.test(last) ? 'shared' : 'private';
};

const unitText = (
  path: string,
): string => `# felhom-agent writes this file for an enrolled guest, and takes it away with it. What is changed here is lost.
[Unit]
Description=Where drives show for a guest
Documentation=file:///usr/lib/felhom/README.md

[Mount]
What=${SOURCE}
Where=${path}
Type=tmpfs
Options=${OPTIONS}

[Install]
WantedBy=local-fs.target
`;

/**
 * Nobody but root may have put it there, or could put something else in its place; a sticky directory (/tmp) keeps what is root's. And
 * an unprivileged container's root, who is nobody here, must be able to pass: LXC mounts in his name.
 */
const assertRoots = async (path: string): Promise<void> => {
  const entry = await lstat(path);
  const isOpen = (entry.mode & 0o022) !== 0 && (entry.mode & 0o1000) === 0;
  if (!entry.isDirectory() || entry.uid !== 0 || isOpen) throw new Error(`${path} is not a directory that only root can change.`);
  if ((entry.mode & 0o001) === 0) throw new Error(`${path} is closed to the root of unprivileged containers: chmod o+x ${path}`);
};

const makeDirectory = async (path: string): Promise<void> => {
  if (path !== '/') await makeDirectory(dirname(path));
  try {
    await mkdir(path, 0o755);
    // Whatever our umask is.
    await chmod(path, 0o755);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
  }
  await assertRoots(path);
};

/** Whole or not at all, and readable: systemd complains of units that others cannot read. */
const writeWhole = async (file: string, text: string): Promise<void> => {
  const beside = `${file}.felhom`;
  await writeFile(beside, text, { flush: true });
  await chmod(beside, 0o644);
  await rename(beside, file);
};

export const createSharedDirectories = ({ run, proc, unitDir }: SharedDirectoryPorts): SharedDirectories => {
  /** As whoever mounts sees them: systemd in the host's namespace, which may not be ours. */
  const state = async (path: string) => stateIn(await (unitDir === null ? proc.mountinfo() : proc.mountinfoOf(1)), path);

  const mountHere = async (path: string): Promise<void> => {
    if ((await state(path)) === 'absent') await run('mount', ['-t', 'tmpfs', '-o', OPTIONS, SOURCE, path]);
    // A mount on a shared one would share with it; this one is to have its own followers only.
    if ((await state(path)) === 'private') await run('mount', ['--make-shared', path]);
  };

  const unitFile = (dir: string, path: string): string => join(dir, mountUnitName(path));

  const mountByUnit = async (dir: string, path: string): Promise<void> => {
    const file = unitFile(dir, path);
    const text = unitText(path);
    const isWritten = (await readFile(file, 'utf8').catch(() => '')) === text;
    // It was started after it was enabled.
    if (isWritten && (await state(path)) === 'shared') return;
    if (!isWritten) {
      await writeWhole(file, text);
      await run('systemctl', ['daemon-reload']);
    }
    await run('systemctl', ['--quiet', 'enable', mountUnitName(path)]);
    await run('systemctl', ['start', mountUnitName(path)]);
  };

  const ensure = async (path: string): Promise<void> => {
    await makeDirectory(path);
    await (unitDir === null ? mountHere(path) : mountByUnit(unitDir, path));
    const now = await state(path);
    if (now !== 'shared') throw new Error(`${path} is ${now === 'absent' ? 'not mounted' : 'mounted, but not shared'}.`);
  };

  const remove = async (path: string): Promise<void> => {
    if (unitDir !== null && (await state(path)) !== 'absent') await run('systemctl', ['stop', mountUnitName(path)]);
    else if ((await state(path)) !== 'absent') await run('umount', [path]);
    if (unitDir !== null && (await readFile(unitFile(unitDir, path), 'utf8').catch(() => null)) !== null) {
      await run('systemctl', ['--quiet', 'disable', mountUnitName(path)]);
      await rm(unitFile(unitDir, path), { force: true });
      await run('systemctl', ['daemon-reload']);
    }
    await rmdir(path).catch((error: unknown) => {
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
    });
  };

  return { ensure, remove };
};
