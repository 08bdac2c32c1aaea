/** Drives as lines of text. Pure. */

import { inert } from '#shared/inert';
import type { AdminDrive, AdminDrives } from '#shared/wire/admin-disks';
import { bytesText } from '../disks/inventory/data.ts';
import { table } from './table.ts';
import { span, time } from './words.ts';

const size = (bytes: number | null): string => (bytes === null ? '-' : bytesText(bytes));

const or = (text: string, otherwise = '-'): string => (text === '' ? otherwise : inert(text));

const ownerWords = ({ owner }: AdminDrive): string => {
  if (owner === null) return '-';
  return `guest ${owner.vmid}${owner.suspended ? ' (suspended)' : ''}`;
};

const healthWords = ({ smart }: AdminDrive): string => `${smart.health}${smart.standby ? ' (sleeps)' : ''}`;

export const driveTable = (drives: readonly AdminDrive[]): string[] =>
  table([
    ['NAME', 'SIZE', 'MODEL', 'SERIAL', 'ROLE', 'OWNER', 'STATE', 'DATA', 'HEALTH'],
    ...drives.map((drive) => [
      ...[or(drive.name), size(drive.size_bytes), or(drive.model), or(drive.serial), drive.role, ownerWords(drive), drive.state],
      ...[drive.data_bearing ? 'yes' : 'blank', healthWords(drive)],
    ]),
  ]);

/** What whoever reads a list of drives has to know before they trust it. */
export const driveNotes = ({ missing, unmatched_protect, writes_off }: AdminDrives): string[] => [
  ...missing.map(({ source, why }) => `Not everything could be found out (${source}): ${inert(why)}`),
  ...(missing.length === 0 ? [] : ['While that is so, every drive is taken for one that the host needs.']),
  ...(writes_off === '' ? [] : [`No drive is changed: ${inert(writes_off)}`]),
  ...unmatched_protect.map((entry) => `disks.protect: ${inert(entry)} matches no drive, plugged in or remembered.`),
];

/** A word and what belongs to it, further lines below it. */
const field = (word: string, ...lines: readonly string[]): string[] =>
  lines.map((line, index) => `${(index === 0 ? word : '').padEnd(12)}${line}`);

const holderLine = ({ sentence, pid }: AdminDrive['holders'][number]): string =>
  `${inert(sentence)}${pid === null ? '' : ` (process ${pid})`}`;

const filesystemLine = ({
  device,
  fstype,
  label,
  uuid,
  size_bytes,
  mount_path,
  vmid,
}: AdminDrive['filesystems'][number]): string => {
  const words = [device, fstype, label === '' ? '' : `"${label}"`, uuid, size(size_bytes)]
    .filter((word) => word !== '')
    .join(' ');
  if (vmid === null) return inert(words);
  return inert(`${words}, ${mount_path === '' ? 'assigned to' : `mounted at ${mount_path} for`} guest ${vmid}`);
};

const smartLines = ({ smart }: AdminDrive): string[] => {
  const { health, standby, temperature_c, percentage_used, power_on_hours, age_seconds = null, reasons = [] } = smart;
  const figures = [
    ...(temperature_c === null ? [] : [`${temperature_c} °C`]),
    ...(percentage_used === null ? [] : [`${percentage_used} % of its expected life used`]),
    ...(power_on_hours === null ? [] : [`powered on for ${power_on_hours} h`]),
    age_seconds === null ? 'never asked' : `asked ${span(age_seconds)} ago`,
  ];
  return [
    `${health}${standby ? ' (the drive sleeps)' : ''}: ${figures.join(', ')}`,
    ...reasons.map((reason) => `- ${inert(reason)}`),
  ];
};

const dataLine = ({ data_bearing, data_reason, blank_read_fraction }: AdminDrive): string => {
  const progress = blank_read_fraction === null ? '' : ` (${Math.floor(blank_read_fraction * 100)} % read)`;
  return `${data_bearing ? 'yes' : 'blank'}: ${inert(data_reason)}${progress}`;
};

const dates = ({ first_seen_at, last_seen_at }: AdminDrive): string[] =>
  first_seen_at === null ? [] : field('seen', `first ${time(first_seen_at)}, last ${time(last_seen_at)}`);

export const driveLines = (drive: AdminDrive): string[] => [
  `${or(drive.name)}  ${[drive.model, drive.serial].map((word) => or(word)).join('  ')}  ${size(drive.size_bytes)}`,
  ...field('state', drive.state),
  ...field(
    'role',
    drive.role,
    ...drive.reasons.map(({ sentence, lasting }) => `- ${inert(sentence)}${lasting ? ' (remembered)' : ''}`),
  ),
  ...field('owner', drive.owner === null ? 'nobody' : `${ownerWords(drive)}, since ${time(drive.owner.since)}`),
  ...field('in use by', ...(drive.holders.length === 0 ? ['nobody'] : drive.holders.map(holderLine))),
  ...field('data', dataLine(drive)),
  ...field('holds', ...drive.filesystems.map(filesystemLine)),
  ...field('health', ...smartLines(drive)),
  ...field(
    'connected',
    [drive.transport, drive.bus_path]
      .filter((word) => word !== '')
      .map(inert)
      .join(', ') || '-',
  ),
  ...field('wwn', or(drive.wwn)),
  ...field('class', or(drive.class)),
  ...field('also', ...drive.twins.map((twin) => `cannot be told from ${inert(twin)}`)),
  ...field('links', ...drive.links.map(inert)),
  ...field('durable id', or(drive.durable_id)),
  ...dates(drive),
];
