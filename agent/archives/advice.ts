/** Asks Proxmox what a restore of an archive would meet today. Runs nothing. */
import type { GuestResource, Proxmox } from '#agent/ports/proxmox';
import type { Clock } from '#shared/clock';
import type { RestoreAdvice } from '#shared/wire/admin-backups';
import { type Archive, archiveName } from './archive.ts';
import { unanswered } from './refusal.ts';
import { restoreLines } from './restore.ts';
import { restoreView } from './view.ts';

export interface AdvicePorts {
  proxmox: Pick<Proxmox, 'node' | 'resources' | 'guestConfig' | 'storageConfigs'>;
  clock: Pick<Clock, 'now'>;
}

const FIRST_VMID = 100;

export const createAdvice =
  ({ proxmox, clock }: AdvicePorts) =>
  async (archive: Archive): Promise<RestoreAdvice> => {
    const { volid } = archive;
    const type = archiveName(volid)?.guest ?? 'lxc';
    try {
      const [{ guests: all }, storages] = await Promise.all([proxmox.resources(), proxmox.storageConfigs()]);
      const guest = all.find(({ vmid }) => vmid === archive.vmid) ?? null;
      const isHere = guest?.node === proxmox.node && guest.type === type;
      const config = isHere ? await proxmox.guestConfig(type, archive.vmid) : null;
      const freeVmid = freeOf(all);
      const lines = restoreLines({ volid, vmid: archive.vmid, type, node: proxmox.node, guest, config, storages, freeVmid });
      return restoreView(archive, lines, clock.now());
    } catch (error) {
      throw unanswered(error);
    }
  };

/** The lowest number from 100 on that nobody has; Proxmox refuses it if somebody takes it meanwhile. */
const freeOf = (guests: readonly GuestResource[]): number => {
  const taken = new Set(guests.map(({ vmid }) => vmid));
  let free = FIRST_VMID;
  while (taken.has(free)) free += 1;
  return free;
};
