/** Whether the storage for archives is there: configured, active, on the drive that is meant, and writable. Pure. */

import type { StorageConfig, StorageResource } from '#agent/ports/proxmox';
import { requiredMount } from '#agent/storage/class';
import { dumpDirOf, pathOf, SHARES } from '#agent/storage/directory';
import { type Mount, mountOf } from '#shared/mountinfo';
import type { Facts, Target } from './facts.ts';
import { whyUnknown } from './known.ts';
import type { Check, Finding } from './verdict.ts';

const contentOf = ({ content }: StorageConfig): string[] => content.split(',').map((word) => word.trim());

/** A mount that only waits for somebody to come is none. systemd.automount(5). */
const real = (mounts: readonly Mount[]): Mount[] => mounts.filter(({ fstype }) => fstype !== 'autofs');

/** `254:0` of the number that stat(1) tells: makedev(3), gnu_dev_major and gnu_dev_minor. */
const numbersOf = (device: string): string => {
  if (!/^\d+$/.test(device)) return '';
  const packed = BigInt(device);
  const major = ((packed >> 8n) & 0xfffn) | ((packed >> 32n) & ~0xfffn);
  const minor = (packed & 0xffn) | ((packed >> 12n) & 0xffffff00n);
  return `${major}:${minor}`;
};

/** The mount that the archives lie on. Behind a symbolic link it is another than the path tells, but the device is its. */
export const targetMount = ({ config, mounts, space }: Pick<Target, 'config' | 'mounts' | 'space'>): Mount | undefined => {
  if (config === undefined || pathOf(config) === '' || !mounts.ok) return undefined;
  const written = mountOf(real(mounts.value), dumpDirOf(config));
  const numbers = space?.ok ? numbersOf(space.value.device) : '';
  if (written?.device === numbers) return written;
  // A btrfs subvolume's files tell a device that no mount has.
  return real(mounts.value).find((mount) => mount.device === numbers) ?? written;
};

/** The first mount point that must be one and is not; '' where all are. */
const absentMount = (target: Target): string => {
  const { config, mounts, remembered } = target;
  if (config === undefined || !mounts.ok) return '';
  const wanted = [SHARES.has(config.type) ? pathOf(config) : requiredMount(config), remembered.ok ? remembered.value : ''];
  const points = new Set(real(mounts.value).map(({ point }) => point));
  return wanted.map((point) => point.replace(/(?<=.)\/+$/, '')).find((point) => point !== '' && !points.has(point)) ?? '';
};

const notMounted = (name: string, point: string, what: string): Finding => ({
  sentence: `The backup ${what} is not connected, so no backup can start. Nothing was written in its place.`,
  evidence: `storage ${name}: nothing is mounted at ${point}`,
  nextStep:
    `Connect it and mount it: mount ${point}. ` +
    "If archives are meant to lie on the server's own disk from now on, give the storage another directory in Proxmox.",
});

const isShare = ({ config }: Target): boolean => config !== undefined && SHARES.has(config.type);

/** Before what Proxmox says: it calls a storage inactive whose drive is unplugged, and the drive is what people can see. */
const DRIVE: Check<Facts> = {
  code: 'target-not-mounted',
  find: ({ target }) => {
    const absent = isShare(target) ? '' : absentMount(target);
    return absent === '' ? null : notMounted(target.name, absent, 'drive');
  },
};

const SHARE: Check<Facts> = {
  code: 'target-not-mounted',
  find: ({ target }) => {
    const absent = isShare(target) ? absentMount(target) : '';
    return absent === '' ? null : notMounted(target.name, absent, 'share');
  },
};

const unusable = ({ config }: Target, node: string): string | null => {
  if (config === undefined) return 'Proxmox knows no such storage';
  if (config.disabled) return 'it is disabled in Proxmox';
  if (config.nodes.length > 0 && !config.nodes.includes(node)) return `Proxmox offers it only on ${config.nodes.join(', ')}`;
  return contentOf(config).includes('backup') ? null : 'it is not meant for backups: its content lacks "backup"';
};

const MISSING: Check<Facts> = {
  code: 'target-missing',
  find: ({ target, node }) => {
    const why = unusable(target, node);
    if (why === null) return null;
    return {
      sentence: 'The storage that backups should go to cannot be used, so no backup can start.',
      evidence: `storage ${target.name}: ${why}`,
      nextStep: `Correct the storage ${target.name} in Proxmox (Datacenter, Storage), or name another one as backup.storage in agent.yaml.`,
    };
  },
};

export const figuresOf = ({ name, reported }: Target): StorageResource | undefined =>
  reported.find(({ storage }) => storage === name);

/** Whether pvestatd runs: it reports what it could activate, so where nothing is available it has not reported at all. */
export const isReporting = ({ reported }: Target): boolean => reported.some(({ status }) => status === 'available');

const inactive = (name: string, evidence: string): Finding => ({
  sentence: 'The storage that backups should go to does not answer, so no backup can start.',
  evidence: `storage ${name}: ${evidence}`,
  nextStep: `Find out why it does not answer: pvesm status --storage ${name}`,
});

/** Without pvestatd's word a directory that can be measured will do; a storage without one cannot be known. */
const INACTIVE: Check<Facts> = {
  code: 'target-inactive',
  find: ({ target }) => {
    const status = figuresOf(target)?.status ?? 'unknown';
    if (status === 'available' || (!isReporting(target) && target.space !== null)) return null;
    return inactive(target.name, `Proxmox calls it ${status}`);
  },
};

const UNMEASURED: Check<Facts> = {
  code: 'target-inactive',
  find: ({ target: { name, mounts, remembered, space } }) => {
    const failed = [mounts, remembered, space].find((reading) => reading?.ok === false);
    return failed?.ok === false ? inactive(name, `its room cannot be measured: ${whyUnknown(failed.why)}`) : null;
  },
};

/** `emergency_ro` and `shutdown`: ext4's after an error, since Linux 6.15, where `ro` is no longer set. linux:fs/ext4/super.c */
const UNWRITABLE = ['ro', 'emergency_ro', 'shutdown'];

const READ_ONLY: Check<Facts> = {
  code: 'target-read-only',
  find: ({ target }) => {
    const mount = targetMount(target);
    const option = UNWRITABLE.find((one) => mount?.options.includes(one));
    if (mount === undefined || option === undefined) return null;
    return {
      sentence: 'The storage that backups should go to can only be read, so no backup can start. Its drive may be failing.',
      evidence: `storage ${target.name}: ${mount.source} at ${mount.point} is mounted ${option}`,
      nextStep: `Read what the kernel says of the drive (dmesg), check its file system, then mount it again: mount -o remount,rw ${mount.point}`,
    };
  },
};

/** Up to its room, which is room.ts. */
export const TARGET_CHECKS: readonly Check<Facts>[] = [MISSING, DRIVE, INACTIVE, SHARE, UNMEASURED, READ_ONLY];
