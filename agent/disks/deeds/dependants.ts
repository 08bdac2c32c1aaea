/** What would lose something if a drive were taken away: configurations that name its place, processes and mounts that use it. Pure. */
import { posix } from 'node:path';
import { decodeOctal, isWithin, type Mount } from '#shared/mountinfo';
import { partsOf } from '../../guests/config-lines.ts';
import { sectionsOf } from '../../guests/config-text.ts';
import type { DeviceUser } from '../../ports/drive-check.ts';
import type { GuestConfigFile, ProxmoxFiles, StorageSection } from '../../ports/proxmox-files.ts';
import type { KernelDevice } from '../../ports/sysfs.ts';
import { GUEST_ROOT } from '../in-guest/guest-places.ts';
import type { Holder } from '../inventory/drive.ts';
import type { SeenMount } from '../inventory/evidence.ts';
import { plain } from '../inventory/plain.ts';
import { deviceOf } from './mount-source.ts';

export interface Dependant {
  /** Null: the host itself. */
  vmid: number | null;
  /** For the guest that asks; of another guest no more than its number. */
  sentence: string;
}

/** Where an assigned file system is mounted. */
export interface Places {
  vmid: number;
  mountPoint: string;
  guestPoint: string;
}

/** Settings that hold text for people. */
const WORDS = new Set(['description', 'name', 'hostname', 'tags']);

const tidy = (path: string): string => posix.normalize(path).replace(/(.)\/+$/, '$1');

/** Every absolute path in a value, whatever is around it: `mp0: /mnt/x,mp=/x`, `-drive file=/mnt/x/disk.raw,…`. */
const pathsIn = (value: string): string[] =>
  decodeOctal(value)
    .split(/[\s,;='"]+/)
    .filter((word) => word.startsWith('/'))
    .map(tidy);

const names = ({ mountPoint, guestPoint }: Places, value: string): boolean =>
  pathsIn(value).some((path) => isWithin(path, mountPoint) || isWithin(path, guestPoint));

/** Of what is in force; a snapshot depends on nothing until somebody goes back to it. */
const settingsOf = ({ text }: GuestConfigFile): readonly (readonly [string, string])[] =>
  (sectionsOf(text).find(({ name }) => name === '')?.settings ?? []).filter(([key]) => !WORDS.has(key));

const isHere = ({ keys: { nodes } }: StorageSection, node: string): boolean =>
  nodes === undefined || nodes.split(/[\s,;]+/).includes(node);

const storagesOn = ({ storages, node }: ProxmoxFiles, places: Places): string[] =>
  storages
    .filter((storage) => isHere(storage, node) && Object.values(storage.keys).some((value) => names(places, value)))
    .map(({ id }) => id);

const mappingsOn = ({ directories, node }: ProxmoxFiles, places: Places): string[] =>
  directories
    .filter(({ entries }) => entries.some((entry) => (entry.node ?? node) === node && names(places, entry.path ?? '')))
    .map(({ id }) => id);

/** `local-lvm:vm-101-disk-0,size=8G`, `volume=usb:…`: whether a value begins with a volume of that storage. */
const isVolumeOf = (value: string, storage: string): boolean =>
  value.split(/[\s,;='"]+/).some((word) => word.startsWith(`${storage}:`));

/** `virtiofs0: photos,cache=auto`, `dirid=photos`. */
const isShareOf = (key: string, value: string, mapping: string): boolean =>
  /^virtiofs\d+$/.test(key) && value.split(',').some((word) => word === mapping || word === `dirid=${mapping}`);

const whose = (vmid: number, asking: number): string => (vmid === asking ? 'this guest' : `guest ${vmid}`);

/** What guests' configurations, running or not, and Proxmox's storages have on it. */
export const configured = (files: ProxmoxFiles, places: Places): Dependant[] => {
  const storages = storagesOn(files, places);
  const mappings = mappingsOn(files, places);
  const uses = (key: string, value: string): boolean =>
    names(places, value) ||
    storages.some((storage) => isVolumeOf(value, storage)) ||
    mappings.some((mapping) => isShareOf(key, value, mapping));
  const guests = files.guests.flatMap((guest): Dependant[] => {
    const [key] = settingsOf(guest).find(([name, value]) => uses(name, value)) ?? [];
    if (key === undefined) return [];
    return [{ vmid: guest.vmid, sentence: `the configuration of ${whose(guest.vmid, places.vmid)} (${plain(key, 40)})` }];
  });
  return [...guests, ...storages.map((id) => ({ vmid: null, sentence: `the Proxmox storage "${plain(id, 60)}"` }))];
};

/** What a guest is given from the host's tree: the source of a bind mount, or of a share. */
const sourceIn = (key: string, value: string, { directories }: ProxmoxFiles): string[] => {
  if (/^mp\d+$/.test(key)) return [partsOf(value).get('') ?? partsOf(value).get('volume') ?? ''];
  if (key === 'lxc.mount.entry') return [decodeOctal(value.trim().split(/\s+/)[0] ?? '')];
  return directories.filter(({ id }) => isShareOf(key, value, id)).flatMap(({ entries }) => entries.map(({ path = '' }) => path));
};

/** Guests that are given the mount root, what is above it, or every guest's drives: they could put links there, and see what is others'. */
export const exposing = (files: ProxmoxFiles, mountRoot: string): number[] =>
  files.guests
    .filter((guest) =>
      settingsOf(guest).some(([key, value]) =>
        sourceIn(key, value, files).some((path) => path.startsWith('/') && isWithin(`${mountRoot}/.guests`, tidy(path))),
      ),
    )
    .map(({ vmid }) => vmid);

/** The drive as a whole, given to a guest beside its file system being mounted. */
export const given = (holders: readonly Holder[], asking: number): Dependant[] =>
  holders.flatMap(({ kind, vmid }) =>
    kind === 'guest' && vmid !== null ? [{ vmid, sentence: `${whose(vmid, asking)}, to which the drive itself is given` }] : [],
  );

const userSentence = ({ pid, command, vmid, what, path }: DeviceUser, asking: number): string => {
  if (vmid !== null && vmid !== asking) return `guest ${vmid}`;
  const program = plain(command, 40) || 'a program';
  if (vmid === null) return `"${program}" on the server (process ${pid})`;
  return what === 'unreadable' || path === '' ? `"${program}" in this guest` : `"${program}" in this guest (${plain(path, 120)})`;
};

export const users = (found: readonly DeviceUser[], asking: number): Dependant[] =>
  found
    .map((user) => ({ vmid: user.vmid, sentence: userSentence(user, asking) }))
    .filter((one, index, all) => all.findIndex(({ sentence }) => sentence === one.sentence) === index);

/** Every mount of one file system, in whatever namespace. @param numbers of its device */
export const mountsOf = (mounts: readonly SeenMount[], numbers: string, devices: readonly KernelDevice[]): SeenMount[] =>
  mounts.filter(({ mount }) => deviceOf(mount, devices)?.numbers === numbers);

/** Whether a mount comes and goes with ours: our own, and theirs in namespaces that follow the host's. */
export const isExpected = ({ point }: Mount, { mountPoint, guestPoint }: Places): boolean =>
  point === mountPoint || point === guestPoint || point === `${GUEST_ROOT}/${posix.basename(mountPoint)}`;

export const mountSentence = ({ mount, host }: SeenMount, vmid: number | null, asking: number): string => {
  if (vmid !== null)
    return vmid === asking ? `this guest, which has it mounted at ${plain(mount.point, 120)} too` : `guest ${vmid}`;
  return host
    ? `the server, which has it mounted at ${plain(mount.point, 120)} too`
    : 'a program on the server that has it mounted where only it sees it';
};
