/** Where paths lie: links followed, and the mount that each is on. */
import { execFile } from 'node:child_process';
import { readFile, stat } from 'node:fs/promises';
import { type Mount, mountOf, mountsWithin, parseMountinfo } from '#shared/mountinfo';
import type { Place } from '#shared/quiesce/protocol';

/** A program of its own follows the links: on a dead network file system it hangs, and we do not. */
const REALPATH = '/usr/bin/realpath';
const REALPATH_MS = 10_000;

const realPaths = (paths: readonly string[]): Promise<string[]> =>
  new Promise((resolve, reject) => {
    const giveUp = setTimeout(
      () => reject(new Error(`not to be found out within ${REALPATH_MS / 1000} s where its data lies`)),
      REALPATH_MS,
    );
    execFile(REALPATH, ['-ez', '--', ...paths], { timeout: REALPATH_MS, killSignal: 'SIGKILL' }, (error, stdout, stderr) => {
      clearTimeout(giveUp);
      if (error) reject(new Error(`not to be found out where its data lies: ${stderr.trim() || error.message}`));
      else resolve(stdout.split('\0').slice(0, -1));
    });
  });

const placeOn = ({ point, device, fstype, root }: Mount, path: string): Place => ({
  path,
  mount_point: point,
  device,
  fstype,
  root,
});

/** Each path, and whatever is mounted below it. @param mountinfo /proc/self/mountinfo */
export const placesIn = (mountinfo: string, paths: readonly string[]): Place[] => {
  const mounts = parseMountinfo(mountinfo);
  return paths.flatMap((path) => {
    const mount = mountOf(mounts, path);
    if (mount === undefined) throw new Error(`no mount holds ${path}`);
    return [placeOn(mount, path), ...mountsWithin(mounts, path).map((below) => placeOn(below, below.point))];
  });
};

/** All subvolumes of a btrfs have one number in mountinfo, and each its own in stat(2). */
const subvolumeAt = async (mounts: readonly Mount[], { path, device }: Place): Promise<string[]> => {
  const points = [...new Set(mounts.filter((one) => one.device === device).map(({ point }) => point))];
  const [own, ...others] = await Promise.all([path, ...points].map((one) => stat(one).catch(() => null)));
  return points.filter((_, index) => own && others[index]?.dev === own.dev);
};

const withSubvolumes = (mountinfo: string, places: readonly Place[]): Promise<Place[]> =>
  Promise.all(
    places.map(async (place) =>
      place.fstype === 'btrfs' ? { ...place, subvolume_at: await subvolumeAt(parseMountinfo(mountinfo), place) } : place,
    ),
  );

/** Null for null: not known. Rejects where one of them is not there. */
export const placesOf = async (paths: readonly string[] | null): Promise<Place[] | null> => {
  if (paths === null) return null;
  if (paths.length === 0) return [];
  const mountinfo = await readFile('/proc/self/mountinfo', 'utf8');
  return withSubvolumes(mountinfo, placesIn(mountinfo, [...new Set(await realPaths(paths))]));
};
