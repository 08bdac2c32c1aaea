/** What is mounted inside a container: a snapshot freezes it and then syncs every one of its file systems. Pure. */
import { type Mount, mountOf } from '#shared/mountinfo';
import type { Facts } from './facts.ts';
import { whereKnown } from './known.ts';
import type { Check, Finding } from './verdict.ts';

/** Nothing of these is ever written to a drive. pve-container:src/PVE/LXC.pm, sync_container_namespace leaves them out too. */
const VIRTUAL: ReadonlySet<string> = new Set(
  (
    'autofs binfmt_misc bpf cgroup cgroup2 configfs debugfs devpts devtmpfs efivarfs fuse.lxcfs fusectl hugetlbfs mqueue nsfs ' +
    'proc pstore ramfs rpc_pipefs securityfs selinuxfs sysfs tmpfs tracefs'
  ).split(' '),
);

const NETWORK: ReadonlySet<string> = new Set('9p afs ceph cifs davfs glusterfs lustre nfs nfs4 smb3 smbfs virtiofs'.split(' '));

const isFuse = ({ fstype }: Mount): boolean =>
  fstype === 'fuse' || fstype === 'fuseblk' || (fstype.startsWith('fuse.') && fstype !== 'fuse.lxcfs');

const numbersOf = (mounts: readonly Mount[]): Set<string> => new Set(mounts.map(({ device }) => device));

/**
 * FUSE whose server is frozen with the container, so that its sync never ends. One that the host itself has mounted and gives in
 * (mergerfs, ntfs-3g) is served by the host, which is not frozen; it carries the same device numbers on both sides.
 */
const ownFuse = (inside: readonly Mount[], host: readonly Mount[]): Mount[] => {
  const given = numbersOf(host);
  return inside.filter((mount) => isFuse(mount) && !given.has(mount.device));
};

/** One mount a file system, one that is to be seen where there is a choice. */
const distinct = (mounts: readonly Mount[]): Mount[] => {
  const seen = mounts.filter((mount) => mountOf(mounts, mount.point) === mount);
  return [...new Map([...mounts, ...seen].map((mount) => [mount.device, mount])).values()];
};

/** File systems that somebody else serves, who may not answer. */
export const servedMounts = (inside: readonly Mount[], host: readonly Mount[]): Mount[] => {
  const own = new Set(ownFuse(inside, host));
  return distinct(inside.filter((mount) => NETWORK.has(mount.fstype) || (isFuse(mount) && !own.has(mount))));
};

/** Everything that the freeze would have to write back. */
export const mountsToSync = (inside: readonly Mount[]): Mount[] => distinct(inside.filter(({ fstype }) => !VIRTUAL.has(fstype)));

const otherMode = (vmid: number): string =>
  `back this guest up in another mode (backup.guests."${vmid}".mode: suspend or stop in agent.yaml)`;

const FUSE: Check<Facts> = {
  code: 'guest-fuse',
  find: ({ guest, inside, target }) => {
    const [fuse] = ownFuse(whereKnown(inside?.mounts ?? null) ?? [], whereKnown(target.mounts) ?? []);
    if (fuse === undefined) return null;
    return {
      sentence:
        'This guest has mounted something that would hang while its backup freezes it, so no backup in snapshot mode is started.',
      evidence: `${fuse.fstype} at ${fuse.point} inside the guest`,
      nextStep: `Unmount it in the guest, or ${otherMode(guest.vmid)}.`,
    };
  },
};

const DEAD: Check<Facts> = {
  code: 'guest-mount-dead',
  find: ({ guest, inside }): Finding | null => {
    const [point] = inside?.dead ?? [];
    if (point === undefined) return null;
    return {
      sentence: 'A network drive of this guest does not answer; its backup would freeze the guest until it does.',
      evidence: `no answer at ${point} inside the guest`,
      nextStep: `Bring the network drive back or unmount it in the guest, or ${otherMode(guest.vmid)}.`,
    };
  },
};

export const INSIDE_CHECKS: readonly Check<Facts>[] = [FUSE, DEAD];
