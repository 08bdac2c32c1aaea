/**
 * Takes a backup drive out of use, so that its wipe can be granted, and puts it back: its Proxmox storages are disabled, backup jobs that
 * write to them too, our own backups are ended, and it is unmounted. Each step is written down before it is done, so that one that a crash
 * cut short can be undone all the same.
 */
import { type Clock, sleep } from '#shared/clock';
import { FelhomError } from '#shared/errors';
import type { Mount } from '#shared/mountinfo';
import { userHolder } from '../disks/deeds/holders.ts';
import type { InUse } from '../disks/deeds/in-use.ts';
import type { Drive, Inventory } from '../disks/inventory/drive.ts';
import type { Evidence } from '../disks/inventory/evidence.ts';
import { placesOfStorage } from '../disks/inventory/uses.ts';
import type { Current } from '../disks/known/current.ts';
import type { Records } from '../disks/known/records.ts';
import type { DriveCheck } from '../ports/drive-check.ts';
import type { HostMounts } from '../ports/host-mounts.ts';
import type { Journal } from '../ports/journal.ts';
import { type BackupJob, forGuest, type Proxmox } from '../ports/proxmox.ts';
import type { StorageSwitch } from '../ports/storage-switch.ts';
import { createTurn } from '../turn.ts';
import { sourceNow, type Unmounted, unmountedOf } from './host-mount.ts';
import { type LyingOn, liesWithin, lyingOn, topAt } from './lying-on.ts';
import type { Op, Ops, Prepare, Prepared } from './op.ts';
import {
  byPeople,
  erased,
  failedAndUndone,
  inTheWay,
  neverTaken,
  notOpen,
  notPutBack,
  notThere,
  notTold,
  obstacleSentences,
  sentenceOf,
  standing,
  stillUsed,
} from './prepare-words.ts';
import type { RunningBackups } from './running-backups.ts';

export interface PreparePorts {
  clock: Clock;
  journal: Journal;
  current: Pick<Current, 'fresh' | 'last' | 'changed'>;
  records: Pick<Records, 'assignments'>;
  loopDrives: readonly string[];
  inUse: Pick<InUse, 'holders'>;
  check: Pick<DriveCheck, 'users' | 'flush'>;
  mounts: HostMounts;
  /** Where a path leads, through every link; the path itself where that cannot be told. */
  resolve: (path: string) => Promise<string>;
  proxmox: Pick<Proxmox, 'backupJobs' | 'storageConfigs'>;
  storageSwitch: StorageSwitch;
  running: RunningBackups;
  /** Ends the reading of archives of these storages. */
  letGoArchives: (storages: readonly string[]) => Promise<void>;
  ops: Pick<Ops, 'list' | 'setPrepared'>;
  /** Durable before it answers. */
  audit: (what: string, details: object) => Promise<void>;
  /** What is out of use may have changed. */
  changed: () => void;
}

interface Scene {
  op: Op;
  drive: Drive;
  evidence: Evidence;
  lying: LyingOn;
}

/** A file system that was just unmounted is given up by the kernel a moment later. */
const RELEASE = { tries: 5, everyMs: 200 };

const theirDrive = ({ drives }: Inventory, { drive: id }: Pick<Op, 'drive'>): Drive | undefined =>
  drives.find(({ record }) => record?.id === id);

const isSame = (a: Prepared, b: Prepared): boolean => JSON.stringify(a) === JSON.stringify(b);

export const createPrepare = (ports: PreparePorts): Prepare => {
  const { clock, journal, current, records, loopDrives, inUse, check, mounts, proxmox, storageSwitch, running, ops } = ports;
  const inTurn = createTurn();

  // ---- What there is.

  const resolvedPlaces = async (evidence: Evidence): Promise<Map<string, string>> => {
    const storages = evidence.proxmox.known ? evidence.proxmox.value.storages : [];
    const places = [...new Set(storages.filter(({ type }) => type === 'dir' || type === 'btrfs').flatMap(placesOfStorage))];
    return new Map(await Promise.all(places.map(async (place) => [place, await ports.resolve(place)] as const)));
  };

  /** What this and earlier operations took out of use and nobody put back. */
  const former = (drive: Drive) => {
    const done = ops
      .list()
      .filter((op) => op.drive === drive.record?.id)
      .flatMap(({ prepared }) => prepared);
    return {
      points: done.flatMap((one) => (one.kind === 'unmounted' ? [one.point] : [])),
      storages: done.flatMap((one) => (one.kind === 'storage-disabled' ? [one.storage] : [])),
    };
  };

  const lyingNow = async (evidence: Evidence, drive: Drive): Promise<LyingOn> =>
    lyingOn(evidence, drive, {
      assignments: records.assignments(),
      loopDrives,
      resolved: await resolvedPlaces(evidence),
      former: former(drive),
    });

  const evidenceOf = (inventory: Inventory): Evidence => {
    const evidence = current.last()?.evidence;
    if (inventory.missing.length > 0 || evidence === undefined) throw notTold(inventory.missing);
    return evidence;
  };

  const look = async (op: Op): Promise<Scene> => {
    const inventory = await current.fresh();
    const evidence = evidenceOf(inventory);
    const drive = theirDrive(inventory, op);
    if (drive === undefined) throw notThere();
    return { op, drive, evidence, lying: await lyingNow(evidence, drive) };
  };

  /** A drive of another role, or what no program may decide, before anything is changed. */
  const refuseWhatMustNot = async ({ drive, lying }: Scene): Promise<void> => {
    const holders = drive.holders.map(({ sentence }) => sentence);
    if (drive.role !== 'backup') throw neverTaken(drive, [...holders, ...obstacleSentences(lying, drive.role)]);
    const assigned = records.assignments().filter((one) => one.drive === drive.record?.id);
    const view = viewOf(drive, lying, []);
    const first = [
      ...assigned.map(
        ({ mountPoint, vmid }) => `It is connected at ${mountPoint} for guest ${vmid}: felhom-agent disks eject ${mountPoint}`,
      ),
      ...byPeople({ ...lying, lines: [] }),
      ...lying.above.map(({ point }) => `Something else is mounted at ${point}, on top of it: umount ${point}`),
      ...lying.mounts
        .filter((mount) => unmountedOf(view, mount) === null)
        .map(({ point }) => `Only a part of it is mounted at ${point}, which could not be put back: umount ${point}`),
      ...(await foreign(lying)),
    ];
    if (first.length > 0) throw inTheWay(first);
  };

  const viewOf = (drive: Drive, lying: LyingOn, units: Parameters<typeof unmountedOf>[0]['units']) => ({
    ...{ drive, units },
    mounts: lying.mounts,
  });

  const idsOf = ({ storages }: LyingOn): string[] => storages.map(({ id }) => id);

  const asked = async <T>(question: Promise<T>): Promise<T> => {
    try {
      return await question;
    } catch (error) {
      throw forGuest(error);
    }
  };

  const foreign = (lying: LyingOn): Promise<string[]> => asked(running.foreign(idsOf(lying)));

  const jobsOf = async (lying: LyingOn): Promise<BackupJob[]> =>
    (await asked(proxmox.backupJobs())).filter(
      ({ enabled, storage, dumpDir }) =>
        enabled && (idsOf(lying).includes(storage) || (dumpDir !== '' && liesWithin(lying, dumpDir))),
    );

  // ---- Who keeps it.

  /** Whatever stands on the drive by itself (an unlocked volume) goes when it is unmounted, by hand. */
  const keepers = async ({ drive, lying }: Scene): Promise<string[]> => {
    const numbers = new Set([drive.device, ...drive.device.partitions].map((one) => one.numbers));
    for (const { device } of lying.mounts) numbers.add(device);
    const [users, holders] = await Promise.all([check.users([...numbers]).catch(() => []), inUse.holders(drive)]);
    const own = new Set((await mounts.seen()).map(({ point }) => `It is mounted at ${point}.`));
    return [
      ...users.map((user) => userHolder(user).sentence),
      ...holders.filter(({ kind, sentence }) => kind !== 'device' && !own.has(sentence)).map(({ sentence }) => sentence),
    ];
  };

  const requireFree = async (scene: Scene): Promise<void> => {
    for (let tries = 1; ; tries += 1) {
      const who = (await inUse.holders(scene.drive)).filter(({ kind }) => kind !== 'device');
      if (who.length === 0) return;
      if (tries === RELEASE.tries) throw new Busy(await keepers(scene));
      await sleep(clock, RELEASE.everyMs);
    }
  };

  // ---- Doing.

  /** Written down, then done. What was already so is not ours to put back. */
  const createSteps = (op: Op) => {
    let done: readonly Prepared[] = op.prepared;
    const ended: number[] = [];
    const write = async (next: readonly Prepared[]): Promise<void> => {
      await ops.setPrepared(op.id, next);
      done = next;
    };
    return {
      done: () => done,
      step: async (one: Prepared, act: () => Promise<void>): Promise<void> => {
        if (!done.some((other) => isSame(other, one))) await write([...done, one]);
        await act();
      },
      isUndone: (one: Prepared) => write(done.filter((other) => other !== one)),
      /** Guests whose backups were ended, which nothing brings back. */
      ended: (): readonly number[] => ended,
      backupEnded: (vmid: number): void => void ended.push(vmid),
    };
  };
  type Steps = ReturnType<typeof createSteps>;

  const topIs = async (mount: Pick<Mount, 'point' | 'device'>): Promise<boolean> =>
    topAt(await mounts.seen(), mount.point)?.device === mount.device;

  const unmount = async (scene: Scene, one: Unmounted, mount: Mount): Promise<void> => {
    if (!(await topIs(mount))) return;
    try {
      await mounts.unmount(one);
    } catch (error) {
      throw new Busy(await keepers(scene), error);
    }
    // Several may lie on one point, and each is taken off by itself.
    if ((await mounts.seen()).some(({ id }) => id === mount.id)) throw new Busy(await keepers(scene));
  };

  const takeOut = async (scene: Scene, steps: Steps): Promise<void> => {
    const { lying, drive, evidence } = scene;
    for (const { id, disabled } of lying.storages)
      if (!disabled) await steps.step({ kind: 'storage-disabled', storage: id }, () => storageSwitch.storage(id, false));
    for (const { id } of await jobsOf(lying))
      await steps.step({ kind: 'job-disabled', job: id }, () => storageSwitch.backupJob(id, false));
    // One may have begun just before.
    const others = await foreign(lying);
    if (others.length > 0) throw new Busy(others);
    await running.endOwn(idsOf(lying), steps.backupEnded);
    await ports.letGoArchives(idsOf(lying));
    const units = evidence.host.known ? evidence.host.value.units : [];
    for (const mount of lying.mounts.toReversed()) {
      const one = unmountedOf(viewOf(drive, lying, units), mount);
      if (one !== null) await steps.step(one, () => unmount(scene, one, mount));
    }
    await requireFree(scene);
    await check.flush(`/dev/${drive.name}`).catch((error: unknown) => {
      throw new FelhomError(
        'drive-not-answering',
        'What was written to the drive is not all on it: it does not answer as it should.',
        error,
      );
    });
  };

  // ---- Undoing.

  const mountAgain = async (one: Unmounted, drive: Drive | undefined, id: string): Promise<void> => {
    const seen = await mounts.seen();
    const source = drive === undefined ? null : sourceNow(drive, one);
    if (source === null) throw erasedOrGone(id, one);
    const numbers = drive?.filesystems.find(({ device }) => `/dev/${device}` === source)?.numbers;
    const isThere = (all: readonly Mount[]): boolean =>
      all.some(
        ({ point, device, source: from }) =>
          point === one.point && (device === numbers || from === source || one.fstype === 'none'),
      );
    if (isThere(seen)) return;
    await mounts.mount({ ...one, source });
    if (!isThere(await mounts.seen())) throw new Error(`nothing is mounted at ${one.point}`);
  };

  const erasedOrGone = (id: string, one: Unmounted): Error =>
    new Error(`what was mounted at ${one.point} is not on the drive of operation ${id} any more, or the drive is not plugged in`);

  const switchOn = async (one: Exclude<Prepared, Unmounted>): Promise<void> => {
    if (one.kind === 'storage-disabled') {
      const found = (await asked(proxmox.storageConfigs())).find(({ storage }) => storage === one.storage);
      if (found?.disabled) await storageSwitch.storage(one.storage, true);
      return;
    }
    const found = (await asked(proxmox.backupJobs())).find(({ id }) => id === one.job);
    if (found !== undefined && !found.enabled) await storageSwitch.backupJob(one.job, true);
  };

  /** In the reverse order, and not past one that fails: a storage whose drive is not mounted stays disabled. */
  const putBack = async (op: Op, steps: Steps): Promise<unknown> => {
    if (steps.done().length === 0) return null;
    try {
      const needsDrive = steps.done().some(({ kind }) => kind === 'unmounted');
      const drive = needsDrive ? theirDrive(await current.fresh(), op) : undefined;
      for (const one of steps.done().toReversed()) {
        if (one.kind === 'unmounted') await mountAgain(one, drive, op.id);
        else await switchOn(one);
        await steps.isUndone(one);
      }
      return null;
    } catch (error) {
      journal('error', 'A drive that was taken out of use could not be put back.', { op: op.id, cause: String(error) });
      return error;
    } finally {
      current.changed();
    }
  };

  /** Erased by this operation, or by another one since. */
  const isErased = ({ id, drive, state }: Op): boolean =>
    state === 'granted' || ops.list().some((other) => other.id !== id && other.drive === drive && other.state === 'granted');

  /** A grant may have been used up without a byte written: then all that was mounted is still there. */
  const refuseErased = async (op: Op): Promise<void> => {
    if (!isErased(op)) return;
    const drive = theirDrive(await current.fresh(), op);
    const mounted = op.prepared.filter((one) => one.kind === 'unmounted');
    const isThere = drive !== undefined && mounted.length > 0 && mounted.every((one) => sourceNow(drive, one) !== null);
    if (!isThere) throw erased(op.prepared);
  };

  const explained = (error: unknown, steps: Steps, { id }: Op): FelhomError => {
    const now = standing({ left: steps.done(), ended: steps.ended(), id });
    if (error instanceof Busy) return stillUsed(error.who, now, error.cause);
    const known = forGuest(error);
    if (known instanceof FelhomError) return failedAndUndone(known, now);
    return failedAndUndone(new FelhomError('internal', 'The drive could not be taken out of use.', error), now);
  };

  const newest = (op: Op): Op => ops.list().find(({ id }) => id === op.id) ?? op;

  const prepare = async (asking: Op): Promise<readonly Prepared[]> => {
    const op = newest(asking);
    if (op.state !== 'open') throw notOpen(op);
    const scene = await look(op);
    await refuseWhatMustNot(scene);
    const steps = createSteps(op);
    try {
      await takeOut(scene, steps);
    } catch (error) {
      journal('warning', 'A drive could not be taken out of use.', { op: op.id, cause: String(error) });
      await putBack(op, steps);
      throw explained(error, steps, op);
    } finally {
      current.changed();
      ports.changed();
    }
    await ports.audit('op-prepared', { op: op.id, prepared: steps.done() });
    return steps.done();
  };

  const undo = async (asking: Op): Promise<readonly Prepared[]> => {
    const op = newest(asking);
    if (op.prepared.length === 0) return [];
    await refuseErased(op);
    const steps = createSteps(op);
    const failure = await putBack(op, steps);
    ports.changed();
    await ports.audit('op-prepare-undone', { op: op.id, before: op.prepared, left: steps.done() });
    if (steps.done().length > 0) throw notPutBack(steps.done(), whyOf(failure), failure);
    return [];
  };

  return {
    prepare: (op) => inTurn(() => prepare(op)),
    undo: (op) => inTurn(() => undo(op)),
    sentences: (prepared) => prepared.map(sentenceOf),
    obstacles: async (drive) => {
      const evidence = current.last()?.evidence;
      if (evidence === undefined || !evidence.proxmox.known || !evidence.host.known)
        return ['What the host or Proxmox would put on it again cannot be told now.'];
      return obstacleSentences(await lyingNow(evidence, drive), drive.role);
    },
  };
};

/** Somebody uses it. */
class Busy extends Error {
  override readonly name = 'Busy';
  readonly who: readonly string[];

  constructor(who: readonly string[], cause?: unknown) {
    super(`in use: ${who.join(' ')}`, { cause });
    this.who = who;
  }
}

const whyOf = (error: unknown): string => {
  if (error instanceof FelhomError) return error.message;
  return error instanceof Error ? `${error.message.slice(0, 300)}.` : 'the reason is not known.';
};
