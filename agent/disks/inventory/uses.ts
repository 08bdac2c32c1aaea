/** What the host itself has on its drives, or is set up to have: mounts, swap, layers, Proxmox's storages, datastores. Pure. */
import { isWithin, type Mount } from '#shared/mountinfo';
import type { Assignment } from './assignment.ts';
import type { Atlas } from './atlas.ts';
import type { Role } from './drive.ts';
import type { SeenMount, StorageSection } from './evidence.ts';
import { createFindings, type Findings, type FindingsBuilder, type Found } from './found.ts';
import type { Heard } from './heard.ts';
import { mdId } from './identity.ts';
import { folded, plain } from './plain.ts';

export interface Ours {
  assignments: readonly Assignment[];
  mountRoot: string;
}

interface World {
  heard: Heard;
  atlas: Atlas;
  ours: Ours;
  found: FindingsBuilder;
}

const use = (role: Role, sentence: string, lasting = true): Found => ({ role, sentence, lasting, origin: 'use' });

/** For sentences. */
const path = (text: string): string => plain(text, 200);

// ---- What storages and datastores make of the places that they lie on.

/** Their content is never this host's own drives. */
const ELSEWHERE: ReadonlySet<string> = new Set('nfs cifs pbs glusterfs cephfs rbd iscsi iscsidirect esxi zfs'.split(' '));

/** Without the key a storage takes nearly everything, guests' disks too (pve-storage: each plugin's default content). */
const contentOf = ({ keys }: StorageSection): string[] =>
  (keys.content ?? 'images,rootdir').split(/[\s,;]+/).filter((word) => word !== '');

const roleOfStorage = (storage: StorageSection): 'system' | 'backup' => {
  const content = contentOf(storage);
  if (content.includes('images') || content.includes('rootdir')) return 'system';
  return content.includes('backup') ? 'backup' : 'system';
};

const sentenceOfStorage = (storage: StorageSection): string => {
  const content = contentOf(storage);
  const what =
    content.includes('images') || content.includes('rootdir')
      ? "guests' disks"
      : content.includes('backup')
        ? 'backups'
        : 'files of its own';
  return `Proxmox keeps ${what} on it (storage "${plain(storage.id, 100)}").`;
};

/** The storage that such a sentence names, which is kept with the drive; '' for every other. */
export const storageNamedIn = (sentence: string): string => /\(storage "([^"]+)"\)\.$/.exec(sentence)?.[1] ?? '';

const volumesOf = ({ heard, atlas }: Pick<World, 'heard' | 'atlas'>, { keys }: StorageSection): string[] => {
  const group = keys.vgname ?? '';
  const pool = (keys.pool ?? '').split('/', 1)[0] ?? '';
  return [
    ...heard.lvm.filter((one) => group !== '' && one.group === group).map(({ device }) => device),
    ...heard.zfs.filter(({ name }) => pool !== '' && name === pool).flatMap(({ devices }) => devices),
  ].flatMap(atlas.named);
};

/** A directory that it has its files in, and one that must be a mount point. */
export const placesOfStorage = ({ keys }: StorageSection): string[] =>
  [keys.path, keys.is_mountpoint].filter((one) => one?.startsWith('/')) as string[];

/** The drives that it lies on, as far as they are mounted or declared. @param places its directories */
export const drivesOfStorage = (
  world: Pick<World, 'heard' | 'atlas'>,
  storage: StorageSection,
  places: readonly string[] = placesOfStorage(storage),
): Set<string> =>
  ELSEWHERE.has(storage.type)
    ? new Set()
    : world.atlas.drivesBehind([...places.flatMap(world.atlas.onPath), ...volumesOf(world, storage)]);

/** Of every type, also a disabled one, one of other nodes, or one whose drive is not mounted now. */
const storages = (world: World): void => {
  for (const storage of world.heard.proxmox.storages)
    world.found.because(drivesOfStorage(world, storage), use(roleOfStorage(storage), sentenceOfStorage(storage)));
};

const datastores = ({ heard, atlas, found }: World): void => {
  for (const { name, path: place, backingDevice } of heard.host.datastores) {
    const backing = backingDevice === '' ? [] : [...atlas.named(`UUID=${backingDevice}`), ...atlas.named(backingDevice)];
    const behind = atlas.drivesBehind([...backing, ...(place.startsWith('/') ? atlas.onPath(place) : [])]);
    found.because(behind, use('backup', `Proxmox Backup Server keeps backups on it (datastore "${plain(name, 100)}").`));
  }
};

/** Never a place for backups only, whatever a storage below it holds. */
export const OWN_POINTS = /^\/(boot(\/.*)?|efi|usr|var(\/(lib|log|tmp|cache))?|etc|home|root|tmp|opt|srv)?$/;

/** Whether all that Proxmox has at a place, or below it on the same mount, are backups, and there are some. */
const isForBackups = ({ heard, atlas }: World, point: string): boolean => {
  if (OWN_POINTS.test(point)) return false;
  const onIt = (place: string | undefined): boolean =>
    place !== undefined && isWithin(place, point) && atlas.pointOf(place) === point;
  const roles = [
    ...heard.proxmox.storages
      .filter(({ type, keys }) => !ELSEWHERE.has(type) && (onIt(keys.path) || onIt(keys.is_mountpoint)))
      .map(roleOfStorage),
    ...heard.host.datastores.filter((one) => onIt(one.path)).map(() => 'backup'),
  ];
  return roles.length > 0 && roles.every((role) => role === 'backup');
};

// ---- Mounts, now and to be.

const tidy = (point: string): string => (point.length > 1 ? point.replace(/\/+$/, '') || '/' : point);

const mountSentence = (point: string, how: string): string => {
  if (point === '/') return 'The host itself runs from it.';
  if (/^\/(boot|efi)(\/|$)/.test(point)) return `The host starts from it (${path(point)}).`;
  return `The host mounts it at ${path(point)}${how}.`;
};

/** What the host mounts by its own configuration, whether it does now or not. */
const declared = (world: World): void => {
  const { atlas, found } = world;
  const told = new Set<string>();
  for (const { point, what, where } of atlas.declared) {
    const names = atlas.named(what);
    const drives = atlas.drivesBehind(names);
    // systemd makes a unit of every line of fstab.
    const key = JSON.stringify([tidy(point), names]);
    if (drives.size === 0 || told.has(key)) continue;
    told.add(key);
    const isSwap = !point.startsWith('/');
    const sentence = isSwap ? 'The host uses it as swap space.' : mountSentence(tidy(point), ` (${path(where)})`);
    found.because(drives, use(!isSwap && isForBackups(world, tidy(point)) ? 'backup' : 'system', sentence));
  }
};

/** The assignment that a mount carries out; undefined for every other mount, also one at its place. */
const assignmentOf = ({ atlas, ours }: World, mount: Mount): Assignment | undefined =>
  ours.assignments.find(
    ({ mountPoint, vmid, uuid }) =>
      (mount.point === mountPoint ||
        mount.point === `${ours.mountRoot}/.guests/${vmid}/${mountPoint.slice(ours.mountRoot.length + 1)}`) &&
      sharesDevice(atlas, mount, uuid),
  );

const sharesDevice = (atlas: Atlas, mount: Mount, uuid: string): boolean => {
  const carrying = atlas.named(`UUID=${uuid}`);
  return atlas.ofMount(mount).some((name) => carrying.includes(name));
};

const mounted = (world: World, { mount }: SeenMount, drives: Set<string>): void => {
  const { atlas, found } = world;
  const assignment = assignmentOf(world, mount);
  const sentence =
    assignment === undefined
      ? `It is mounted on the host at ${path(mount.point)}.`
      : `It is mounted at ${path(mount.point)} for guest ${assignment.vmid}.`;
  found.heldBy(drives, { kind: 'mount', sentence, vmid: assignment?.vmid ?? null, pid: null });
  if (assignment !== undefined) return;
  const point = atlas.pointOf(mount.point);
  const planned = OWN_POINTS.test(mount.point) || atlas.declared.some((one) => tidy(one.point) === mount.point);
  const forBackups = point === mount.point && isForBackups(world, point);
  found.because(drives, use(forBackups ? 'backup' : 'system', mountSentence(mount.point, ''), planned || forBackups));
};

/** The agent's own look at a drive (agent/drive-check/look.ts), which nobody else sees and which ends within seconds. */
const isLook = ({ point, options }: Mount): boolean =>
  point === '/mnt' && ['ro', 'nosuid', 'nodev', 'noexec'].every((option) => options.includes(option));

/** Of the drive or of a partition of it. What stands on a pool or a volume group comes by the dozen: the root of every container. */
const isDirect = ({ atlas }: World, { fstype }: Mount, names: readonly string[]): boolean =>
  fstype !== 'zfs' && names.some((name) => atlas.isOnDrive(name));

/** Only the host's own mounts say what a drive is for; any other says at least that it is not free. */
const mounts = (world: World): void => {
  const { heard, atlas, ours, found } = world;
  const onHost = heard.mounts.filter(({ host }) => host);
  for (const seen of onHost) mounted(world, seen, atlas.drivesBehind(atlas.ofMount(seen.mount)));
  const known = new Set(onHost.map(({ mount }) => mount.device));
  const assigned = new Set(ours.assignments.flatMap(({ uuid }) => atlas.named(`UUID=${uuid}`)));
  for (const { mount, pid, host } of heard.mounts) {
    if (host || known.has(mount.device) || isLook(mount)) continue;
    const names = atlas.ofMount(mount);
    const drives = atlas.drivesBehind(names);
    const sentence = isDirect(world, mount, names)
      ? `It is mounted at ${path(mount.point)} where only some programs see it (process ${pid}).`
      : 'Something that stands on it is mounted where only some programs see it.';
    found.heldBy(drives, { kind: 'mount', sentence, vmid: null, pid });
    if (!names.every((name) => assigned.has(name))) found.because(drives, use('system', sentence, false));
  }
};

const swaps = ({ heard, atlas, found }: World): void => {
  for (const place of heard.swaps) {
    const names = place.startsWith('/dev/') ? atlas.named(place) : atlas.onPath(place);
    const drives = atlas.drivesBehind(names);
    found.because(drives, use('system', 'The host uses it as swap space.'));
    found.heldBy(drives, { kind: 'swap', sentence: 'The host uses it as swap space.', vmid: null, pid: null });
  }
};

// ---- Sets and layers.

/** As libblkid writes an array's UUID. */
const dashed = (uuid: string): string => mdId(uuid).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');

const sets = ({ heard, atlas, found }: World): void => {
  for (const { device, group } of heard.lvm.filter((one) => one.group !== ''))
    found.because(
      atlas.drivesBehind(atlas.named(device)),
      use('system', `It is part of the LVM volume group "${plain(group, 100)}".`),
    );
  for (const { name, devices } of heard.zfs)
    found.because(
      atlas.drivesBehind(devices.flatMap(atlas.named)),
      use('system', `It is part of the ZFS pool "${plain(name, 100)}".`),
    );
  for (const { name, members } of heard.md)
    found.because(atlas.drivesBehind(members), use('system', `It is part of the software RAID ${plain(name, 40)}.`));
  for (const uuid of heard.host.mdUuids)
    found.because(
      atlas.drivesBehind(atlas.named(`UUID=${dashed(uuid)}`)),
      use('system', 'It is part of a software RAID of the host (mdadm.conf).'),
    );
};

/** Whatever stands on a drive without being explained by anything else: a locked volume that was opened by hand, multipath. */
const layers = ({ heard, atlas, found }: World): void => {
  for (const upper of heard.kernel) {
    const onFile = upper.backingFile?.startsWith('/dev/') ?? false;
    const below = [...upper.slaves, ...(upper.md?.members ?? []), ...(onFile ? atlas.named(upper.backingFile ?? '') : [])];
    const drives = atlas.drivesBehind(below);
    // Every disk of every guest may be one.
    const isVolume = upper.dm?.uuid.startsWith('LVM-') ?? false;
    const name = isVolume ? 'LVM' : plain(upper.dm?.name ?? upper.name, 100);
    found.heldBy(drives, { kind: onFile ? 'loop' : 'device', sentence: `${name} stands on it.`, vmid: null, pid: null });
    found.because(drives, use('system', `Another device of the host stands on it: ${name}.`, false));
  }
};

/** Loop devices on files that lie on a drive; they keep it in use, whatever they are for. */
const loops = ({ heard, atlas, found }: World): void => {
  for (const { name, backingFile } of heard.kernel) {
    const file = backingFile?.replace(/ \(deleted\)$/, '') ?? '';
    if (!file.startsWith('/') || file.startsWith('/dev/')) continue;
    const sentence = `${name} uses the file ${path(file)} on it.`;
    found.heldBy(atlas.drivesBehind(atlas.onPath(file)), { kind: 'loop', sentence, vmid: null, pid: null });
  }
};

// ---- The rest of the host's own files.

const crypttab = (world: World): void => {
  const { heard, atlas, found } = world;
  for (const { name, device } of heard.host.crypttab) {
    const drives = atlas.drivesBehind(atlas.named(device));
    const points = atlas.declared.filter(({ what }) => what === `/dev/mapper/${name}`).map(({ point }) => tidy(point));
    const forBackups = points.length > 0 && points.every((point) => isForBackups(world, point));
    const sentence = `The host unlocks it at its start (crypttab, "${plain(name, 100)}").`;
    found.because(drives, use(forBackups ? 'backup' : 'system', sentence));
  }
};

const boot = ({ heard, atlas, found }: World): void => {
  for (const uuid of heard.host.bootUuids)
    found.because(atlas.drivesBehind(atlas.named(`UUID=${uuid}`)), use('system', 'The host starts from it (proxmox-boot-tool).'));
  for (const uuid of heard.host.efiPartitions)
    found.because(
      atlas.drivesBehind(atlas.named(`PARTUUID=${folded(uuid)}`)),
      use('system', "The host's firmware starts from it."),
    );
};

/** Every use by the host, and whoever holds a drive now. */
export const usesOf = (heard: Heard, atlas: Atlas, ours: Ours): Findings => {
  const world: World = { heard, atlas, ours, found: createFindings() };
  // What it is for comes before where it is mounted: people read the first reason.
  for (const step of [storages, datastores, mounts, swaps, declared, crypttab, boot, sets, layers, loops]) step(world);
  return world.found;
};
