/** What a drive is and what is on it, from what the kernel, udev and its own signatures say. Pure. */
import type { KernelDevice } from '../../ports/sysfs.ts';
import type { DriveFilesystem, Identity } from './drive.ts';
import type { Probe, UdevEntry } from './evidence.ts';
import { kindOf } from './kinds.ts';
import { folded, plain } from './plain.ts';

/** Something on a drive or on one of its partitions. */
export interface Content {
  device: string;
  type: string;
  uuid: string;
  label: string;
}

/** What names a partition, whatever is in it. */
export interface PartitionNames {
  device: string;
  uuid: string;
  label: string;
  /** GUID or number of its type, as udev has it. */
  type: string;
}

/** What the sources tell of one drive by its name. */
export interface Sources {
  device: KernelDevice;
  udev: ReadonlyMap<string, UdevEntry>;
  /** Null: not read, or not to be read. */
  probe: Probe | null;
}

/** udev writes what it finds unsafe as `\x20`. */
const decoded = (text: string): string =>
  text.replace(/\\x([0-9a-f]{2})/gi, (_all, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)));

const propertiesOf = (udev: ReadonlyMap<string, UdevEntry>, name: string): Readonly<Record<string, string>> =>
  udev.get(name)?.properties ?? {};

/** The drive and its partitions, by kernel name. */
export const namesOf = ({ name, partitions }: KernelDevice): string[] => [name, ...partitions.map((part) => part.name)];

const contentInUdev = (udev: ReadonlyMap<string, UdevEntry>, device: string): Content[] => {
  const { ID_FS_TYPE = '', ID_FS_UUID = '', ID_FS_LABEL = '', ID_FS_LABEL_ENC } = propertiesOf(udev, device);
  if (ID_FS_TYPE === '') return [];
  return [{ device, type: ID_FS_TYPE, uuid: decoded(ID_FS_UUID), label: decoded(ID_FS_LABEL_ENC ?? ID_FS_LABEL) }];
};

/** Both tell what the drive is known by; only the probe tells what is on it now. */
export const contentsOf = ({ device, udev, probe }: Sources): Content[] => [
  ...(probe?.signatures ?? []),
  ...namesOf(device).flatMap((name) => contentInUdev(udev, name)),
];

export const partitionsOf = ({ device, udev, probe }: Sources): PartitionNames[] =>
  device.partitions.flatMap(({ name }) => {
    const { ID_PART_ENTRY_UUID = '', ID_PART_ENTRY_NAME = '', ID_PART_ENTRY_TYPE = '' } = propertiesOf(udev, name);
    const entry = { device: name, label: decoded(ID_PART_ENTRY_NAME), type: ID_PART_ENTRY_TYPE };
    const uuids = new Set([probe?.partitionUuids[name] ?? '', ID_PART_ENTRY_UUID]);
    return [...uuids].map((uuid) => ({ ...entry, uuid }));
  });

/** File systems and LUKS, each once; of a drive that was not read as udev remembers them. */
export const filesystemsOf = (sources: Sources): DriveFilesystem[] => {
  const { device, udev, probe } = sources;
  const sizes = new Map(
    [{ name: device.name, numbers: device.numbers, sizeBytes: device.sizeBytes }, ...device.partitions].map((one) => [
      one.name,
      one,
    ]),
  );
  const found: readonly Content[] = probe?.signatures ?? namesOf(device).flatMap((name) => contentInUdev(udev, name));
  const listed = found
    .filter(({ type }) => kindOf(type) === 'filesystem' || kindOf(type) === 'locked')
    .map(({ device: name, type, uuid, label }) => ({
      device: name,
      numbers: sizes.get(name)?.numbers ?? '',
      sizeBytes: sizes.get(name)?.sizeBytes ?? null,
      fstype: type,
      uuid: plain(uuid, 64),
      label: plain(label),
    }));
  return listed.filter((one, index) => listed.findIndex((other) => sameFilesystem(one, other)) === index);
};

const sameFilesystem = (a: DriveFilesystem, b: DriveFilesystem): boolean =>
  a.device === b.device && a.fstype === b.fstype && a.uuid === b.uuid;

/** Empty, and what only says that there is none: `00000000-0000-…`. */
const isNothing = (id: string): boolean => /^(0x)?[0\-:.]*$/.test(id);

/** None where there is no identifier. */
export const keyOf = (kind: string, id: string): string[] => (isNothing(folded(id)) ? [] : [`${kind}:${folded(id)}`]);

/** Hex digits only: mdadm, the kernel and blkid part them each in another way. */
export const mdId = (uuid: string): string => uuid.toLowerCase().replace(/[^0-9a-f]/g, '');

/** Of a record, never of what is plugged in: the drive's owner has, or had, this file system of it mounted, or had it made. */
export const takenKey = (uuid: string): string[] => keyOf('taken', uuid);

const CONTENT_KEYS: Readonly<Record<string, string>> = {
  LVM1_member: 'pv',
  LVM2_member: 'pv',
  zfs_member: 'pool',
  btrfs: 'btrfs',
  crypto_LUKS: 'luks',
};

const keyOfContent = ({ type, uuid }: Content): string[] =>
  type === 'linux_raid_member' ? keyOf('md', mdId(uuid)) : keyOf(CONTENT_KEYS[type] ?? 'fs', uuid);

/** One model and serial of a drive, as one source has them. */
interface Labelled {
  model: string;
  serial: string;
}

const labelsOf = ({ device, udev }: Pick<Sources, 'device' | 'udev'>): Labelled[] => {
  const { ID_MODEL = '', ID_SERIAL_SHORT = '', ID_SCSI_SERIAL = '' } = propertiesOf(udev, device.name);
  return [
    { model: decoded(ID_MODEL), serial: decoded(ID_SCSI_SERIAL) },
    { model: decoded(ID_MODEL), serial: decoded(ID_SERIAL_SHORT) },
    { model: device.model, serial: device.serial },
    { model: device.model, serial: device.usbDevice?.serial ?? '' },
  ];
};

/** With the extension where there is one: without it, all drives of some arrays have the same. */
const wwnsOf = ({ device, udev }: Pick<Sources, 'device' | 'udev'>): string[] => {
  const { ID_WWN = '', ID_WWN_WITH_EXTENSION = '' } = propertiesOf(udev, device.name);
  return [ID_WWN_WITH_EXTENSION || ID_WWN, device.wwn].map((wwn) => plain(wwn)).filter((wwn) => !isNothing(wwn));
};

/** `wwn:…` and `serial:…`: of the hardware, whatever is on it. */
export const isHardwareKey = (one: string): boolean => /^(wwn|serial):/.test(one);

const unique = (keys: readonly string[]): string[] => [...new Set(keys)];

const hardwareKeys = (sources: Pick<Sources, 'device' | 'udev'>): string[] =>
  unique([
    ...wwnsOf(sources).flatMap((wwn) => keyOf('wwn', wwn)),
    ...labelsOf(sources).flatMap(({ model, serial }) =>
      folded(serial) === '' ? [] : [`serial:${folded(model)}/${folded(serial)}/${sources.device.sizeBytes ?? ''}`],
    ),
  ]);

/** Every serial and every WWN that any source knows, folded: for `disks.protect`. */
export const namedBy = (sources: Pick<Sources, 'device' | 'udev'>): { serials: string[]; wwns: string[] } => ({
  serials: unique([
    ...labelsOf(sources).map(({ serial }) => folded(serial)),
    folded(decoded(propertiesOf(sources.udev, sources.device.name).ID_SERIAL ?? '')),
  ]).filter((serial) => serial !== ''),
  wwns: wwnsOf(sources).map(folded),
});

/** Of a file system on its one partition, whose GUIDs are not known yet. */
export const keysOfFilesystem = (fstype: string, uuid: string): string[] =>
  keyOfContent({ device: '', type: fstype, uuid, label: '' });

const first = (texts: readonly string[]): string => texts.find((text) => text !== '') ?? '';

/** @param sets keys of sets that other sources say the drive belongs to: `vg:…`, `pool:…`, `md:…` */
export const identityOf = (sources: Sources, sets: readonly string[]): Identity => {
  const { device, udev, probe } = sources;
  const { ID_PART_TABLE_UUID = '' } = propertiesOf(udev, device.name);
  const labels = labelsOf(sources);
  const tables = [probe?.tableUuid ?? '', ID_PART_TABLE_UUID].map(folded);
  return {
    model: first(labels.map(({ model }) => plain(model.replaceAll('_', ' ')))),
    serial: first(labels.map(({ serial }) => plain(serial))),
    wwn: first(wwnsOf(sources)),
    sizeBytes: device.sizeBytes,
    transport: plain(device.transport, 16),
    busPath: plain(device.path, 512),
    tableUuid: first(tables),
    keys: unique([
      ...hardwareKeys(sources),
      ...tables.flatMap((uuid) => keyOf('table', uuid)),
      ...partitionsOf(sources).flatMap(({ uuid }) => keyOf('part', uuid)),
      ...contentsOf(sources).flatMap(keyOfContent),
      ...sets,
    ]),
  };
};
