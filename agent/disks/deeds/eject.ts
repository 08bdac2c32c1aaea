/** Eject: takes a drive from its guest so that it can be pulled out. "Ejected" is said only when nothing can write to it any more. */
import { type Clock, sleep } from '#shared/clock';
import { FelhomError } from '#shared/errors';
import type { Mount } from '#shared/mountinfo';
import type { EjectDisk, Ejected } from '#shared/wire/disks';
import { isLate, type RunCommand } from '../../ports/command.ts';
import type { DriveCheck } from '../../ports/drive-check.ts';
import type { GuestOfProcess } from '../../ports/guest-of-process.ts';
import type { KernelDevice } from '../../ports/sysfs.ts';
import type { Assignment } from '../inventory/assignment.ts';
import type { Drive, Inventory } from '../inventory/drive.ts';
import type { Evidence } from '../inventory/evidence.ts';
import { type Claims, claim } from '../known/ownership.ts';
import type { Who } from '../known/records.ts';
import { beingFormatted, sameUuid } from './candidate.ts';
import type { DeedPorts } from './deed-ports.ts';
import { configured, type Dependant, given, isExpected, mountSentence, mountsOf, type Places, users } from './dependants.ts';
import { createLate, stillAtWork } from './late.ts';
import { deviceOf, mountAt, type Source } from './mount-source.ts';
import type { Recover } from './recover.ts';

export interface EjectPorts extends DeedPorts {
  /** Why no drive is changed on this host; empty where they may be. */
  writesOff: () => string;
  claims: () => Claims;
  check: Pick<DriveCheck, 'exclusive' | 'users' | 'flush'>;
  guestOf: GuestOfProcess;
  run: RunCommand<'sync'>;
  recover: Recover;
}

/** One file system of the drive that is ejected; `source` is null where its drive is not plugged in. */
interface Part {
  assignment: Assignment;
  places: Places;
  source: Source | null;
  /** On the host, now. */
  mount: Mount | undefined;
}

interface Scene {
  parts: readonly Part[];
  inventory: Inventory;
  evidence: Evidence;
  /** Null: it is not plugged in. */
  drive: KernelDevice | null;
}

const STILL = 'The drive was not ejected: do not unplug it.';

const notAssigned = (): FelhomError =>
  new FelhomError('not-assigned', 'Nothing of this guest is connected there. Nothing was changed.');

const listed = (dependants: readonly Dependant[]): string => {
  const sentences = [...new Set(dependants.map(({ sentence }) => sentence))];
  const more = sentences.length > 3 ? `, and ${sentences.length - 3} more` : '';
  return `${sentences.slice(0, 3).join(', ')}${more}`;
};

const inUse = (dependants: readonly Dependant[], cause?: unknown): FelhomError => {
  const by = dependants.length === 0 ? 'something that could not be found' : listed(dependants);
  const sentence = `It is still used by ${by}. ${STILL} End that use, then eject again.`;
  const dependentGuests = [...new Set(dependants.flatMap(({ vmid }) => vmid ?? []))].sort((a, b) => a - b);
  return new FelhomError('drive-in-use', sentence, cause, { dependentGuests });
};

const unknown = (what: string): FelhomError =>
  new FelhomError('not-known', `${what} cannot be told now. ${STILL} Please try again in a minute.`);

const explained = (error: unknown): FelhomError => {
  if (error instanceof FelhomError) return error;
  const why = 'The drive does not answer as it should.';
  return new FelhomError('drive-not-answering', `${why} ${STILL} Check its cable and its power, then eject again.`, error);
};

/** A file system that was just unmounted is given up by the kernel a moment later. */
const RELEASE_TRIES = 5;
const RELEASE_MS = 200;

const isFree = async (clock: Clock, check: EjectPorts['check'], device: string): Promise<boolean> => {
  for (let tries = 0; tries < RELEASE_TRIES; tries += 1) {
    if ((await check.exclusive(device)) === 'free') return true;
    await sleep(clock, RELEASE_MS);
  }
  return false;
};

export const createEject = (ports: EjectPorts) => {
  const { clock, journal, current, records, mounting, inTurn, audit, check, guestOf, recover } = ports;
  const late = createLate<Ejected>(clock);

  const driveIn = ({ drives }: Inventory, { drive: id }: Assignment): Drive | undefined =>
    drives.find(({ record, related }) => [record, ...related].some((one) => one?.id === id));

  const sourceIn = (inventory: Inventory, assignment: Assignment): Source | null => {
    const drive = driveIn(inventory, assignment);
    const filesystem = drive?.filesystems.find((one) => sameUuid(one.uuid, assignment.uuid));
    return drive === undefined || filesystem === undefined ? null : { drive, filesystem };
  };

  /** What is mounted tells best what it is mounted from; where nothing is, the drive is looked for. */
  const sourceOf = (
    assignment: Assignment,
    mount: Mount | undefined,
    inventory: Inventory,
    devices: readonly KernelDevice[],
  ): Source | null => {
    const on = mount === undefined ? undefined : deviceOf(mount, devices);
    if (on === undefined) return sourceIn(inventory, assignment);
    const { name, numbers, drive } = on;
    return { drive: { device: drive }, filesystem: { device: name, numbers, fstype: assignment.fstype } };
  };

  /** A guest that only has the number of the one it was connected for leaves it alone. */
  const requireStanding = ({ drive: id, vmid }: Assignment): void => {
    const record = records.drives().find((one) => one.id === id) ?? null;
    if (record !== null) claim({ record, related: [] }, vmid, ports.claims(), 0);
  };

  /** Everything of this guest on the same drive goes together: a drive is pulled out as a whole. */
  const look = async (vmid: number, where: string, who: Who): Promise<Scene> => {
    const asked = records.assignments().find((one) => one.mountPoint === where && one.vmid === vmid);
    if (asked === undefined) throw notAssigned();
    const inventory = await current.fresh();
    if (who !== 'root') requireStanding(asked);
    const evidence = current.last()?.evidence;
    if (evidence === undefined) throw unknown('What depends on the drive');
    const seen = await mounting.seen();
    const parts = records
      .assignments()
      .filter((one) => one.vmid === vmid && one.drive === asked.drive)
      .map((assignment): Part => {
        const mount = mountAt(seen.mounts, assignment.mountPoint);
        const { mountPoint, guestPoint } = mounting.spec(assignment);
        return {
          assignment,
          places: { vmid, mountPoint, guestPoint },
          mount,
          source: sourceOf(assignment, mount, inventory, seen.devices),
        };
      });
    if (parts.some(({ assignment }) => assignment.state !== 'assigned'))
      throw new FelhomError('not-assigned', `The drive is still being put in order. ${STILL} Please try again in a minute.`);
    const mounted = parts.find(({ source }) => source !== null)?.source?.drive.device;
    if (driveIn(inventory, asked)?.format?.state === 'running') throw beingFormatted();
    const drive = mounted ?? driveIn(inventory, asked)?.device ?? null;
    if (drive === null && !evidence.kernel.known) throw unknown('Whether the drive is plugged in');
    return { parts, inventory, evidence, drive };
  };

  /** @param counts which of the mounts of a part's file system, of whatever namespace */
  const inMounts = async (
    { parts, evidence: { mounts } }: Scene,
    counts: (mount: Mount, places: Places) => boolean,
  ): Promise<Dependant[]> => {
    if (!mounts.known) throw unknown('Where it is mounted');
    const { devices } = await mounting.seen();
    const found = parts.flatMap(({ places, source }) =>
      source === null
        ? []
        : mountsOf(mounts.value, source.filesystem.numbers, devices)
            .filter(({ mount }) => counts(mount, places))
            .map((seen) => ({ seen, places })),
    );
    return Promise.all(
      found.map(async ({ seen, places }) => {
        const vmid = await guestOf(seen.pid);
        return { vmid, sentence: mountSentence(seen, vmid, places.vmid) };
      }),
    );
  };

  /** Processes that have something on it open, wherever they see it. */
  const inProcesses = async ({ parts, drive }: Scene): Promise<Dependant[]> => {
    if (drive === null) return [];
    const filesystems = parts.flatMap(({ mount }) => mount?.device ?? []);
    const numbers = new Set([drive.numbers, ...drive.partitions.map((one) => one.numbers), ...filesystems]);
    return users(await check.users([...numbers]), parts[0]?.places.vmid ?? 0);
  };

  const inConfigurations = ({ parts, inventory, evidence: { proxmox }, drive }: Scene): Dependant[] => {
    if (!proxmox.known) throw unknown('Which guests depend on the drive');
    const holders = inventory.drives.find(({ name }) => name === drive?.name)?.holders ?? [];
    return parts.flatMap(({ places }) => [...configured(proxmox.value, places), ...given(holders, places.vmid)]);
  };

  /** What can be told before anything is unmounted: all but copies of our own mounts that do not go with them. */
  const dependants = async (scene: Scene): Promise<Dependant[]> => [
    ...inConfigurations(scene),
    ...(await inMounts(scene, (mount, places) => !isExpected(mount, places))),
    ...(await inProcesses(scene)),
  ];

  /** What keeps it though it was unmounted. */
  const keepers = async (scene: Scene): Promise<Dependant[]> => {
    await current.fresh();
    const evidence = current.last()?.evidence ?? scene.evidence;
    return [...(await inMounts({ ...scene, evidence }, () => true)), ...(await inProcesses(scene))];
  };

  const unmount = async (scene: Scene, { assignment, mount }: Part): Promise<void> => {
    if (scene.drive === null) return mounting.cutOff(assignment);
    if (mount !== undefined) await ports.run('sync', ['-f', '--', assignment.mountPoint]);
    await mounting.unmount(assignment).catch(async (error: unknown) => {
      // Somebody began to use it since.
      throw isLate(error) ? error : inUse(await dependants(scene), error);
    });
  };

  /** Unmounts, and proves that the whole drive is free and that all is written. */
  const letGo = async (scene: Scene): Promise<void> => {
    for (const part of scene.parts) await unmount(scene, part);
    if (scene.drive === null) return;
    const device = `/dev/${scene.drive.name}`;
    if (!(await isFree(clock, check, device))) throw inUse(await keepers(scene));
    await check.flush(device);
  };

  const putBack = async ({ parts }: Scene): Promise<void> => {
    for (const { assignment, source } of parts) {
      if (source === null) await records.setAssignmentState(assignment.mountPoint, 'assigned');
      else await recover.undoEject(assignment, source);
    }
  };

  /** The state that a crash is found in; whoever reconciles mounts it again. */
  const begin = async ({ parts }: Scene): Promise<void> => {
    for (const { assignment } of parts) await records.setAssignmentState(assignment.mountPoint, 'ejecting');
  };

  const carryOut = async (scene: Scene, who: Who): Promise<void> => {
    const { parts } = scene;
    await begin(scene);
    try {
      await letGo(scene);
    } catch (error) {
      // The row still says `ejecting`: whoever reconciles tries again.
      await putBack(scene).catch((cause: unknown) =>
        journal('error', 'A drive that could not be ejected is not mounted again yet.', { cause: String(cause) }),
      );
      throw explained(error);
    }
    for (const { assignment } of parts) {
      const { vmid, drive, mountPoint: where } = assignment;
      await audit(who, 'drive-ejected', { vmid, drive, where });
      await recover.takeAway(assignment);
    }
  };

  const perform = async (vmid: number, where: string, who: Who): Promise<Ejected> => {
    const off = ports.writesOff();
    if (off !== '') throw new FelhomError('drive-writes-off', off);
    const scene = await look(vmid, where, who);
    const found = await dependants(scene);
    if (found.length > 0) throw inUse(found);
    await carryOut(scene, who);
    return { vmid, ejected: true, dependent_guests: [] };
  };

  /** @param who `root`: also for a guest that is no more */
  return async (vmid: number, { where }: EjectDisk, who: Who = `guest ${vmid}`): Promise<Ejected> => {
    const act = () => inTurn(() => perform(vmid, where, who)).finally(current.changed);
    /** What was ejected may have been connected again since. */
    const isOut = (): boolean => !records.assignments().some((one) => one.mountPoint === where && one.vmid === vmid);
    const pending = () => stillAtWork(`What was written is still on its way to the drive. ${STILL}`);
    return late(JSON.stringify([vmid, where, who]), act, pending, isOut);
  };
};
