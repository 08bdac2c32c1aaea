/** The line of a virtual machine's configuration that shares a directory with it. Pure. */
import { partsOf, settingOf, settingsIn } from '../../guests/config-lines.ts';

const KEY = /^virtiofs\d$/;
/** qemu-server:src/PVE/QemuServer/Virtiofs.pm: virtiofs0 to virtiofs9. */
const SLOTS = Array.from({ length: 10 }, (_, index) => `virtiofs${index}`);

/** The cluster's mapping of a guest's directory: ids are unique in the cluster, as guests' numbers are. It is the share's tag inside. */
export const shareId = (vmid: number): string => `felhom-${vmid}`;

export interface Share {
  /** `virtiofs0` */
  slot: string;
  /** Of the mapping. */
  id: string;
}

/** Whose directory it shares; null: none of ours. */
export const ownerOfShare = ({ id }: Share): number | null => {
  const [, vmid] = /^felhom-(\d+)$/.exec(id) ?? [];
  return vmid === undefined ? null : Number(vmid);
};

const idIn = (value: string): string => {
  const parts = partsOf(value);
  return parts.get('dirid') ?? parts.get('') ?? '';
};

/** Everything that the machine is given in this way. */
export const sharesIn = (text: string): Share[] =>
  settingsIn(text).flatMap(([slot, value]) => (KEY.test(slot) ? [{ slot, id: idIn(value) }] : []));

/** The first key that neither the configuration nor a pending change or a snapshot of it uses; null: all are taken. */
export const freeSlot = (text: string): string | null => {
  const used = new Set(text.split('\n').map((line) => settingOf(line)?.[0]));
  return SLOTS.find((slot) => !used.has(slot)) ?? null;
};
