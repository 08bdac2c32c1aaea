/** What Proxmox's lock on a guest means, and what an operator can do about it. Pure. */
import type { GuestResource } from '#agent/ports/proxmox';
import type { Finding } from './verdict.ts';

interface Words {
  /** What goes on with the guest. */
  doing: string;
  /** Where nothing goes on any more; `tool` is `pct` or `qm`. */
  remedy: (tool: string, vmid: number) => string;
}

const WAIT = 'Wait until its task has ended in Proxmox.';
const whenNoTask = (remedy: string): string => `${WAIT} If no task of this guest runs on any server: ${remedy}`;

/**
 * `unlock` is named only where nothing but the lock is left behind. The locks: qemu-server:src/PVE/QemuServer.pm,
 * pve-container:src/PVE/LXC/Config.pm.
 */
const WORDS: Readonly<Record<string, Words>> = {
  backup: {
    doing: 'being backed up, or a backup of it was interrupted',
    remedy: (tool, vmid) => whenNoTask(`${tool} unlock ${vmid}`),
  },
  snapshot: {
    doing: 'having a snapshot taken, or that was interrupted',
    remedy: (tool, vmid) =>
      whenNoTask(`look for the unfinished snapshot with ${tool} listsnapshot ${vmid} before anything is unlocked.`),
  },
  'snapshot-delete': {
    doing: 'having a snapshot removed, or that was interrupted',
    remedy: (tool, vmid) =>
      whenNoTask(`look for the half-removed snapshot with ${tool} listsnapshot ${vmid} before anything is unlocked.`),
  },
  rollback: {
    doing: 'being set back to a snapshot, or that was interrupted',
    remedy: (tool, vmid) =>
      whenNoTask(`its data may be half set back; choose a snapshot with ${tool} listsnapshot ${vmid} and set it back again.`),
  },
  suspended: {
    doing: 'suspended to disk',
    remedy: (tool, vmid) => `Wake it: ${tool} resume ${vmid}. Never unlock it: its memory would be lost.`,
  },
  suspending: { doing: 'being suspended to disk', remedy: () => `${WAIT} Never unlock it: its memory would be lost.` },
  migrate: {
    doing: 'being moved to another server, or that was interrupted',
    remedy: () => whenNoTask('find out on which server its disks are before anything is unlocked.'),
  },
  create: {
    doing: 'being created or restored, or that was interrupted',
    remedy: () => whenNoTask('it is incomplete; restore or create it again.'),
  },
  clone: { doing: 'being cloned, or that was interrupted', remedy: () => whenNoTask('the clone is incomplete; make it again.') },
  disk: {
    doing: 'having a disk changed, or that was interrupted',
    remedy: (tool, vmid) => whenNoTask(`compare its disks with ${tool} config ${vmid} before anything is unlocked.`),
  },
  fstrim: {
    doing: 'having its disks trimmed, or that was interrupted',
    remedy: (tool, vmid) => whenNoTask(`${tool} unlock ${vmid}`),
  },
  mounted: { doing: 'mounted on the server for maintenance', remedy: (tool, vmid) => `Unmount it: ${tool} unmount ${vmid}` },
  destroyed: { doing: 'being removed', remedy: () => 'Remove it in Proxmox, or restore it from a backup.' },
};

const UNKNOWN: Words = { doing: 'locked by Proxmox', remedy: () => `${WAIT} If it stays locked, ask who locked it.` };

export const lockFinding = ({ type, vmid }: Pick<GuestResource, 'type' | 'vmid'>, lock: string): Finding => {
  const { doing, remedy } = WORDS[lock] ?? UNKNOWN;
  return {
    sentence: `No backup can start now: Proxmox says that this guest is ${doing}.`,
    evidence: `lock: ${lock}`,
    nextStep: remedy(type === 'lxc' ? 'pct' : 'qm', vmid),
  };
};
