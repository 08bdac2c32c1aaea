/** Every mount of a guest and whether a backup includes it, each with its reason in words for customers. Pure. */

import { decodeOctal } from '#shared/mountinfo';
import type { Coverage } from '#shared/wire/archives';
import type { GuestType } from '../ports/proxmox.ts';
import { guestVolumes, type Volume } from './volumes.ts';

type Covered = Coverage['mounts'][number];
type Verdict = Pick<Covered, 'state' | 'reason'>;
type Config = Readonly<Record<string, string>>;

const ROOT: Verdict = { state: 'in-backup', reason: 'The root file system is in every backup.' };
const VOLUME: Verdict = { state: 'in-backup', reason: 'This volume is in every backup.' };
const DISK: Verdict = { state: 'in-backup', reason: 'This disk is in every backup.' };
const WHOLE_DRIVE: Verdict = {
  state: 'in-backup',
  reason: "This is a drive of the host, given to the machine as a whole. It is in every backup, with the machine's other disks.",
};
const VOLUME_OFF: Verdict = { state: 'excluded', reason: 'Backups leave this volume out, as its settings on the host say.' };
const DISK_OFF: Verdict = { state: 'excluded', reason: 'Backups leave this disk out, as its settings on the host say.' };
const EFI_OFF: Verdict = {
  state: 'excluded',
  reason: 'Backups leave this small disk for start-up settings out: the machine does not start by it.',
};
const BIND: Verdict = {
  state: 'bind',
  reason: 'This is a directory of the host. No backup of the guest includes it; it has to be protected another way.',
};
const SHARED: Verdict = {
  state: 'bind',
  reason:
    'This is a directory of the host, shared with the machine. No backup of the guest includes it; it has to be protected another way.',
};
const DEVICE: Verdict = {
  state: 'device',
  reason:
    'This is a drive of the host, passed to the guest. No backup of the guest includes it; it has to be protected another way.',
};
const PASSED: Verdict = {
  state: 'device',
  reason: 'This device of the host is passed to the machine. If it holds data, no backup of the guest includes it.',
};
const BY_HAND: Verdict = {
  state: 'unknown',
  reason: 'This mount was set up by hand on the host in a way that felhom cannot read. Count on it not being in any backup.',
};
const ARGUMENTS: Verdict = {
  state: 'unknown',
  reason: 'The machine is started with a drive that was set up by hand on the host. Count on it not being in any backup.',
};
const UNREADABLE: Verdict = {
  state: 'unknown',
  reason: 'felhom cannot read what this is. Count on it not being in any backup.',
};

/** vzdump takes a container's root file system even where it is a directory. pve-container LXC/Config.pm, mountpoint_backup_enabled. */
const ofContainer = ({ key, storage, hostPath, backup }: Volume): Verdict => {
  if (key === 'rootfs') return ROOT;
  if (hostPath.startsWith('/dev/')) return DEVICE;
  if (hostPath !== '') return BIND;
  if (storage === '') return UNREADABLE;
  return backup ? VOLUME : VOLUME_OFF;
};

const ofMachine = ({ key, storage, hostPath, backup }: Volume): Verdict => {
  if (key.startsWith('virtiofs')) return SHARED;
  if (storage === '' && hostPath === '') return UNREADABLE;
  if (!backup) return key.startsWith('efidisk') ? EFI_OFF : DISK_OFF;
  return hostPath === '' ? DISK : WHOLE_DRIVE;
};

const verdictOf = (type: GuestType, volume: Volume): Verdict => (type === 'lxc' ? ofContainer(volume) : ofMachine(volume));

/** File systems that the kernel makes up: they hold no data of anybody. */
const WITHOUT_DATA = new Set([
  'proc',
  'sysfs',
  'tmpfs',
  'devpts',
  'cgroup',
  'cgroup2',
  'mqueue',
  'debugfs',
  'tracefs',
  'securityfs',
]);
/** The other files of /dev are for graphics, serial lines and networks: guides for containers tell to bind them. */
const DRIVE_FILE = /^\/dev\/(sd|vd|xvd|hd|nvme\dn|mmcblk|md|dm-|mapper\/|disk\/|zvol\/|loop\d)/;
/** Set by hand where LVM's names are used: `/dev/<group>/<volume>`. */
const LVM_FILE = /^\/dev\/(?!(dri|net|snd|bus|input|pts|shm|char|vfio|usb|serial)\/)[^/]+\/[^/]+$/;
const isDriveFile = (path: string): boolean => DRIVE_FILE.test(path) || LVM_FILE.test(path);

/**
 * `lxc.mount.entry = <what> <where, without a leading slash> <type> <options> 0 0`, fstab's form with blanks as `\040`:
 * lxc.container.conf(5). vzdump knows nothing of these lines.
 */
const entryVerdict = (what: string, fstype: string, options: string): Verdict | null => {
  if (WITHOUT_DATA.has(fstype)) return null;
  if (what.startsWith('/dev/')) return isDriveFile(what) ? DEVICE : null;
  if (/^(UUID|LABEL|PARTUUID|PARTLABEL)=/.test(what)) return DEVICE;
  return /(^|,)r?bind(,|$)/.test(options) && what.startsWith('/') ? BIND : BY_HAND;
};

/** `rootfs` and the fstab-like file (`lxc.mount.fstab`, `lxc.mount`) may bring in more than these lines show. */
const rawLine = (line: string): Covered[] => {
  const [, key = '', value = ''] = /^\s*([\w.]+)\s*=\s*(.*)$/.exec(line) ?? [];
  if (key === 'lxc.mount' || key === 'lxc.mount.fstab') return [{ key: 'lxc', storage: '', mount_point: '', ...BY_HAND }];
  if (key !== 'lxc.mount.entry') return [];
  const [what = '', where = '', fstype = '', options = ''] = value.trim().split(/\s+/);
  const verdict = where === '' ? BY_HAND : entryVerdict(decodeOctal(what), fstype, options);
  const mountPoint = where === '' ? '' : `/${decodeOctal(where).replace(/^\/+/, '')}`;
  return verdict === null ? [] : [{ key: 'lxc', storage: '', mount_point: mountPoint, ...verdict }];
};

const rawMounts = (config: Config): Covered[] => (config.lxc ?? '').split('\n').flatMap(rawLine);

const byNumber = (a: string, b: string): number => a.localeCompare(b, 'en', { numeric: true });

/** Controllers and sticks that are passed through may have drives on them; `spice` is a viewer's channel. */
const passedDevices = (config: Config): Covered[] =>
  Object.entries(config)
    .filter(([key, text]) => /^(hostpci|usb)\d+$/.test(key) && !/^(host=)?spice\b/.test(text))
    .map(([key]) => ({ key, storage: '', mount_point: '', ...PASSED }))
    .sort((a, b) => byNumber(a.key, b.key));

/** `devN: [path=]/dev/…,…` of a container. */
const givenDrives = (config: Config): Covered[] =>
  Object.entries(config)
    .filter(([key, text]) => /^dev\d+$/.test(key) && isDriveFile((text.split(',')[0] ?? '').replace(/^path=/, '')))
    .map(([key]) => ({ key, storage: '', mount_point: '', ...DEVICE }))
    .sort((a, b) => byNumber(a.key, b.key));

/** qemu(1): what gives a machine storage past Proxmox. */
const DRIVE_ARGUMENT = /(^|\s)-{1,2}(drive|blockdev|hd[a-d]|sd|pflash|mtdblock|virtfs|fsdev)(\s|=|$)/;

const argumentDrives = ({ args = '' }: Config): Covered[] =>
  DRIVE_ARGUMENT.test(args) ? [{ key: 'args', storage: '', mount_point: '', ...ARGUMENTS }] : [];

export const guestCoverage = (type: GuestType, config: Config): Coverage['mounts'] => [
  ...guestVolumes(type, config).map((volume) => ({
    key: volume.key,
    storage: volume.storage,
    mount_point: volume.mountPoint,
    ...verdictOf(type, volume),
  })),
  ...(type === 'lxc' ? [...givenDrives(config), ...rawMounts(config)] : [...passedDevices(config), ...argumentDrives(config)]),
];
