/** Where paths lie: links followed, and the mount that each is on. */
import { execFile } from 'node:child_process';
import { readFile, stat } from 'node:fs/promises';
import { isWithin, type Mount, mountOf, mountsWithin, parseMountinfo, pathWithin } from '#shared/quiesce/mountinfo';
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

/** All subvolumes of a btrfs have one number in mountinfo, and each its own in stat(2). What cannot be told is nested. */
const isNested = async (mounts: readonly Mount[], { path, mount_point, device, root }: Place): Promise<boolean> => {
  const within = pathWithin({ root, point: mount_point }, path);
  const [volume] = mounts
    .filter((one) => one.device === device && isWithin(within, one.root))
    .sort((a, b) => a.root.length - b.root.length);
  const [own, around] = await Promise.all([path, volume?.point ?? ''].map((one) => stat(one).catch(() => null)));
  return own?.dev === undefined || own.dev !== around?.dev;
};

const withNested = (mountinfo: string, places: readonly Place[]): Promise<Place[]> =>
  Promise.all(
    places.map(async (place) => {
      const nested = place.fstype === 'btrfs' && (await isNested(parseMountinfo(mountinfo), place));
      return nested ? { ...place, nested } : place;
    }),
  );

/** Null for null: not known. Rejects where one of them is not there. */
export const placesOf = async (paths: readonly string[] | null): Promise<Place[] | null> => {
  if (paths === null) return null;
  if (paths.length === 0) return [];
  const mountinfo = await readFile('/proc/self/mountinfo', 'utf8');
  return withNested(mountinfo, placesIn(mountinfo, [...new Set(await realPaths(paths))]));
};
