/** Keeps what is assigned true: mounted where it should be, from the drive it should be, on directories that cannot be filled. */
import { FelhomError } from '#shared/errors';
import type { ProblemCode } from '#shared/problems';
import type { Problems } from '../health/problems.ts';
import type { GuestOfProcess } from '../ports/guest-of-process.ts';
import type { Assignment } from './assignment.ts';
import { sameUuid } from './candidate.ts';
import type { Current } from './current.ts';
import type { DeedPorts } from './deed-ports.ts';
import type { Drive, Inventory } from './drive.ts';
import { linkName, matchOf, nameOf } from './links.ts';
import { deviceOf, isDead, mountAt, type Seen, type Source, whyNotMounted } from './mount-source.ts';
import { type MountState, stateOf } from './mount-state.ts';
import { type Claims, isSuspended } from './ownership.ts';
import type { Recover } from './recover.ts';

export interface ReconcilePorts extends DeedPorts {
  current: Pick<Current, 'fresh' | 'last' | 'changed' | 'inventory'>;
  problems: Pick<Problems, 'raise' | 'clear' | 'list'>;
  claims: () => Claims;
  guestOf: GuestOfProcess;
  recover: Recover;
}

/** A drive may be away for a moment: a boot, a cable put into another port. */
const MISSING_MS = 30_000;
/** Until the next try to mount what could not be mounted: twice as long each time. */
const RETRY_MS = { first: 10_000, most: 600_000 };
/** Guests that hold what has gone are looked for so often, as long as there are any. */
const DEAD_MS = 60_000;

const CODES = [
  'drive-missing',
  'drive-mount-dead',
  'drive-not-mounted',
  'mount-point-unprotected',
] as const satisfies ProblemCode[];
type Code = (typeof CODES)[number];

/** One thing that is wrong, of one guest. */
interface Wrong {
  code: Code;
  vmid: number;
  /** What it is about: a name below the mount root, or nothing. */
  what: string;
  evidence: string;
}

const together = (words: readonly string[]): string => [...new Set(words)].sort().join(', ');

const WORDS: Record<Code, { sentence: (what: string) => string; nextStep: string }> = {
  'drive-missing': {
    sentence: (what) => `A drive is not plugged in: ${what}.`,
    nextStep: 'Plug it in again; it comes back by itself. If it is gone for good, eject it.',
  },
  'drive-mount-dead': {
    sentence: () => 'This guest still holds a drive that was unplugged, and does not see it come back.',
    nextStep: 'Restart the guest.',
  },
  'drive-not-mounted': {
    sentence: (what) => `A drive of this guest is not mounted: ${what}.`,
    nextStep: "Eject it, have its file system checked, and connect it again; the server's log says why.",
  },
  'mount-point-unprotected': {
    sentence: (what) => `While the drive is away, files written to its place would fill the server's own disk: ${what}.`,
    nextStep: 'The operator moves the mount root to a file system that has the immutable attribute (ext4, xfs, btrfs).',
  },
};

interface Trying {
  tries: number;
  nextAt: number;
}

export const createReconcile = (ports: ReconcilePorts) => {
  const { clock, journal, current, records, mounting, inTurn, problems, recover } = ports;
  const verified = new Map<string, string>();
  const kept = new Set<string>();
  const missingSince = new Map<string, number>();
  const trying = new Map<string, Trying>();
  const unprotected = new Set<string>();
  let deadSeen: { at: number; wrong: readonly Wrong[] } = { at: Number.NEGATIVE_INFINITY, wrong: [] };
  let deadPossible = true;

  const wrong = (code: Code, row: Assignment, evidence: string): Wrong => ({ code, vmid: row.vmid, what: nameOf(row), evidence });

  /** `unknown`: Proxmox's configuration cannot be read at the moment. */
  const stands = ({ drive, vmid }: Assignment): 'yes' | 'no' | 'unknown' => {
    const owner = records.drives().find(({ id }) => id === drive)?.owner ?? null;
    const { instances } = ports.claims();
    if (owner === null || owner.vmid !== vmid) return 'no';
    if (!isSuspended(owner, instances)) return 'yes';
    return instances.has(vmid) ? 'no' : 'unknown';
  };

  /** The drive that a row is about: by what its hardware says, else by what is on it, which may be in another enclosure now. */
  const driveOf = ({ drives }: Inventory, { drive: id }: Assignment): Drive | undefined =>
    drives.find(({ record }) => record?.id === id) ?? drives.find(({ related }) => related.some((one) => one.id === id));

  const sourceOf = (drive: Drive, { uuid }: Assignment): (Source & { drive: Drive }) | null => {
    const filesystem = drive.filesystems.find((one) => sameUuid(one.uuid, uuid));
    return filesystem === undefined ? null : { drive, filesystem };
  };

  /** Why a drive that is there is not to be mounted; for the log and the evidence. */
  const obstacle = (drive: Drive): string => {
    if (drive.role === 'system') return drive.reasons[0]?.sentence ?? 'It is a drive of the host.';
    return drive.twins.length > 0 ? `It cannot be told from ${drive.twins.join(', ')}.` : '';
  };

  /** The rule and the link name the hardware: in another enclosure they are made anew. */
  const inItsEnclosure = async (row: Assignment, { identity }: Drive): Promise<Assignment> => {
    const match = matchOf(identity);
    const link = linkName(nameOf(row), row.uuid, match);
    if (link === row.link) return row;
    const moved = { ...row, match, link };
    await mounting.drop(row);
    await records.saveAssignment(moved);
    journal('notice', 'An assigned drive is in another enclosure now.', { where: row.mountPoint });
    return moved;
  };

  const mayTry = ({ mountPoint }: Assignment): boolean => (trying.get(mountPoint)?.nextAt ?? 0) <= clock.monotonic();

  const failed = ({ mountPoint }: Assignment): void => {
    const tries = trying.get(mountPoint)?.tries ?? 0;
    const nextAt = clock.monotonic() + Math.min(RETRY_MS.first * 2 ** tries, RETRY_MS.most);
    trying.set(mountPoint, { tries: tries + 1, nextAt });
  };

  const bring = async (
    row: Assignment,
    drive: Drive,
    act: (row: Assignment, source: Source) => Promise<void>,
  ): Promise<Wrong[]> => {
    const source = sourceOf(drive, row);
    const why = source === null ? 'Its file system is not there any more.' : obstacle(drive);
    if (source === null || why !== '') return [wrong('drive-not-mounted', row, why)];
    const known = trying.get(row.mountPoint);
    if (!mayTry(row)) return [wrong('drive-not-mounted', row, `tried ${known?.tries ?? 0} times`)];
    try {
      await act(await inItsEnclosure(row, drive), source);
      trying.delete(row.mountPoint);
      journal('notice', 'An assigned drive is mounted again.', { where: row.mountPoint });
      return [];
    } catch (error) {
      failed(row);
      journal('warning', 'An assigned drive could not be mounted.', { where: row.mountPoint, cause: String(error) });
      return [wrong('drive-not-mounted', row, error instanceof FelhomError ? error.message : 'the log of the agent says why')];
    }
  };

  const up = async (row: Assignment, source: Source): Promise<void> => {
    await mounting.onHost(row, source);
    await mounting.toGuest(row, source);
  };

  /** Takes away what leads to nothing, so that the drive can come back. */
  const cut = async (row: Assignment, why: string): Promise<void> => {
    await mounting.unmount(row).catch(() => mounting.cutOff(row));
    verified.delete(row.mountPoint);
    current.changed();
    deadPossible = true;
    journal('warning', 'The mount of an assigned drive was taken away.', { where: row.mountPoint, why });
  };

  /** As long as nothing is mounted on it. */
  const protect = async (row: Assignment): Promise<void> => {
    const done = await mounting.prepareDirectory(row.mountPoint);
    if (done) unprotected.delete(row.mountPoint);
    else unprotected.add(row.mountPoint);
  };

  const awayOr = async (row: Assignment, inventory: Inventory): Promise<Wrong[]> => {
    const drive = driveOf(inventory, row);
    if (drive !== undefined) {
      missingSince.delete(row.mountPoint);
      // A drive whose evidence is not whole is left alone until it is.
      return inventory.missing.length > 0 ? [] : bring(row, drive, up);
    }
    const since = missingSince.get(row.mountPoint) ?? clock.monotonic();
    missingSince.set(row.mountPoint, since);
    return clock.monotonic() - since < MISSING_MS ? [] : [wrong('drive-missing', row, `not plugged in: ${nameOf(row)}`)];
  };

  /** Only where something else is positively there: a drive that sleeps or does not answer is believed. */
  const whyForeign = (row: Assignment, seen: Seen, inventory: Inventory): string | null => {
    const mount = mountAt(seen.mounts, row.mountPoint);
    const on = mount === undefined ? undefined : deviceOf(mount, seen.devices);
    if (on === undefined) return mount === undefined ? null : `${mount.source} is no drive`;
    const drive = inventory.drives.find(({ name }) => name === on.drive.name);
    if (drive === undefined) return `${on.name} is no drive`;
    const own = driveOf(inventory, row);
    if (own !== drive) return `${on.name} is another drive`;
    const source = sourceOf(own, row);
    return source === null ? null : whyNotMounted(row.mountPoint, source, seen);
  };

  const verify = async (
    row: Assignment,
    state: MountState & { kind: 'unverified' },
    seen: Seen,
    inventory: Inventory,
  ): Promise<Wrong[]> => {
    const why = whyForeign(row, seen, inventory);
    if (why === null || inventory.missing.length > 0) return [];
    if (why === '') {
      verified.set(row.mountPoint, state.seen);
      missingSince.delete(row.mountPoint);
      return [];
    }
    await cut(row, why);
    return [wrong('drive-not-mounted', row, why)];
  };

  const inventoryNow = async (): Promise<Inventory> => (await current.inventory()).inventory;

  const follow = async (row: Assignment, seen: Seen): Promise<Wrong[]> => {
    const standing = stands(row);
    const state = stateOf(mounting.spec(row), seen, verified.get(row.mountPoint));
    if (standing === 'no') {
      if (state.kind !== 'absent') await cut(row, 'it belongs to a former guest of that number');
      return [wrong('drive-not-mounted', row, 'it belongs to a former guest of this number ("felhom-agent disks release")')];
    }
    if (state.kind === 'fine') return [];
    if (state.kind === 'dead') await cut(row, 'its drive is gone');
    if (state.kind === 'dead' || state.kind === 'absent') {
      await protect(row);
      return standing === 'yes' ? awayOr(row, await inventoryNow()) : [];
    }
    const inventory = await inventoryNow();
    if (state.kind === 'unverified') return verify(row, state, seen, inventory);
    const drive = driveOf(inventory, row);
    return drive === undefined || standing !== 'yes' || inventory.missing.length > 0 ? [] : bring(row, drive, mounting.toGuest);
  };

  /** A crash was in between. Without a whole look it is left as it is. */
  const settle = async (row: Assignment): Promise<void> => {
    if (row.state === 'assigning') return recover.undoAssign(row);
    const inventory = await current.fresh();
    const drive = driveOf(inventory, row);
    const source = drive === undefined ? null : sourceOf(drive, row);
    if (source !== null) return recover.undoEject(row, source);
    if (drive === undefined && current.last()?.evidence.kernel.known === true) await recover.takeAway(row);
  };

  const keepOnce = async (row: Assignment): Promise<void> => {
    if (kept.has(row.mountPoint)) return;
    await mounting.keep(row);
    kept.add(row.mountPoint);
  };

  const one = async (row: Assignment): Promise<Wrong[]> => {
    try {
      if (row.state !== 'assigned') {
        await settle(row);
        current.changed();
        return [];
      }
      await keepOnce(row);
      return await follow(row, await mounting.seen());
    } catch (error) {
      journal('warning', 'An assigned drive could not be looked after.', { where: row.mountPoint, cause: String(error) });
      return [];
    }
  };

  /** Guests that still have mounts of devices that are gone. */
  const dead = async (): Promise<readonly Wrong[]> => {
    if (!deadPossible || clock.monotonic() - deadSeen.at < DEAD_MS) return deadSeen.wrong;
    await inventoryNow();
    const mounts = current.last()?.evidence.mounts;
    if (mounts?.known !== true) return deadSeen.wrong;
    const { devices } = await mounting.seen();
    const found: Wrong[] = [];
    for (const { mount, pid, host } of mounts.value) {
      const vmid = host || !isDead(mount, devices) ? null : await ports.guestOf(pid);
      if (vmid !== null)
        found.push({ code: 'drive-mount-dead', vmid, what: '', evidence: `mounted inside, and gone: ${mount.point}` });
    }
    deadSeen = { at: clock.monotonic(), wrong: found };
    deadPossible = found.length > 0;
    return found;
  };

  const tell = (all: readonly Wrong[]): void => {
    for (const code of CODES) {
      const of = all.filter((one_) => one_.code === code);
      const guests = new Set(of.map(({ vmid }) => vmid));
      for (const vmid of guests) {
        const own = of.filter((one_) => one_.vmid === vmid);
        const { sentence, nextStep } = WORDS[code];
        const words = {
          sentence: sentence(together(own.map(({ what }) => what))),
          evidence: together(own.map(({ evidence }) => evidence)),
        };
        problems.raise({ code, vmid, ...words, nextStep });
      }
      for (const known of problems.list())
        if (known.code === code && known.vmid !== null && !guests.has(known.vmid)) problems.clear(code, known.vmid);
    }
  };

  const forget = (rows: readonly Assignment[]): void => {
    const points = new Set(rows.map(({ mountPoint }) => mountPoint));
    for (const memory of [verified, kept, missingSince, trying, unprotected])
      for (const point of memory.keys()) if (!points.has(point)) memory.delete(point);
  };

  const look = async (): Promise<void> => {
    const rows = records.assignments();
    forget(rows);
    const found: Wrong[] = [];
    for (const row of rows) found.push(...(await one(row)));
    for (const row of rows.filter(({ mountPoint }) => unprotected.has(mountPoint)))
      found.push(wrong('mount-point-unprotected', row, `${row.mountPoint} has no immutable attribute`));
    tell([...found, ...(await dead())]);
  };

  return {
    /** Every ten seconds, and at start before a guest is answered. Never rejects. */
    tick: (): Promise<void> =>
      inTurn(look).catch((error: unknown) =>
        journal('warning', 'The assigned drives could not be looked after.', { cause: String(error) }),
      ),
  };
};
