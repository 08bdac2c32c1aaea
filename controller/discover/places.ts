/** On what file system a path lies, as far as a backup of this guest is concerned. Pure. */
import { isRemote, type Mount, mountOf } from '#shared/mountinfo';

const IN_MEMORY: ReadonlySet<string> = new Set(['tmpfs', 'ramfs']);

/** Why no backup holds what lies there, as the rest of a sentence; null: nothing speaks against it. */
export const outsideOfBackups = (mounts: readonly Mount[], path: string): string | null => {
  const mount = mountOf(mounts, path);
  if (mount === undefined) return null;
  if (isRemote(mount)) return `${path} is on another machine (${mount.fstype} at ${mount.point})`;
  return IN_MEMORY.has(mount.fstype) ? `${path} is in memory only (${mount.fstype} at ${mount.point})` : null;
};

/** A line for the comment where it is not on the guest's root file system: that may be a drive that backups leave out. */
export const onAnotherMount = (mounts: readonly Mount[], paths: readonly string[]): string[] => {
  const points = paths.map((path) => mountOf(mounts, path)?.point ?? '/').filter((point) => point !== '/');
  return [...new Set(points)].map(
    (point) => `Its data is on ${point}: never "app" if that is not in the backup (felhom-controller quiesce test says).`,
  );
};
