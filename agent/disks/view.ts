/** The drives of the host as one guest may see them: its own and free ones whole, another guest's by name and size only. Pure. */
import { filesystemDurableId } from '#shared/durable-id';
import { fraction, int } from '#shared/int';
import type { Disk } from '#shared/wire/disks';
import type { Filesystem } from '../config.ts';
import type { DriveClass } from '../storage/class.ts';
import { listedDurableId } from './durable-id.ts';
import type { Assignment } from './inventory/assignment.ts';
import type { Drive, DriveFilesystem, DriveRecord, Inventory } from './inventory/drive.ts';
import { isFormer } from './inventory/former.ts';
import { sentenceForGuests } from './inventory/role.ts';
import { type Claims, isSuspended, type Standing, standingOf } from './known/ownership.ts';

/** What is known of one of the guest's mounted file systems. */
export interface MountedFacts {
  /** In the guest; empty where it does not show there. */
  guestPath: string;
  /** Null where it could not be asked in time. */
  filling: { totalBytes: number; usedBytes: number } | null;
}

export interface ListingFacts {
  vmid: number;
  inventory: Inventory;
  /** Of all guests. */
  assignments: readonly Assignment[];
  /** By mount point on the host: what is mounted there now, of this guest's. */
  mounted: ReadonlyMap<string, MountedFacts>;
  claims: Claims;
  filesystems: readonly Filesystem[];
  /** Why no drive is changed; empty where drives may be. */
  writesOff: string;
  classOf: (drive: Drive) => DriveClass;
  healthOf: (drive: Drive) => Disk['smart'];
}

/** No client reads more than 1 MiB; the envelope and its frame get the rest of the half that is the contract. */
const LISTING_BYTES = 400 * 1024;

/** Of a text that a drive wrote, or that names one. */
const clip = (text: string, chars = 300): string => (text.length > chars ? `${text.slice(0, chars - 1)}…` : text);
const WORD_CHARS = 100;

const UNSEEN: Disk['smart'] = { health: 'UNKNOWN', temperature_c: null, percentage_used: null };

const EMPTY = {
  ...{ backing_device: '', mount_path: '', guest_path: '', used_bytes: null, used_fraction: null },
  ...{ durable_id: '', model: '', serial: '', fstype: '', label: '' },
} as const;

/** RFC 4122, or the short forms of FAT and exFAT: what `POST /disks/assign` takes. */
const UUID = /^[0-9A-Fa-f][0-9A-Fa-f-]{3,63}$/;

const sameUuid = (a: string, b: string): boolean => a.toLowerCase() === b.toLowerCase();

/** Of this drive, also from before it was put into another enclosure. */
const assignmentOf = (drive: Drive, { uuid }: DriveFilesystem, assignments: readonly Assignment[]): Assignment | undefined => {
  const ids = [drive.record, ...drive.related].map((record) => record?.id);
  return assignments.find((one) => sameUuid(one.uuid, uuid) && ids.includes(one.drive));
};

export const isMountable = ({ fstype, uuid }: DriveFilesystem, filesystems: readonly Filesystem[]): boolean =>
  filesystems.some((one) => one === fstype) && UUID.test(uuid);

const roleReason = ({ reasons: [first] }: Drive): string => (first === undefined ? '' : sentenceForGuests(first));

const NOT_MOUNTED = (fstype: string): string =>
  `It holds ${fstype === '' ? 'no file system' : `${fstype}, which felhom does not mount`}.`;

/** Why the guest cannot have this file system mounted now, the most telling reason first; empty where it can. */
const whyNotAssignable = (drive: Drive, fs: DriveFilesystem | null, standing: Standing, facts: ListingFacts): string => {
  if (standing.why !== '') return standing.why;
  if (drive.format !== undefined) return drive.format.sentence;
  if (drive.role !== 'user-data') return roleReason(drive);
  if (facts.writesOff !== '') return facts.writesOff;
  if (drive.state === 'not-answering') return 'It does not answer.';
  if (drive.twins.length > 0) return `It cannot be told from ${drive.twins.join(' and ')}. Unplug one of them.`;
  if (fs === null)
    return drive.filesystems.length > 1
      ? 'Each of its file systems is listed by itself.'
      : 'It holds no file system that felhom can mount.';
  if (!isMountable(fs, facts.filesystems)) return NOT_MOUNTED(fs.fstype);
  const assigned = assignmentOf(drive, fs, facts.assignments);
  if (assigned !== undefined) return `It is connected already, as ${assigned.mountPoint}.`;
  return drive.holders[0]?.sentence ?? '';
};

const mountFields = (drive: Drive, fs: DriveFilesystem | null, { vmid, assignments, mounted }: ListingFacts) => {
  const assignment = fs === null ? undefined : assignmentOf(drive, fs, assignments);
  const facts = assignment?.vmid === vmid ? mounted.get(assignment.mountPoint) : undefined;
  return {
    mount_path: facts === undefined ? '' : (assignment?.mountPoint ?? ''),
    guest_path: facts?.guestPath ?? '',
    used_bytes: int(facts?.filling?.usedBytes),
    used_fraction: fraction(facts?.filling?.usedBytes, facts?.filling?.totalBytes),
  };
};

/** What is the same for a drive and for its parts. */
const common = (drive: Drive, facts: ListingFacts) => ({
  state: drive.state,
  class: facts.classOf(drive),
  role: drive.role,
  data_bearing: drive.dataBearing,
  data_reason: clip(drive.dataReason),
});

/** Name, size and role: nothing by which another guest could call it. */
const concealed = (drive: Drive, { why, owner }: { why: string; owner: Disk['owner'] }, facts: ListingFacts): Disk => ({
  ...EMPTY,
  ...common(drive, facts),
  name: drive.name,
  type: 'disk',
  state: drive.state === 'mounted' ? 'in-use' : drive.state,
  role_reason: why,
  data_bearing: true,
  data_reason: why,
  total_bytes: int(drive.identity.sizeBytes),
  owner,
  not_assignable: why,
  smart: { ...UNSEEN, reasons: [why] },
});

/** Its role and why, and the name by which an operator would sign its wipe; nothing that could be mounted. */
const ofTheHost = (drive: Drive, facts: ListingFacts): Disk => ({
  ...EMPTY,
  ...common(drive, facts),
  name: drive.name,
  type: 'disk',
  backing_device: `/dev/${drive.name}`,
  role_reason: clip(roleReason(drive)),
  total_bytes: int(drive.identity.sizeBytes),
  durable_id: listedDurableId(drive),
  model: clip(drive.identity.model, WORD_CHARS),
  serial: clip(drive.identity.serial, WORD_CHARS),
  owner: '',
  not_assignable: clip(roleReason(drive)),
  smart: facts.healthOf(drive),
});

const forTheGuest = (drive: Drive, standing: Standing, facts: ListingFacts): Disk[] => {
  const mountable = drive.filesystems.filter((fs) => isMountable(fs, facts.filesystems));
  const several = mountable.length > 1;
  const only = several ? null : (mountable[0] ?? drive.filesystems[0] ?? null);
  const shared = {
    ...common(drive, facts),
    role_reason: clip(roleReason(drive)),
    model: clip(drive.identity.model, WORD_CHARS),
    serial: clip(drive.identity.serial, WORD_CHARS),
    owner: standing.owner,
    smart: facts.healthOf(drive),
  };
  const whole: Disk = {
    ...shared,
    ...mountFields(drive, only, facts),
    name: drive.name,
    type: 'disk',
    backing_device: `/dev/${drive.name}`,
    total_bytes: int(drive.identity.sizeBytes),
    durable_id: only !== null && isMountable(only, facts.filesystems) ? filesystemDurableId(only.uuid) : listedDurableId(drive),
    fstype: only?.fstype ?? '',
    label: clip(only?.label ?? '', WORD_CHARS),
    not_assignable: clip(whyNotAssignable(drive, only, standing, facts)),
  };
  const parts = (several ? mountable : []).map(
    (fs): Disk => ({
      ...shared,
      ...mountFields(drive, fs, facts),
      name: fs.device,
      type: 'part',
      backing_device: `/dev/${fs.device}`,
      total_bytes: int(fs.sizeBytes),
      durable_id: filesystemDurableId(fs.uuid),
      fstype: fs.fstype,
      label: clip(fs.label, WORD_CHARS),
      not_assignable: clip(whyNotAssignable(drive, fs, standing, facts)),
    }),
  );
  return [whole, ...parts];
};

/** By the host's configuration: passed through whole, a disk of its own. */
const givenToAnother = ({ holders }: Drive, vmid: number): boolean =>
  holders.some((holder) => holder.kind === 'guest' && holder.vmid !== null && holder.vmid !== vmid);

const ofDrive = (drive: Drive, facts: ListingFacts): Disk[] => {
  const standing = standingOf(drive, facts.vmid, facts.claims);
  // Whatever its role is for the moment: what belongs to another guest is that guest's affair.
  if (standing.owner === 'not-yours') return [concealed(drive, standing, facts)];
  if (givenToAnother(drive, facts.vmid)) return [concealed(drive, { why: 'It is given to another guest.', owner: '' }, facts)];
  if (drive.role !== 'user-data') return [ofTheHost(drive, facts)];
  return standing.why === '' ? forTheGuest(drive, standing, facts) : [concealed(drive, standing, facts)];
};

const UNPLUGGED = 'It is not plugged in now.';

const ofGhost = (record: DriveRecord): Disk => ({
  ...EMPTY,
  name: record.name,
  type: 'disk',
  state: 'unplugged',
  class: '',
  role: record.role?.role ?? 'user-data',
  role_reason: UNPLUGGED,
  data_bearing: true,
  data_reason: UNPLUGGED,
  total_bytes: int(record.sizeBytes),
  model: clip(record.model, WORD_CHARS),
  serial: clip(record.serial, WORD_CHARS),
  owner: record.role === null ? 'yours' : '',
  not_assignable: UNPLUGGED,
  smart: { ...UNSEEN, reasons: [UNPLUGGED] },
});

const isOwn = (record: DriveRecord, { vmid, claims }: ListingFacts): boolean =>
  record.owner?.vmid === vmid && !isFormer(record) && !isSuspended(record.owner, claims.instances);

/** One's own first, so that they are there however many drives there are. */
const RANK = { yours: 0, free: 1, 'not-yours': 3, '': 2 } as const;

const why = (shown: number, all: number, { missing }: Inventory): string =>
  [
    ...(missing.length === 0
      ? []
      : [
          `Not everything could be found out (${missing.map(({ source }) => source).join(', ')}), so every drive is taken for one that the host needs.`,
        ]),
    ...(shown === all ? [] : [`Only ${shown} of ${all} entries are listed: the answer would be too long.`]),
  ].join(' ');

/** `reason`: why the list is not complete, or not certain; empty where it is both. */
export const listingOf = (facts: ListingFacts): { disks: Disk[]; reason: string } => {
  const { drives, unplugged } = facts.inventory;
  const groups = [
    ...drives.map((drive) => ofDrive(drive, facts)),
    ...unplugged.filter((one) => isOwn(one, facts)).map((one) => [ofGhost(one)]),
  ];
  const all = groups.sort(([a], [b]) => RANK[a?.owner ?? ''] - RANK[b?.owner ?? '']).flat();
  let bytes = 0;
  const disks = all.filter((disk) => {
    bytes += Buffer.byteLength(JSON.stringify(disk)) + 1;
    return bytes <= LISTING_BYTES;
  });
  return { disks, reason: why(disks.length, all.length, facts.inventory) };
};
