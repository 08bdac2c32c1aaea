/** What `ops prepare` decides over: the drive as it is now, what lies on it, who keeps it, and what no program may decide. */
import type { FelhomError } from '#shared/errors';
import { userHolder } from '../disks/deeds/holders.ts';
import type { InUse } from '../disks/deeds/in-use.ts';
import type { Drive, Inventory } from '../disks/inventory/drive.ts';
import type { Evidence } from '../disks/inventory/evidence.ts';
import { placesOfStorage } from '../disks/inventory/uses.ts';
import type { Current } from '../disks/known/current.ts';
import type { Records } from '../disks/known/records.ts';
import type { DriveCheck } from '../ports/drive-check.ts';
import type { HostMounts } from '../ports/host-mounts.ts';
import { type BackupJob, forGuest, type Proxmox } from '../ports/proxmox.ts';
import { type HostView, unmountedOf } from './host-mount.ts';
import { type LyingOn, liesWithin, lyingOn } from './lying-on.ts';
import type { Op, Ops } from './op.ts';
import { ambiguous, byPeople, inTheWay, neverTaken, notThere, notTold, obstacleSentences } from './prepare-words.ts';
import type { RunningBackups } from './running-backups.ts';

export interface ScenePorts {
  current: Pick<Current, 'fresh' | 'last'>;
  records: Pick<Records, 'assignments'>;
  loopDrives: readonly string[];
  inUse: Pick<InUse, 'holders'>;
  check: Pick<DriveCheck, 'users'>;
  mounts: Pick<HostMounts, 'seen'>;
  /** Where a path leads, through every link; the path itself where that cannot be told. */
  resolve: (path: string) => Promise<string>;
  proxmox: Pick<Proxmox, 'backupJobs'>;
  running: Pick<RunningBackups, 'foreign'>;
  ops: Pick<Ops, 'list'>;
}

export interface Scene {
  drive: Drive;
  lying: LyingOn;
  view: HostView;
}

export const theirDrive = ({ drives }: Inventory, { drive: id }: Pick<Op, 'drive'>): Drive | undefined =>
  drives.find(({ record }) => record?.id === id);

export const idsOf = ({ lying: { storages } }: Pick<Scene, 'lying'>): string[] => storages.map(({ id }) => id);

/** Rejects as people may read it. */
export const asked = async <T>(question: Promise<T>): Promise<T> => {
  try {
    return await question;
  } catch (error) {
    throw forGuest(error);
  }
};

export const createScenes = (ports: ScenePorts) => {
  const { current, records, loopDrives, inUse, check, mounts, proxmox, running, ops } = ports;

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
    if (drive.twins.length > 0) throw ambiguous(drive);
    const lying = await lyingNow(evidence, drive);
    const units = evidence.host.known ? evidence.host.value.units : [];
    return { drive, lying, view: { drive, mounts: lying.mounts, units } };
  };

  const foreign = (scene: Pick<Scene, 'lying'>): Promise<string[]> => asked(running.foreign(idsOf(scene)));

  /** What is to be done by hand before anything is changed, each a sentence. */
  const firstByHand = async (scene: Scene): Promise<string[]> => {
    const { drive, lying, view } = scene;
    const assigned = records.assignments().filter((one) => one.drive === drive.record?.id);
    return [
      ...assigned.map(
        ({ mountPoint, vmid }) => `It is connected at ${mountPoint} for guest ${vmid}: felhom-agent disks eject ${mountPoint}`,
      ),
      ...byPeople({ ...lying, lines: [] }),
      ...lying.above.map(({ point }) => `Something else is mounted at ${point}, on top of it: umount ${point}`),
      ...lying.mounts
        .filter((mount) => unmountedOf(view, mount) === null)
        .map(({ point }) => `Only a part of it is mounted at ${point}, which could not be put back: umount ${point}`),
      ...(await foreign(scene)),
    ];
  };

  /** A drive of another role, or one that people have to deal with first. */
  const refusal = async (scene: Scene): Promise<FelhomError | null> => {
    const { drive, lying } = scene;
    const holders = drive.holders.map(({ sentence }) => sentence);
    if (drive.role !== 'backup') return neverTaken(drive, [...holders, ...obstacleSentences(lying, drive.role)]);
    const first = await firstByHand(scene);
    return first.length > 0 ? inTheWay(first) : null;
  };

  /** Enabled jobs of Proxmox's own that write to it. */
  const jobs = async (scene: Scene): Promise<BackupJob[]> =>
    (await asked(proxmox.backupJobs())).filter(
      ({ enabled, storage, dumpDir }) =>
        enabled && (idsOf(scene).includes(storage) || (dumpDir !== '' && liesWithin(scene.lying, dumpDir))),
    );

  /** Who uses it beside the host's own mounts. Whatever stands on the drive by itself (an unlocked volume) is closed by hand afterwards. */
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

  const isFree = async ({ drive }: Scene): Promise<boolean> =>
    (await inUse.holders(drive)).every(({ kind }) => kind === 'device');

  const obstacles = async (drive: Drive): Promise<string[]> => {
    const evidence = current.last()?.evidence;
    if (evidence === undefined || !evidence.proxmox.known || !evidence.host.known)
      return ['What the host or Proxmox would put on it again cannot be told now.'];
    return obstacleSentences(await lyingNow(evidence, drive), drive.role);
  };

  return { look, refusal, foreign, jobs, keepers, isFree, obstacles };
};
