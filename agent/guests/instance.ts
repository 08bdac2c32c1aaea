/**
 * What tells a guest from another that has its number later: a destroyed one that was made anew for somebody else, or a copy. Drives
 * stay with the instance that took them. Pure.
 */
import { type GuestConfig, partsOf, settingsIn } from './config-lines.ts';

/** `net0: name=eth0,bridge=vmbr0,hwaddr=BC:24:11:…`. A restore gives new addresses only where it is told to (`unique`). */
const hardwareAddresses = (settings: readonly [string, string][]): string[] =>
  settings
    .flatMap(([key, value]) => (/^net\d+$/.test(key) ? [partsOf(value).get('hwaddr')?.toLowerCase() ?? ''] : []))
    .filter((address) => address !== '')
    .sort();

const ofContainer = (settings: readonly [string, string][]): string => {
  const addresses = hardwareAddresses(settings);
  if (addresses.length > 0) return `net:${addresses.join(',')}`;
  const rootfs = partsOf(settings.find(([key]) => key === 'rootfs')?.[1] ?? '');
  const volume = rootfs.get('') ?? rootfs.get('volume') ?? '';
  return volume === '' ? '' : `rootfs:${volume}`;
};

/** Proxmox makes both anew for a clone (qemu-server:src/PVE/API2/Qemu.pm, clone_vm); a restore keeps them unless `unique`. */
const ofMachine = (settings: readonly [string, string][]): string => {
  const value = (key: string): string => settings.find(([name]) => name === key)?.[1] ?? '';
  const uuid = partsOf(value('smbios1')).get('uuid')?.toLowerCase() ?? '';
  if (uuid !== '') return `smbios:${uuid}`;
  const generation = value('vmgenid').toLowerCase();
  return /^[0-9a-f-]{36}$/.test(generation) ? `vmgenid:${generation}` : '';
};

const addressesIn = (instance: string): string[] => (instance.startsWith('net:') ? instance.slice('net:'.length).split(',') : []);

/** A container that gains or loses a network card stays the same: one address in common is enough, for a copy has none. */
export const isSameInstance = (a: string, b: string): boolean => {
  if (a === '' || b === '') return false;
  const others = addressesIn(b);
  return a === b || addressesIn(a).some((address) => others.includes(address));
};

/** What `isSameInstance` knows the same guest by; empty where its configuration tells nothing of the kind. */
export const instanceOf = ({ type, text }: GuestConfig): string => {
  const settings = settingsIn(text);
  return type === 'lxc' ? ofContainer(settings) : ofMachine(settings);
};
