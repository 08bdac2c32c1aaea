/** The drives of the host as the operator sees them: everything that is known. Pure. */
import { timestamp } from '#shared/ids';
import { int } from '#shared/int';
import type { AdminDrive } from '#shared/wire/admin-disks';
import type { DriveClass } from '../storage/class.ts';
import { listedDurableId } from './durable-id.ts';
import type { Assignment } from './inventory/assignment.ts';
import type { Drive, DriveRecord, Holder, Inventory } from './inventory/drive.ts';
import { type Claims, isSuspended, ownersOf } from './known/ownership.ts';

export interface AdminFacts {
  assignments: readonly Assignment[];
  /** Mount points of assignments that are mounted now. */
  mounted: ReadonlySet<string>;
  instances: Claims['instances'];
  classOf: (drive: Drive) => DriveClass;
  healthOf: (drive: Drive) => AdminDrive['smart'];
  /** 0–1 of a drive that is being read to prove it blank; null of any other. */
  blankReadFraction: (drive: Drive) => number | null;
  /** `/dev/disk/by-id/…` */
  linksOf: (drive: Drive) => readonly string[];
}

const UNPLUGGED = 'It is not plugged in now.';

const UNKNOWN: AdminDrive['smart'] = {
  ...{ health: 'UNKNOWN', temperature_c: null, percentage_used: null, age_seconds: null },
  ...{ reasons: [UNPLUGGED], power_on_hours: null, standby: false },
};

const ownerView = (owned: Pick<Drive, 'record' | 'related'>, { instances }: AdminFacts): AdminDrive['owner'] => {
  const [owner, ...others] = ownersOf(owned);
  if (owner === undefined) return null;
  const { vmid, since } = owner;
  return { vmid, since: timestamp(since), suspended: others.length > 0 || isSuspended(owner, instances) };
};

const filesystemViews = (drive: Drive, { assignments, mounted }: AdminFacts): AdminDrive['filesystems'] => {
  const ids = [drive.record, ...drive.related].map((record) => record?.id);
  return drive.filesystems.map(({ device, fstype, uuid, label, sizeBytes }) => {
    const assignment = assignments.find((one) => one.uuid.toLowerCase() === uuid.toLowerCase() && ids.includes(one.drive));
    const point = assignment?.mountPoint ?? '';
    return {
      ...{ device, fstype, uuid, label },
      size_bytes: int(sizeBytes),
      mount_path: mounted.has(point) ? point : '',
      vmid: assignment?.vmid ?? null,
    };
  });
};

/** `holders`: of whoever looked closer than the inventory does. */
export const driveView = (drive: Drive, facts: AdminFacts, holders: readonly Holder[] = drive.holders): AdminDrive => {
  const { model, serial, wwn, sizeBytes, transport, busPath } = drive.identity;
  return {
    ...{ name: drive.name, present: true, state: drive.state, model, serial, wwn, transport, bus_path: busPath },
    size_bytes: int(sizeBytes),
    class: facts.classOf(drive),
    role: drive.role,
    reasons: drive.reasons.map(({ role, sentence, lasting }) => ({ role, sentence, lasting })),
    owner: ownerView(drive, facts),
    holders: holders.map(({ kind, sentence, vmid, pid }) => ({ kind, sentence, vmid, pid })),
    twins: [...drive.twins],
    data_bearing: drive.dataBearing,
    data_reason: drive.dataReason,
    blank_read_fraction: facts.blankReadFraction(drive),
    filesystems: filesystemViews(drive, facts),
    links: [...facts.linksOf(drive)],
    durable_id: listedDurableId(drive),
    smart: facts.healthOf(drive),
    first_seen_at: drive.record === null ? null : timestamp(drive.record.firstSeenAt),
    last_seen_at: drive.record === null ? null : timestamp(drive.record.lastSeenAt),
  };
};

export const ghostView = (record: DriveRecord, facts: AdminFacts): AdminDrive => {
  const { name, model, serial, wwn, sizeBytes, transport, role, firstSeenAt, lastSeenAt } = record;
  return {
    ...{ name, present: false, state: 'unplugged', model, serial, wwn, transport, bus_path: '', class: '' },
    size_bytes: int(sizeBytes),
    role: role?.role ?? 'user-data',
    reasons: role === null ? [] : [{ role: role.role, sentence: role.why, lasting: true }],
    owner: ownerView({ record, related: [] }, facts),
    ...{ holders: [], twins: [], data_bearing: true, data_reason: UNPLUGGED, blank_read_fraction: null },
    ...{ filesystems: [], links: [], durable_id: '', smart: UNKNOWN },
    first_seen_at: timestamp(firstSeenAt),
    last_seen_at: timestamp(lastSeenAt),
  };
};

/** A drive that is plugged in, or the record of one that is not. */
export type Found = { drive: Drive; record: DriveRecord | null } | { drive: null; record: DriveRecord };

const isCalled = (text: string, names: readonly string[]): boolean =>
  names.some((name) => name !== '' && name.toLowerCase() === text.toLowerCase());

/** By a kernel name (with or without `/dev/`), a serial, a WWN or a durable id; what means several drives is answered with all of them. */
export const findDrives = (text: string, { drives, unplugged }: Inventory): Found[] => {
  const named = text.replace(/^\/dev\//, '');
  const present = drives.filter((drive) => {
    const { serial, wwn } = drive.identity;
    const parts = drive.device.partitions.map(({ name }) => name);
    const ids = [listedDurableId(drive), ...drive.filesystems.map(({ uuid }) => `uuid:${uuid}`)];
    return [drive.name, ...parts].includes(named) || isCalled(text, [serial, wwn, ...ids]);
  });
  // The name of a drive that is not there may be another's by now.
  const ghosts = unplugged.filter(
    ({ name, serial, wwn }) => isCalled(text, [serial, wwn]) || (present.length === 0 && name === named),
  );
  return [...present.map((drive) => ({ drive, record: drive.record })), ...ghosts.map((record) => ({ drive: null, record }))];
};
