/** What a drive is, in a customer's words. Pure; what drives wrote themselves is made inert here. */
import { inert } from '#shared/inert';
import type { Disk } from '#shared/wire/disks';

const UNITS = ['bytes', 'kB', 'MB', 'GB', 'TB', 'PB'];

/** `500.1 GB`: in powers of ten, as it stands on the drive. */
export const driveSize = (bytes: number | null): string => {
  if (bytes === null) return 'size unknown';
  const power = bytes < 1000 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log10(bytes) / 3));
  return `${power === 0 ? bytes : (bytes / 1000 ** power).toFixed(1)} ${UNITS[power]}`;
};

/** `sdb` of `/dev/sdb`. */
export const kernelName = (device: string): string => device.replace(/^\/dev\//, '');

/** A kernel name: harmless in a command. */
const NAME = /^[A-Za-z0-9]{1,32}$/;
/** To be typed: the drive's name, or a place for it where that is no plain word. */
export const typedName = (name: string): string => (NAME.test(name) ? name : '<drive>');

export const MODEL_UNKNOWN = 'unknown model';
export const modelOf = ({ model }: Pick<Disk, 'model'>): string => (model === '' ? MODEL_UNKNOWN : inert(model));
export const serialOf = ({ serial }: Pick<Disk, 'serial'>): string => (serial === '' ? '-' : inert(serial));

/** `sdb (Portable SSD T5, 500.1 GB)` */
export const driveWords = (disk: Disk): string =>
  `${inert(disk.name)} (${[disk.model === '' ? '' : inert(disk.model), driveSize(disk.total_bytes)].filter((one) => one !== '').join(', ')})`;

/** `ext4 "photos"`; for a cell. */
export const holdsWords = ({ fstype, label, data_bearing, owner, state: now }: Disk): string => {
  if (owner === 'not-yours' || now === 'unplugged') return '-';
  if (!data_bearing) return 'nothing';
  if (fstype === '') return 'see below';
  return label === '' ? inert(fstype) : `${inert(fstype)} "${inert(label)}"`;
};

/** Where the guest finds it; empty where it is not connected. */
export const placeOf = ({ guest_path, mount_path }: Disk): string => guest_path || mount_path;

const isForGuest = ({ role, owner }: Disk): boolean => role === 'user-data' && (owner === 'yours' || owner === 'free');

/** Whether it holds no file system that could be connected, so that only a format makes it one that can. */
export const needsFormat = (disk: Disk): boolean =>
  isForGuest(disk) && disk.type === 'disk' && disk.state === 'available' && disk.durable_id.startsWith('byid:');

const HOSTS: Record<Disk['role'], string> = {
  system: "the host's system",
  backup: "the host's backups",
  'user-data': 'not for this guest',
};

const state = (disk: Disk, hasParts: boolean): string => {
  if (disk.state === 'unplugged') return 'not plugged in';
  if (disk.state === 'not-answering') return 'does not answer';
  if (placeOf(disk) !== '') return `connected at ${inert(placeOf(disk))}`;
  if (disk.not_assignable === '') return 'can be connected';
  if (hasParts) return 'see its parts';
  if (!disk.data_bearing) return 'can be formatted';
  return needsFormat(disk) ? 'only after a format' : 'not now';
};

/** Whose it is, and whether and as what this guest can use it; for a cell. */
export const useWords = (disk: Disk, hasParts: boolean): string => {
  if (disk.owner === 'not-yours') return "another guest's";
  if (!isForGuest(disk)) return HOSTS[disk.role];
  return `${disk.owner === 'yours' ? 'yours' : 'free'}: ${state(disk, hasParts)}`;
};

/** Of a drive that is connected, as `disks eject` takes it. */
export const placeName = (disk: Disk): string => disk.mount_path.slice(disk.mount_path.lastIndexOf('/') + 1);

/** The command that comes next, or what else there is to do; empty where there is nothing. */
export const nextStep = (disk: Disk, hasParts: boolean): string => {
  const name = typedName(disk.name);
  if (disk.state === 'unplugged') return disk.owner === 'yours' ? 'plug it in to use it' : '';
  if (disk.state === 'not-answering') return 'check its cable and its power';
  if (disk.mount_path !== '') return `felhom-controller disks eject ${inert(placeName(disk))}`;
  if (!isForGuest(disk) || hasParts) return '';
  if (disk.not_assignable === '') return `felhom-controller disks assign ${name} --name NAME`;
  if (!needsFormat(disk)) return '';
  const erases = disk.data_bearing ? ' (erases all of it)' : '';
  return `felhom-controller disks format ${name} --fstype ext4${erases}`;
};

/** What a guest that may have it is told: why it cannot be connected, unless that goes without saying. */
const forGuest = (disk: Disk, hasParts: boolean): string[] => {
  const goesWithoutSaying = hasParts || placeOf(disk) !== '' || !disk.data_bearing;
  return [disk.type === 'part' ? '' : disk.data_reason, goesWithoutSaying ? '' : disk.not_assignable];
};

/** In whole sentences, as the agent says it. */
export const aboutWords = (disk: Disk, hasParts: boolean): string => {
  const { role, role_reason, not_assignable, serial, type } = disk;
  const why = role === 'user-data' || disk.owner === 'not-yours' ? '' : role_reason;
  const sentences = [
    serial === '' || type === 'part' ? '' : `Serial number ${serial}.`,
    why,
    ...(isForGuest(disk) ? forGuest(disk, hasParts) : [not_assignable]),
  ];
  return inert(sentences.filter((one, index) => one !== '' && sentences.indexOf(one) === index).join(' '));
};
