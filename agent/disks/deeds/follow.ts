/** One assignment kept true: mounted where it should be, from the drive it should be, on a directory that cannot be filled. */
import { FelhomError } from '#shared/errors';
import type { Assignment } from '../inventory/assignment.ts';
import type { Drive, Inventory } from '../inventory/drive.ts';
import { sentenceForGuests } from '../inventory/role.ts';
import type { Current } from '../known/current.ts';
import { type Claims, isSuspended } from '../known/ownership.ts';
import { type Wrong, wrong } from './assigned-wrong.ts';
import { sameUuid } from './candidate.ts';
import type { DeedPorts } from './deed-ports.ts';
import { linkName, matchOf, nameOf } from './links.ts';
import { deviceOf, mountAt, type Seen, type Source, whyNotMounted } from './mount-source.ts';
import { stateOf } from './mount-state.ts';
import { createRetry } from './retry.ts';

export interface FollowPorts extends Pick<DeedPorts, 'clock' | 'journal' | 'records' | 'mounting'> {
  current: Pick<Current, 'fresh' | 'inventory' | 'last' | 'changed'>;
  claims: () => Claims;
  /** A mount of a drive was taken away: guests may still have it. */
  lost: () => void;
}

/** A drive may be away for a moment: a boot, a cable put into another port. */
const MISSING_MS = 30_000;

/** The drive that a row is about: by what its hardware says, else by what is on it, which may be in another enclosure now. */
export const driveOf = ({ drives }: Inventory, { drive: id }: Assignment): Drive | undefined =>
  drives.find(({ record }) => record?.id === id) ?? drives.find(({ related }) => related.some((one) => one.id === id));

export const sourceOn = (drive: Drive, { uuid }: Assignment): Source | null => {
  const filesystem = drive.filesystems.find((one) => sameUuid(one.uuid, uuid));
  return filesystem === undefined ? null : { drive, filesystem };
};

/** Why a drive that is there is not to be mounted; empty where it is. */
const obstacleOf = (drive: Drive): string => {
  if (drive.role === 'system') {
    const [first] = drive.reasons;
    return first === undefined ? 'It is a drive of the host.' : sentenceForGuests(first);
  }
  return drive.twins.length > 0 ? `It cannot be told from ${drive.twins.join(', ')}.` : '';
};

/**
 * Why what is mounted at a row's place is not what is meant; empty where it is, null where that cannot be told: a drive that sleeps or
 * does not answer is believed.
 */
const whyForeign = (row: Assignment, seen: Seen, inventory: Inventory): string | null => {
  const mount = mountAt(seen.mounts, row.mountPoint);
  if (mount === undefined) return null;
  const on = deviceOf(mount, seen.devices);
  const drive = inventory.drives.find(({ name }) => name === on?.drive.name);
  if (on === undefined || drive === undefined) return `${mount.source} is no drive`;
  if (driveOf(inventory, row) !== drive) return `${on.name} is on another drive`;
  const source = sourceOn(drive, row);
  return source === null ? null : whyNotMounted(row.mountPoint, source, seen);
};

export const createFollow = ({ clock, journal, current, records, mounting, claims, lost }: FollowPorts) => {
  /** How a mount was called when it was last seen to be what is meant. */
  const verified = new Map<string, string>();
  const missingSince = new Map<string, number>();
  const unprotected = new Set<string>();
  /** Of guests that are no more: nothing mounts them. */
  const withdrawn = new Set<string>();
  const retry = createRetry(clock);

  /** `unknown`: Proxmox's configuration cannot be read at the moment. */
  const standing = ({ drive, vmid }: Assignment): 'own' | 'not own' | 'unknown' => {
    const owner = records.drives().find(({ id }) => id === drive)?.owner ?? null;
    const { instances } = claims();
    if (owner === null || owner.vmid !== vmid) return 'not own';
    if (!isSuspended(owner, instances)) return 'own';
    return instances.has(vmid) ? 'not own' : 'unknown';
  };

  /** The rule and the link name the hardware: in another enclosure they are made anew. */
  const inItsEnclosure = async (row: Assignment, drive: Drive): Promise<Assignment> => {
    const match = matchOf(drive, current.last()?.evidence.udev);
    const link = linkName(nameOf(row), row.uuid, match);
    if (link === row.link) return row;
    const moved = { ...row, match, link };
    await mounting.drop(row);
    await records.saveAssignment(moved);
    journal('notice', 'An assigned drive is in another enclosure now.', { where: row.mountPoint });
    return moved;
  };

  const onHostAndShown = async (row: Assignment, source: Source): Promise<void> => {
    await mounting.onHost(row, source);
    await mounting.toGuest(row, source);
  };

  const bring = async (row: Assignment, drive: Drive, act: typeof onHostAndShown): Promise<Wrong[]> => {
    const { mountPoint: where } = row;
    const source = sourceOn(drive, row);
    const obstacle = obstacleOf(drive) || (source === null ? 'Its file system is not there any more.' : '');
    if (source === null || obstacle !== '') return [wrong('drive-not-mounted', row, obstacle)];
    if (!retry.mayTry(where)) return [wrong('drive-not-mounted', row, 'mounting it failed')];
    try {
      await act(await inItsEnclosure(row, drive), source);
      retry.forget(where);
      journal('notice', 'An assigned drive is mounted again.', { where });
      return [];
    } catch (error) {
      retry.failed(where);
      journal('warning', 'An assigned drive could not be mounted.', { where, cause: String(error) });
      return [wrong('drive-not-mounted', row, error instanceof FelhomError ? error.message : 'mounting it failed')];
    } finally {
      current.changed();
    }
  };

  /** Takes away what leads to nothing, or to something else. */
  const cut = async (row: Assignment, why: string): Promise<void> => {
    await mounting.unmount(row).catch(() => mounting.cutOff(row));
    verified.delete(row.mountPoint);
    current.changed();
    lost();
    journal('warning', 'The mount of an assigned drive was taken away.', { where: row.mountPoint, why });
  };

  /** What brings it back goes too: at the next boot it would be shown to the new guest of that number before anybody is asked. */
  const withdraw = async (row: Assignment, isMounted: boolean): Promise<Wrong[]> => {
    if (isMounted) await cut(row, 'it belongs to a former guest of that number');
    if (!withdrawn.has(row.mountPoint)) {
      await mounting.drop(row);
      withdrawn.add(row.mountPoint);
    }
    return [wrong('drive-not-mounted', row, 'it belongs to a former guest of this number ("felhom-agent disks release")')];
  };

  const protect = async (row: Assignment): Promise<void> => {
    if (await mounting.prepareDirectory(row.mountPoint)) unprotected.delete(row.mountPoint);
    else unprotected.add(row.mountPoint);
  };

  const missing = (row: Assignment): Wrong[] => {
    const since = missingSince.get(row.mountPoint) ?? clock.monotonic();
    missingSince.set(row.mountPoint, since);
    const evidence = `connected as ${row.mountPoint}`;
    return clock.monotonic() - since < MISSING_MS ? [] : [wrong('drive-missing', row, evidence)];
  };

  /** Where the evidence is not whole every drive looks like the host's: then nothing is done. */
  const wholeInventory = async (): Promise<Inventory | null> => {
    const { inventory } = await current.inventory();
    return inventory.missing.length === 0 ? inventory : null;
  };

  const comeBack = async (row: Assignment, act: typeof onHostAndShown): Promise<Wrong[]> => {
    const inventory = await wholeInventory();
    if (inventory === null || standing(row) !== 'own') return [];
    const drive = driveOf(inventory, row);
    if (drive === undefined) return missing(row);
    missingSince.delete(row.mountPoint);
    // Its mount would wake it up anyhow; asleep it could not be told what it is.
    const awake = drive.state === 'asleep' ? driveOf(await current.fresh([drive.name]), row) : drive;
    return awake === undefined ? missing(row) : bring(row, awake, act);
  };

  /** @returns what is wrong; null: nothing, or it could not be told */
  const verify = async (row: Assignment, name: string, seen: Seen): Promise<Wrong[] | null> => {
    const inventory = await wholeInventory();
    const why = inventory === null ? null : whyForeign(row, seen, inventory);
    if (why === '') verified.set(row.mountPoint, name);
    if (why === null || why === '') return null;
    // It may have been plugged in, and mounted by its unit, since that look: what is cut off is looked at now.
    const now = await current.fresh();
    const still = now.missing.length === 0 ? whyForeign(row, await mounting.seen(), now) : null;
    if (still === null || still === '') return null;
    await cut(row, still);
    return [wrong('drive-not-mounted', row, still)];
  };

  /** What the host, or another guest, was set up to do with it since: it is not taken from under the guest, but somebody has to know. */
  const contested = (row: Assignment): Wrong[] => {
    const inventory = current.last()?.inventory;
    if (inventory === undefined || inventory.missing.length > 0) return [];
    const reason = driveOf(inventory, row)?.reasons.find(({ role, lasting }) => role !== 'user-data' && lasting);
    return reason === undefined ? [] : [wrong('drive-contested', row, sentenceForGuests(reason))];
  };

  /** Only of a mount that is what is meant, or that could not be told. */
  const show = async (row: Assignment, seen: Seen): Promise<Wrong[]> => {
    missingSince.delete(row.mountPoint);
    const { kind } = stateOf(mounting.spec(row), seen, verified.get(row.mountPoint));
    return [...contested(row), ...(kind === 'hidden' ? await comeBack(row, mounting.toGuest) : [])];
  };

  const follow = async (row: Assignment): Promise<Wrong[]> => {
    const seen = await mounting.seen();
    const state = stateOf(mounting.spec(row), seen, verified.get(row.mountPoint));
    if (standing(row) === 'not own') return withdraw(row, state.kind !== 'absent');
    withdrawn.delete(row.mountPoint);
    if (state.kind === 'unverified') return (await verify(row, state.seen, seen)) ?? show(row, seen);
    if (state.kind === 'dead') await cut(row, 'its drive is gone');
    if (state.kind === 'fine' || state.kind === 'hidden') return show(row, seen);
    await protect(row);
    return comeBack(row, onHostAndShown);
  };

  return {
    /** @returns what is wrong with it */
    follow,
    /** Whether the guest that it was connected for is the one of that number now. */
    isOwn: (row: Assignment): boolean => standing(row) === 'own',
    /** Of these rows those whose place could be filled while their drive is away. */
    unprotected: (rows: readonly Assignment[]): Wrong[] =>
      rows
        .filter(({ mountPoint }) => unprotected.has(mountPoint))
        .map((row) => wrong('mount-point-unprotected', row, `${row.mountPoint} cannot be made immutable`)),
    /** What is kept of rows that are no more. */
    forget: (rows: readonly Assignment[]): void => {
      const points = new Set(rows.map(({ mountPoint }) => mountPoint));
      for (const memory of [verified, missingSince, unprotected, withdrawn])
        for (const point of memory.keys()) if (!points.has(point)) memory.delete(point);
      for (const point of retry.keys()) if (!points.has(point)) retry.forget(point);
    },
  };
};
