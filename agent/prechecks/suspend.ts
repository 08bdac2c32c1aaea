/** Suspend mode first copies a container's files: to the target where it can hold them, otherwise to the root drive. Pure. */
import { guestVolumes } from '#agent/storage/volumes';
import type { Facts } from './facts.ts';
import { size } from './figures.ts';
import { whereKnown, whyUnknown } from './known.ts';
import { targetMount } from './target.ts';
import type { Check } from './verdict.ts';

/** vzdump's default, where /etc/vzdump.conf names no `tmpdir`. pve-manager:PVE/VZDump.pm */
export const TEMPORARY = '/var/tmp';

/** Those that keep owners and modes, so that the copy may lie beside the archive. pve-manager:PVE/VZDump.pm, exec_backup_task. */
const POSIX: ReadonlySet<string> = new Set(['ext3', 'ext4', 'nfs', 'nfs4', 'reiserfs', 'xfs']);

/** Storages whose container volumes take no snapshot, so that vzdump falls back to suspend. facts 1.4 of Proxmox: `volume_has_feature`. */
const SNAPSHOTLESS: ReadonlySet<string> = new Set(['dir', 'nfs', 'cifs', 'cephfs', 'lvm']);

const fallsBack = ({ config, storages }: Pick<Facts, 'config' | 'storages'>): boolean => {
  const typeOf = new Map(storages.map(({ storage, type }) => [storage, type]));
  return guestVolumes('lxc', config).some(({ backup, storage }) => backup && SNAPSHOTLESS.has(typeOf.get(storage) ?? ''));
};

/** Whether vzdump will suspend: told to, or because it cannot snapshot. */
export const willSuspend = (facts: Pick<Facts, 'guest' | 'mode' | 'config' | 'storages'>): boolean =>
  facts.guest.type === 'lxc' && (facts.mode === 'suspend' || (facts.mode === 'snapshot' && fallsBack(facts)));

/** Times the guest's used bytes: the copy itself, and room for the server to live in. */
const TIMES = 2;

const copiesToTarget = ({ target }: Facts): boolean => POSIX.has(targetMount(target)?.fstype ?? '');

export const SUSPEND: Check<Facts> = {
  code: 'suspend-no-room',
  find: (facts) => {
    const used = facts.guest.usedBytes ?? 0;
    if (facts.spare === null || copiesToTarget(facts) || used === 0) return null;
    const free = whereKnown(facts.spare)?.availBytes;
    if (free !== undefined && free >= used * TIMES) return null;
    return {
      sentence: "The server has too little room for the copy that a backup of this guest makes on the server's own disk first.",
      evidence: facts.spare.ok
        ? `${size(facts.spare.value.availBytes)} free, ${size(used * TIMES)} needed (twice what the guest uses)`
        : `the room could not be measured: ${whyUnknown(facts.spare.why)}`,
      nextStep: `Make room in ${TEMPORARY}, or put the guest's disks on a storage with snapshots (ZFS, LVM-thin, btrfs) and use snapshot mode.`,
    };
  },
};
