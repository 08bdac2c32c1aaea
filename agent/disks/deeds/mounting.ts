/** Brings an assigned file system to its two places and takes it away again; whatever was done before may be done twice. */
import type { MappedRoot } from '../../guests/idmap.ts';
import type { RunCommand } from '../../ports/command.ts';
import type { DriveMounts, MountSpec } from '../../ports/drive-mounts.ts';
import type { MountDirectories } from '../../ports/immutable.ts';
import type { Sysfs } from '../../ports/sysfs.ts';
import type { GuestDirectories } from '../in-guest/in-guest.ts';
import type { Assignment } from '../inventory/assignment.ts';
import { specOf } from './links.ts';
import { mountAt, type Seen, type Source, whyNotMounted } from './mount-source.ts';

export interface MountingPorts {
  mounts: DriveMounts;
  directories: MountDirectories;
  guests: Pick<GuestDirectories, 'prepare' | 'pointFor'>;
  sysfs: Pick<Sysfs, 'kernelDevices' | 'btrfsMembers'>;
  run: RunCommand<'stat' | 'chown'>;
}

/** Something else than the drive that was meant got mounted: it has been unmounted again. For the log. */
export class WrongSource extends Error {
  override readonly name = 'WrongSource';
}

export type Mounting = ReturnType<typeof createMounting>;

/** Users that a guest is given, beginning with its root (pve-container: what an unprivileged container has unless told otherwise). */
const USERS = 65_536;

const isWithin = (user: number, first: number): boolean => user >= first && user < first + USERS;

export const createMounting = ({ mounts, directories, guests, sysfs, run }: MountingPorts) => {
  const spec = (assignment: Assignment): MountSpec => specOf(assignment, guests.pointFor);

  const seen = async (): Promise<Seen> => {
    const [now, devices, btrfs] = await Promise.all([mounts.seen(), sysfs.kernelDevices(), sysfs.btrfsMembers()]);
    return { mounts: now, devices, btrfs };
  };

  const isMounted = async (point: string): Promise<boolean> => mountAt(await mounts.seen(), point) !== undefined;

  /** Only ever the directory itself, never what is mounted on it. @returns whether nothing can be written into it */
  const prepareDirectory = async (point: string): Promise<boolean> => {
    if (await isMounted(point)) return true;
    await directories.make(point);
    return directories.protect(point, async () => !(await isMounted(point)));
  };

  /** Rejects with `DirectoryError` where a drive cannot be mounted; changes nothing. Only while nothing is mounted there. */
  const checkPlace = async (point: string): Promise<void> => {
    await directories.check(point);
  };

  /** Rejects with `WrongSource`, after it was unmounted, where a place shows anything but the very file system that is meant. */
  const requireOwn = async (point: string, assignment: Assignment, source: Source): Promise<void> => {
    const why = whyNotMounted(point, source, await seen());
    if (why === '') return;
    await mounts.cutOff(spec(assignment));
    throw new WrongSource(why);
  };

  const onHost = async (assignment: Assignment, source: Source): Promise<void> => {
    await guests.prepare(assignment.vmid);
    await prepareDirectory(assignment.mountPoint);
    await mounts.keep(spec(assignment));
    await mounts.mount(spec(assignment), `/dev/${source.filesystem.device}`);
    await requireOwn(assignment.mountPoint, assignment, source);
  };

  const toGuest = async (assignment: Assignment, source: Source): Promise<void> => {
    const { guestPoint } = spec(assignment);
    // It is in memory only, and may have gone since.
    await guests.prepare(assignment.vmid);
    await prepareDirectory(guestPoint);
    await mounts.show(spec(assignment));
    await requireOwn(guestPoint, assignment, source);
  };

  const ownerOf = async (point: string): Promise<MappedRoot> => {
    const [uid = Number.NaN, gid = Number.NaN] = (await run('stat', ['-c', '%u %g', '--', point])).trim().split(' ').map(Number);
    return { uid, gid };
  };

  const chown = async (point: string, { uid, gid }: MappedRoot): Promise<void> => {
    await run('chown', ['--no-dereference', `${uid}:${gid}`, '--', point]);
  };

  /**
   * The guest's root owns the root directory, unless one of the guest's users does already. Of a file system that keeps owners and
   * may be written. @returns how to undo it
   */
  const giveToRoot = async (point: string, root: MappedRoot): Promise<() => Promise<void>> => {
    const before = await ownerOf(point);
    if (root.uid === 0 || isWithin(before.uid, root.uid)) return async () => undefined;
    await chown(point, root);
    return () => chown(point, before);
  };

  /** Both places, or as many as there are. Whoever still uses it keeps what is open, and no path. */
  const cutOff = (assignment: Assignment): Promise<void> => mounts.cutOff(spec(assignment));

  /** What is left of it once neither place is mounted: unit, rule, link, directories. */
  const clear = async (assignment: Assignment): Promise<void> => {
    const { guestPoint, mountPoint } = spec(assignment);
    await mounts.drop(spec(assignment));
    for (const point of [guestPoint, mountPoint]) {
      if (await isMounted(point)) throw new Error(`${point} is still mounted`);
      await directories.remove(point);
    }
  };

  return {
    seen,
    spec,
    isMounted,
    checkPlace,
    prepareDirectory,
    onHost,
    toGuest,
    giveToRoot,
    cutOff,
    clear,
    /** What brings it back by itself. */
    keep: (assignment: Assignment): Promise<void> => mounts.keep(spec(assignment)),
    /** Takes that away: before it is made anew for a link of another name. */
    drop: (assignment: Assignment): Promise<void> => mounts.drop(spec(assignment)),
    /** Rejects where somebody uses it; then one or both places are still mounted. */
    unmount: (assignment: Assignment): Promise<void> => mounts.unmount(spec(assignment)),
  };
};
