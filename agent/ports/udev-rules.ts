/** Our rules for udev: a link of our own for each assigned file system, on the very drive it was found on. Pure. */
import type { MountSpec } from './drive-mounts.ts';

/** 512-byte sectors are what sysfs counts sizes in, whatever the drive's own are (sysfs-block). */
const SECTOR_BYTES = 512;

/**
 * A value to compare with. Matches are shell patterns with `|` between alternatives (udev(7)); what could be read as one, or end the
 * value, stands for any one character. udev itself puts `_` for what it does not like in a serial.
 */
const pattern = (value: string): string =>
  [...Buffer.from(value)]
    .map((byte) => String.fromCharCode(byte))
    .map((char) => (/[A-Za-z0-9.:-]/.test(char) ? char : '?'))
    .join('');

const rule = ({ link, uuid, match: { serial, wwn, sizeBytes } }: MountSpec): string => {
  if (!/^[a-z0-9][a-z0-9._-]*$/.test(link)) throw new Error(`not fit for a link: ${JSON.stringify(link)}`);
  const keys = [
    `ENV{ID_FS_UUID}=="${pattern(uuid)}"`,
    ...(serial === '' ? [] : [`ENV{ID_SERIAL}=="${pattern(serial)}"`]),
    ...(wwn === '' ? [] : [`ENV{ID_WWN}=="${pattern(wwn)}"`]),
    // Of the whole drive: of the device itself, or of the one that it is a partition of.
    ...(sizeBytes === null ? [] : [`ATTRS{size}=="${sizeBytes / SECTOR_BYTES}"`]),
  ];
  return `${keys.join(', ')}, SYMLINK+="felhom/${link}"`;
};

/**
 * The whole file. It comes after 60-persistent-storage.rules, which asks the device for what is matched here. Guests' virtual disks
 * (dm, zd, loop, nbd) may carry any UUID and are left out, so that none of them can ever take a link.
 */
export const udevRules = (specs: readonly MountSpec[]): string =>
  [
    '# felhom-agent writes this file from its assignments. What is changed here is lost.',
    'SUBSYSTEM!="block", GOTO="felhom_end"',
    'ACTION=="remove", GOTO="felhom_end"',
    'KERNEL!="sd*|nvme*|mmcblk*", GOTO="felhom_end"',
    ...specs.map(rule),
    'LABEL="felhom_end"',
    '',
  ].join('\n');
