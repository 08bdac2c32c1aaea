/** The host's mounts of a drive, as what is needed to make them again. Pure. */
import { isWithin, type Mount } from '#shared/mountinfo';
import type { Drive, DriveFilesystem } from '../disks/inventory/drive.ts';
import type { HostConfig } from '../ports/host-config.ts';
import { mountUnitName } from '../ports/mount-units.ts';
import type { Prepared } from './op.ts';

export type Unmounted = Extract<Prepared, { kind: 'unmounted' }>;

/** What the kernel says of a file system after an error; none of them can be asked for. linux:fs/ext4/super.c */
const STATES = new Set(['emergency_ro', 'shutdown']);

/** Of the mount alone: what every file system and every bind may be given. mount(8), "FILESYSTEM-INDEPENDENT MOUNT OPTIONS". */
const OF_MOUNTS = /^(ro|nosuid|nodev|noexec|noatime|nodiratime|relatime|strictatime)$/;

/** As mount(8) takes them again. One that can only be read stays so; what FUSE says of its own is no option of it. */
const optionsOf = ({ options, fstype }: Mount): string[] => {
  const given = [...new Set(options)].filter((one) => one !== '' && !STATES.has(one));
  const taken = fstype.startsWith('fuse') ? given.filter((one) => one === 'rw' || OF_MOUNTS.test(one)) : given;
  return taken.includes('ro') ? taken.filter((one) => one !== 'rw') : taken;
};

/** Only those of the mount, for a kernel that takes the others no more; a btrfs keeps what says which part of it is meant. */
export const plainOptions = (options: string): string =>
  options
    .split(',')
    .filter((one) => OF_MOUNTS.test(one) || /^(rw|bind|subvol=.*)$/.test(one))
    .join(',') || 'rw';

/** Whether a mount of this kind at this place shows all of it without the help of another. */
const isWhole = ({ root, fstype, options }: Mount): boolean =>
  root === '/' || (fstype === 'btrfs' && options.includes(`subvol=${root}`));

/** The mount of the same file system that shows what this one binds. */
const shownBy = (mounts: readonly Mount[], { id, device, root }: Mount): Mount | undefined =>
  mounts.find((one) => one.id !== id && one.device === device && isWhole(one) && isWithin(root, one.root));

const join = (point: string, rest: string): string => `${point === '/' ? '' : point}${rest}`;

const filesystemOf = ({ filesystems }: Drive, { device, source }: Mount): DriveFilesystem | undefined =>
  filesystems.find((one) => one.numbers === device || `/dev/${one.device}` === source);

export interface HostView {
  drive: Drive;
  /** Of this drive, as they were made. */
  mounts: readonly Mount[];
  units: HostConfig['units'];
}

/** Null: it shows a part of a file system that is mounted nowhere as a whole, so it could not be made again. */
export const unmountedOf = ({ drive, mounts, units }: HostView, mount: Mount): Unmounted | null => {
  const { point, fstype, root } = mount;
  const unit = units.some(({ where }) => where.replace(/(?<=.)\/+$/, '') === point) ? mountUnitName(point) : '';
  if (isWhole(mount)) {
    const filesystem = filesystemOf(drive, mount);
    const source = filesystem === undefined || filesystem.uuid === '' ? mount.source : `UUID=${filesystem.uuid}`;
    return { kind: 'unmounted', point, source, fstype: filesystem?.fstype || fstype, options: optionsOf(mount).join(','), unit };
  }
  const whole = shownBy(mounts, mount);
  if (whole === undefined) return null;
  const below = root.slice(whole.root === '/' ? 0 : whole.root.length);
  const options = ['bind', ...optionsOf(mount).filter((one) => OF_MOUNTS.test(one))].join(',');
  return { kind: 'unmounted', point, source: join(whole.point, below), fstype: 'none', options, unit };
};

/** `/dev/sdb1` of this drive; the path as it stands where it names no UUID; null: the file system is not on it any more. */
export const sourceNow = (drive: Drive, { source }: Unmounted): string | null => {
  if (!source.startsWith('UUID=')) return source;
  const found = drive.filesystems.find(({ uuid }) => uuid === source.slice('UUID='.length));
  return found === undefined ? null : `/dev/${found.device}`;
};
