/**
 * A virtual machine's side of its drives: a virtiofs share of their directory. Only root asks for it, for the machine loses by it.
 * From Proxmox's documentation (pve-docs, qm: "VirtioFS"); not tried on a server.
 */

import type { Journal } from '../../ports/journal.ts';
import type { MachineShares } from '../../ports/machine-share.ts';
import type { GuestConfigFile } from '../../ports/proxmox-files.ts';
import { GUEST_ROOT, type GuestPlaces } from './guest-places.ts';
import { freeSlot, type Share, shareId, sharesIn } from './machine-line.ts';

export interface MachinePorts {
  machines: MachineShares;
  journal: Journal;
  places: GuestPlaces;
}

/** By its user, who is root inside. */
const mountInside = (vmid: number): string => `mount -t virtiofs ${shareId(vmid)} ${GUEST_ROOT}`;

const ownShare = ({ vmid, text }: GuestConfigFile): Share | undefined => sharesIn(text).find(({ id }) => id === shareId(vmid));

/** What root decides over. @returns for the operator, empty where it is shared already */
export const machineOffer = (config: GuestConfigFile): string =>
  ownShare(config) !== undefined
    ? ''
    : `Drives do not show in virtual machine ${config.vmid} yet. To share them with it by virtiofs, run: felhom-agent guest share ${config.vmid} (then it can no longer be moved while it runs, hibernated, or have snapshots with its memory).`;

/** @returns for the customer: what happens inside cannot be seen from here */
export const missingInMachine = (config: GuestConfigFile): string =>
  ownShare(config) !== undefined
    ? `The drive is in the share ${shareId(config.vmid)}, which is there once the virtual machine was stopped and started: ${mountInside(config.vmid)}`
    : 'The drive is mounted on the server, but your operator has not shared the directory of its drives with this virtual machine yet.';

export const createMachineSide = ({ machines, journal, places }: MachinePorts) => ({
  /** @returns what is still to be done, for the operator */
  share: async (config: GuestConfigFile): Promise<string> => {
    const { vmid, text } = config;
    const slot = freeSlot(text);
    if (ownShare(config) === undefined) {
      if (slot === null) return `Virtual machine ${vmid} has ten shares already, which is all that Proxmox allows.`;
      await machines.share(vmid, slot, shareId(vmid), places.own(vmid));
      journal('notice', 'The directory of its drives was shared with a virtual machine.', { vmid, slot });
    }
    return `Stop and start virtual machine ${vmid} once. Inside it, drives show after: ${mountInside(vmid)}`;
  },

  takeBack: async (config: GuestConfigFile): Promise<void> => {
    const own = ownShare(config);
    if (own !== undefined) await machines.unshare(config.vmid, own.slot, own.id);
  },
});
