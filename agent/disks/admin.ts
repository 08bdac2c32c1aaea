/** The drives of this host for the operator: everything that is known of them, and the two decisions that only root may take. */
import { FelhomError } from '#shared/errors';
import type { AdminDrive, AdminDrives } from '#shared/wire/admin-disks';
import type { EjectDisk, Ejected } from '#shared/wire/disks';
import { ageSeconds } from '../collector.ts';
import { type AdminFacts, driveView, type Found, findDrives, ghostView } from './admin-view.ts';
import { beingFormatted } from './deeds/candidate.ts';
import { mountedNow } from './deeds/mounted.ts';
import type { BlankState } from './inventory/data.ts';
import type { Drive, DriveRecord, Holder, Inventory } from './inventory/drive.ts';
import type { Current, Look } from './known/current.ts';
import { type Claims, ownersOf } from './known/ownership.ts';
import type { Records } from './known/records.ts';

export interface DiskAdminPorts {
  current: Current;
  records: Pick<Records, 'assignments' | 'drives' | 'setOwner' | 'demote'>;
  claims: () => Claims;
  classOf: AdminFacts['classOf'];
  healthOf: AdminFacts['healthOf'];
  blankStateOf: (drive: Drive) => BlankState | undefined;
  /** Everybody who keeps it in use, looked at now. */
  holders: (drive: Drive) => Promise<readonly Holder[]>;
  writesOff: () => string;
  eject: (vmid: number, body: EjectDisk, who: 'root') => Promise<Ejected>;
}

type Missing = AdminDrives['missing'];

const missingIn = ({ missing }: Inventory): Missing => missing.map(({ source, why }) => ({ source, why }));

const nameOf = ({ drive, record }: Found): string => {
  if (drive !== null) return drive.name;
  const { model, serial, name } = record;
  return `${model} ${serial} (not plugged in, last ${name})`.trim();
};

const theOne = (text: string, inventory: Inventory): Found => {
  const [found, ...others] = findDrives(text, inventory);
  if (found === undefined)
    throw new FelhomError(
      'drive-not-found',
      `There is no drive "${text}". "felhom-agent disks list" shows those there are, or were.`,
    );
  if (others.length === 0) return found;
  const names = [found, ...others].map(nameOf).join(', ');
  throw new FelhomError(
    'drive-ambiguous',
    `"${text}" means several drives: ${names}. Name one by its kernel name or its durable id.`,
  );
};

const UNSURE: Holder = {
  kind: 'unknown',
  sentence: 'Who keeps it in use could not be found out, so it counts as in use.',
  vmid: null,
  pid: null,
};

export const createDiskAdmin = (ports: DiskAdminPorts) => {
  const { current, records, claims } = ports;

  const facts = (look: Look | null): AdminFacts => {
    const assignments = records.assignments();
    const udev = look?.evidence.udev;
    return {
      assignments,
      mounted: mountedNow(assignments, look?.evidence.mounts),
      instances: claims().instances,
      ...{ classOf: ports.classOf, healthOf: ports.healthOf },
      blankReadFraction: (drive) => {
        const blank = ports.blankStateOf(drive);
        return blank?.state === 'reading' ? blank.readFraction : null;
      },
      linksOf: ({ name }) => (udev?.known === true ? (udev.value.get(name)?.links ?? []) : []),
    };
  };

  const view = (found: Found, holders?: readonly Holder[]): AdminDrive =>
    found.drive === null
      ? ghostView(found.record, facts(current.last()))
      : driveView(found.drive, facts(current.last()), holders);

  const list = async (): Promise<AdminDrives> => {
    const { inventory, ageMs } = await current.inventory();
    const all = facts(current.last());
    return {
      drives: [
        ...inventory.drives.map((drive) => driveView(drive, all)),
        ...inventory.unplugged.map((one) => ghostView(one, all)),
      ],
      missing: missingIn(inventory),
      unmatched_protect: [...inventory.unmatchedProtect],
      writes_off: ports.writesOff(),
      age_seconds: ageSeconds(ageMs),
    };
  };

  /** As new as can be had: a drive that hangs is still to be shown. */
  const newest = async (): Promise<Inventory> =>
    current.fresh().catch(async (error: unknown) => {
      if (error instanceof FelhomError) return (await current.inventory()).inventory;
      throw error;
    });

  /** Whoever formats it must not meet anybody else on it: it is not even asked. */
  const holdersOf = async (drive: Drive): Promise<readonly Holder[]> =>
    drive.format?.state === 'running' ? drive.holders : ports.holders(drive).catch(() => [UNSURE]);

  const refuseBeingFormatted = ({ drive }: Found): void => {
    if (drive?.format?.state === 'running') throw beingFormatted();
  };

  const show = async (text: string): Promise<{ drive: AdminDrive; missing: Missing }> => {
    const inventory = await newest();
    const found = theOne(text, inventory);
    const holders = found.drive === null ? [] : await holdersOf(found.drive);
    return { drive: view(found, holders), missing: missingIn(inventory) };
  };

  /** Its own record and those that it was known by before; not the record of another drive that is plugged in. */
  const recordsOf = (found: Found, { drives }: Inventory): DriveRecord[] => {
    if (found.drive === null) return [found.record];
    const others = new Set(drives.filter(({ name }) => name !== found.drive.name).map(({ record }) => record?.id));
    return [found.drive.record, ...found.drive.related].flatMap((record) =>
      record === null || others.has(record.id) ? [] : [record],
    );
  };

  /** After a change, for whoever made it. */
  const after = async (text: string): Promise<{ drive: AdminDrive }> => {
    current.changed();
    return { drive: view(theOne(text, (await current.inventory()).inventory)) };
  };

  const demote = async (text: string): Promise<{ drive: AdminDrive }> => {
    const inventory = await newest();
    const found = theOne(text, inventory);
    refuseBeingFormatted(found);
    for (const { id, role } of recordsOf(found, inventory)) if (role !== null) await records.demote(id);
    return after(text);
  };

  const refuseAssigned = (ids: readonly number[]): void => {
    const assigned = records.assignments().filter(({ drive }) => ids.includes(drive));
    if (assigned.length === 0) return;
    const places = assigned.map(({ mountPoint, vmid }) => `${mountPoint} for guest ${vmid}`).join(', ');
    throw new FelhomError(
      'drive-in-use',
      `The drive is connected at ${places}. Eject it first, in the guest or with "felhom-agent disks eject".`,
    );
  };

  const release = async (text: string): Promise<{ drive: AdminDrive }> => {
    const inventory = await newest();
    const found = theOne(text, inventory);
    refuseBeingFormatted(found);
    const own = recordsOf(found, inventory);
    refuseAssigned(own.map(({ id }) => id));
    for (const { id, owner } of own) if (owner !== null) await records.setOwner(id, null, 'root');
    const answer = await after(text);
    const left =
      found.drive === null ? [] : ownersOf({ record: null, related: found.drive.related.filter((one) => !own.includes(one)) });
    if (left.length === 0) return answer;
    throw new FelhomError(
      'drive-unknown-owner',
      `It was released, but it carries the same as another drive that guest ${left.map(({ vmid }) => vmid).join(' and ')} owns and that is plugged in. Release that one too, or unplug it.`,
    );
  };

  const eject = async (where: string): Promise<Ejected> => {
    const assignment = records.assignments().find(({ mountPoint }) => mountPoint === where);
    if (assignment === undefined)
      throw new FelhomError(
        'not-assigned',
        `Nothing is connected at ${where}. "felhom-agent disks show" says where a drive is mounted.`,
      );
    try {
      return await ports.eject(assignment.vmid, { where }, 'root');
    } finally {
      current.changed();
    }
  };

  return { list, show, demote, release, eject };
};
export type DiskAdmin = ReturnType<typeof createDiskAdmin>;
