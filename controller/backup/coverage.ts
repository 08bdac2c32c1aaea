/** Whether all data of an application is in a backup: where it lies, joined with what the host says that a backup includes. Pure. */
import { isWithin, type Mount, mountOf, pathWithin } from '#shared/mountinfo';
import type { Place } from '#shared/quiesce/protocol';
import type { Coverage } from '#shared/wire/archives';
import type { Disk } from '../ports/block-devices.ts';

type Included = Coverage['mounts'][number];

/** What is known of the guest when a backup is planned. */
export interface GuestView {
  /** Null: the host did not say, and why. */
  coverage: readonly Included[] | null;
  error: string;
  /** As /proc/self/mountinfo lists them. */
  mounts: readonly Mount[];
  /** Behind the devices that data lies on; null: not known. Of a virtual machine only. */
  disks: ReadonlyMap<string, Disk[] | null>;
}

export interface Placed {
  covered: boolean;
  /** Why not; part of a sentence. Empty where it is. */
  why: string;
  /** All of it is fixed at one moment, however many disks the guest has. */
  oneDisk: boolean;
}

/** Where one place lies: on which volumes or disks, and what keeps it out of the backup (empty: nothing). */
interface Found {
  on: string[];
  why: string;
}

/** A container's volumes have their paths; a virtual machine's drives have none. */
export const isContainer = (coverage: readonly Included[]): boolean => coverage.some(({ mount_point }) => mount_point !== '');

const leftOut = (path: string, reason: string): string => `${path} is not in the backup: ${reason.replace(/\.$/, '')}`;
const notKnown = (path: string, mountPoint: string): string =>
  `whether the backup includes ${path} is not known (it is on what is mounted at ${mountPoint})`;

const NESTED = 'It lies in a btrfs subvolume of its own, and the snapshot is made of the one around it.';

const verdict = (path: string, { state, reason }: Included): string => (state === 'in-backup' ? '' : leftOut(path, reason));

/** What the host has mounted there: the lowest, since what the guest mounts over it is another matter. */
const hostMount = (mounts: readonly Mount[], point: string): Mount | undefined => {
  const there = mounts.filter((one) => one.point === point);
  return there.find(({ parent }) => !there.some(({ id }) => id === parent));
};

/**
 * By the file system's number and the path within it, so that a bind mount inside the guest is followed to where its data is, and
 * what the guest mounted over a volume is not taken for it.
 */
const inContainer = (place: Place, coverage: readonly Included[], mounts: readonly Mount[]): Found => {
  const path = pathWithin({ root: place.root, point: place.mount_point }, place.path);
  const candidates = coverage.flatMap((included) => {
    const mount = included.mount_point === '' ? undefined : hostMount(mounts, included.mount_point);
    return mount && mount.device === place.device && isWithin(path, mount.root) ? [{ included, root: mount.root }] : [];
  });
  const [deepest] = candidates.sort((a, b) => b.root.length - a.root.length);
  if (deepest === undefined) return { on: [], why: notKnown(place.path, place.mount_point) };
  const isNested = place.subvolume_at?.includes(deepest.included.mount_point) === false;
  const why = verdict(place.path, deepest.included) || (isNested ? leftOut(place.path, NESTED) : '');
  return { on: [deepest.included.mount_point], why };
};

/** Not disks that hold a guest's files. */
const isAside = ({ key }: Included): boolean => /^(efidisk|tpmstate|virtiofs)/.test(key);

/** QEMU names a SCSI disk after its key in the machine's configuration. */
const keyOf = ({ ids }: Disk): string | undefined => /drive-((?:scsi|virtio|sata|ide)\d+)/.exec(ids)?.[1];

/** One that has no such name is known only where there is no other than included ones, and it is no USB, network or loop device. */
const onDisk = (place: Place, disk: Disk, coverage: readonly Included[]): string => {
  const key = keyOf(disk);
  const included = coverage.find((one) => one.key === key);
  if (included) return verdict(place.path, included);
  const drives = coverage.filter((one) => !isAside(one));
  const isPlain = disk.path.startsWith('/devices/pci') && !/\/usb\d/.test(disk.path);
  const allIn = drives.length > 0 && drives.every(({ state }) => state === 'in-backup');
  return key === undefined && isPlain && allIn ? '' : notKnown(place.path, place.mount_point);
};

const inMachine = (place: Place, { coverage, disks }: GuestView): Found => {
  if (place.fstype === 'virtiofs' || place.fstype === '9p') {
    return { on: [], why: leftOut(place.path, 'It lies in a directory of the host.') };
  }
  const behind = disks.get(place.device) ?? [];
  if (behind.length === 0) return { on: [], why: notKnown(place.path, place.mount_point) };
  const whys = behind.map((disk) => onDisk(place, disk, coverage ?? []));
  return { on: behind.map(({ path }) => path), why: whys.find((why) => why !== '') ?? '' };
};

export const placeApp = (data: readonly Place[] | null, view: GuestView): Placed => {
  const { coverage, mounts, error } = view;
  if (coverage === null) return { covered: false, why: `what the backup includes is not known: ${error}`, oneDisk: false };
  if (data === null || data.length === 0) return { covered: false, why: 'where its data lies is not known', oneDisk: false };
  const found = data.map((place) => (isContainer(coverage) ? inContainer(place, coverage, mounts) : inMachine(place, view)));
  const why = found.find((one) => one.why !== '')?.why ?? '';
  const isKnown = found.every(({ on }) => on.length > 0);
  return { covered: why === '', why, oneDisk: isKnown && new Set(found.flatMap(({ on }) => on)).size === 1 };
};

/** Whether each place lies on the same mount as before. */
export const isAsMounted = (data: readonly Place[], before: readonly Mount[], now: readonly Mount[]): boolean =>
  data.every(({ path }) => mountOf(before, path)?.id === mountOf(now, path)?.id);
