/** Takes away what the demo's drives left on this machine: also those of a demo that was killed, which it knows by the files behind. */
import { createHash } from 'node:crypto';
import { existsSync, lstatSync } from 'node:fs';
import { readdir, readFile, realpath, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { isWithin, type Mount, parseMountinfo } from '#shared/mountinfo';
import { outcome } from '../system/drives/lab.ts';

/** What agent.yaml takes for `disks.mount_root`. */
const PLAIN = /^(?=.{2,180}$)(?!\/\.)(\/[A-Za-z0-9._][A-Za-z0-9._-]*)+$/;

/** As the agent asks of all that is above a mount point: nobody but root can lead it elsewhere, and a container's root can pass. */
const isRoots = (dir: string): boolean => {
  const { uid, mode } = lstatSync(dir);
  const good = uid === 0 && ((mode & 0o022) === 0 || (mode & 0o1000) !== 0) && (mode & 0o001) !== 0;
  return good && (dir === '/' || isRoots(dirname(dir)));
};

const beside = (dir: string): string => `/run/felhom-demo-${createHash('sha256').update(dir).digest('hex').slice(0, 12)}`;

/** Below the demo's directory, unless the agent could not take that: for a character in its path, or since it lies in somebody's home. */
export const mountRootOf = (dir: string): string => {
  const below = join(dir, 'mnt');
  return PLAIN.test(below) && (process.getuid?.() !== 0 || isRoots(dir)) ? below : beside(dir);
};

const LOOK_EVERY_MS = 100;
/** For programs that are still ending, and for any that has a view of all mounts of its own for a moment. */
const PATIENCE_MS = 10_000;

const mounts = async (): Promise<Mount[]> => parseMountinfo(await readFile('/proc/self/mountinfo', 'utf8'));

/** `loop3`, of each loop device whose file is below the directory, removed or not. */
const loopsOn = async (dir: string): Promise<string[]> => {
  const names = existsSync('/sys/block') ? await readdir('/sys/block') : [];
  const files = await Promise.all(names.map((name) => readFile(`/sys/block/${name}/loop/backing_file`, 'utf8').catch(() => '')));
  return names.filter((_name, index) => isWithin(files[index] ?? '', dir));
};

const isOf = (loop: string, path: string): boolean => path === `/dev/${loop}` || path.startsWith(`/dev/${loop}p`);

const succeeds = async (program: string, ...args: string[]): Promise<boolean> => (await outcome(program, ...args)).exit === 0;

/** The last mounted first, and none that carries another. Where somebody stays in it, it goes from the tree now, and is over when they leave. */
const unmountAll = async (concerns: (mount: Mount) => boolean, until: number): Promise<void> => {
  for (;;) {
    const found = (await mounts()).filter(concerns);
    const last = found.filter(({ id }) => found.every(({ parent }) => parent !== id)).at(-1);
    if (last === undefined) return;
    if (await succeeds('umount', last.point)) continue;
    if (performance.now() < until) await pause(LOOK_EVERY_MS);
    else if (!(await succeeds('umount', '--lazy', last.point))) throw new Error(`${last.point} cannot be unmounted`);
  }
};

/** The kernel may only promise it, and do it when whoever has it open closes it. */
const detach = async (dir: string, loop: string, until: number): Promise<void> => {
  await outcome('partx', '--delete', `/dev/${loop}`);
  await outcome('losetup', '--detach', `/dev/${loop}`);
  while ((await loopsOn(dir)).includes(loop) && performance.now() < until) await pause(LOOK_EVERY_MS);
};

/**
 * Unmounts and detaches all that stands on files below the demo's directory. Its files stay.
 * @returns what others still use, in words; empty where nothing is left
 */
export const takeDown = async (stateDir: string, patienceMs = PATIENCE_MS): Promise<string> => {
  const until = () => performance.now() + patienceMs;
  if (process.getuid?.() !== 0 || !existsSync(stateDir)) return '';
  const dir = await realpath(stateDir);
  const roots = [join(dir, 'mnt'), beside(dir)];
  const loops = await loopsOn(dir);
  const concerns = ({ point, source }: Mount): boolean =>
    [dir, ...roots].some((place) => isWithin(point, place)) || loops.some((loop) => isOf(loop, source));
  // The directory itself may be a mount of its user's.
  await unmountAll((mount) => mount.point !== dir && concerns(mount), until());
  for (const loop of loops) await detach(dir, loop, until());
  // What lies below a mount point cannot be written or removed, chattr(1); not every file system can.
  await outcome('chattr', '-R', '-f', '-i', ...roots).catch(() => undefined);
  await rm(beside(dir), { recursive: true, force: true });
  const left = await loopsOn(dir);
  return left.length === 0 ? '' : `Still in use, and gone when whoever uses it ends: ${left.join(', ')}.`;
};
