/** Whether Proxmox can be asked, where the guest is, and whether somebody has locked it. Pure. */
import type { GuestResource } from '#agent/ports/proxmox';
import type { Access, Reach } from './facts.ts';
import { lockFinding } from './guest-lock.ts';
import { whyUnknown } from './known.ts';
import type { Check, Finding } from './verdict.ts';

const PMXCFS: Check<Reach> = {
  code: 'pmxcfs-down',
  find: ({ cluster }) => {
    if (cluster.ok && cluster.value.state === 'ok') return null;
    if (cluster.ok && cluster.value.state === 'no-quorum')
      return {
        sentence: 'This server has lost the majority of its cluster, so Proxmox lets nothing be changed and no backup can start.',
        evidence: 'no quorum',
        nextStep: 'Bring the other servers of the cluster back; pvecm status shows who is missing.',
      };
    return {
      sentence: "Proxmox's own configuration is not available on this server, so no backup can start.",
      evidence: cluster.ok ? 'its file system is not mounted' : whyUnknown(cluster.why),
      nextStep: 'Start the cluster file system: systemctl restart pve-cluster',
    };
  },
};

const silent = (why: unknown): Finding => ({
  sentence: 'Proxmox on this server could not be asked, so no backup can start.',
  evidence: whyUnknown(why),
  nextStep: 'Look at Proxmox on this server: systemctl status pveproxy pvedaemon',
});

const PROXMOX: Check<Reach> = {
  code: 'proxmox-unreachable',
  find: ({ resources, storages }) => {
    if (!resources.ok) return silent(resources.why);
    return storages.ok ? null : silent(storages.why);
  },
};

/** `.vmlist` rules: the resources come from pvestatd's last round, and only of what the token may see. */
const placeOf = ({ cluster, vmid }: Reach) => (cluster.ok ? cluster.value.guests.get(vmid) : undefined);
const shownOf = ({ resources, vmid }: Reach) =>
  resources.ok ? resources.value.guests.find((guest) => guest.vmid === vmid) : undefined;

const GONE: Check<Reach> = {
  code: 'guest-gone',
  find: (reach) =>
    placeOf(reach)
      ? null
      : {
          sentence: 'This guest no longer exists in Proxmox, so it cannot be backed up.',
          evidence: `guest ${reach.vmid} is ${shownOf(reach) ? 'still shown, but has no configuration' : 'on no server of the cluster'}`,
          nextStep: `Restore the guest from a backup, or tell felhom that it is gone: felhom-agent guest remove ${reach.vmid}`,
        },
};

const ELSEWHERE: Check<Reach> = {
  code: 'guest-elsewhere',
  find: (reach) => {
    const place = placeOf(reach);
    if (place === undefined || place.node === reach.node) return null;
    return {
      sentence: 'This guest now runs on another server of the cluster, whose own agent has to back it up.',
      evidence: `it is on ${place.node}; this is ${reach.node}`,
      nextStep: `Enrol it with the agent on ${place.node}, or move it back.`,
    };
  },
};

/** Of one guest only: the others can be backed up all the same. */
const HIDDEN: Check<Reach> = {
  code: 'guest-unreadable',
  find: (reach) =>
    shownOf(reach)
      ? null
      : {
          sentence: 'Proxmox does not show this guest to felhom, so no backup can start.',
          evidence: `guest ${reach.vmid} is on this server, but not among those that Proxmox lists`,
          nextStep: `Give felhom's token the role that it needs on /vms/${reach.vmid} (VM.Audit and VM.Backup).`,
        },
};

export const REACH_CHECKS: readonly Check<Reach>[] = [PMXCFS, PROXMOX, GONE, ELSEWHERE, HIDDEN];

/** As Proxmox shows it, on the node where its configuration is. */
export const guestOf = (reach: Reach): GuestResource | null => {
  const [place, shown] = [placeOf(reach), shownOf(reach)];
  return shown === undefined ? null : { ...shown, node: place?.node ?? shown.node, type: place?.type ?? shown.type };
};

const CONFIG: Check<Access> = {
  code: 'guest-unreadable',
  find: ({ guest: { type, vmid }, config }) =>
    config.ok
      ? null
      : {
          sentence: "Proxmox does not tell this guest's configuration, so no backup can start.",
          evidence: whyUnknown(config.why),
          nextStep: `See whether it can be read on the server, with ${type === 'lxc' ? 'pct' : 'qm'} config ${vmid}; if so, give felhom's token the role that it needs on /vms/${vmid} (VM.Audit and VM.Backup).`,
        },
};

export const ACCESS_CHECKS: readonly Check<Access>[] = [
  CONFIG,
  {
    code: 'guest-locked',
    find: ({ guest, config }) => (config.ok && config.value.lock ? lockFinding(guest, config.value.lock) : null),
  },
];
