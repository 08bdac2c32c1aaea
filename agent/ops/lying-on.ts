/** What of the host's and Proxmox's own lies on a drive, and would use it again by itself. Pure. */
import { isWithin, type Mount, mountOf } from '#shared/mountinfo';
import { configured, type Places } from '../disks/deeds/dependants.ts';
import type { Assignment } from '../disks/inventory/assignment.ts';
import { type Atlas, atlasOf } from '../disks/inventory/atlas.ts';
import type { Drive } from '../disks/inventory/drive.ts';
import type { Evidence, StorageSection } from '../disks/inventory/evidence.ts';
import { type Heard, heardFrom } from '../disks/inventory/heard.ts';
import { drivesOfStorage, OWN_POINTS, placesOfStorage, storageNamedIn } from '../disks/inventory/uses.ts';

/** A line that mounts it, unlocks it or swaps to it, at boot or when it is plugged in. */
export interface Line {
  kind: 'fstab' | 'unit' | 'crypttab';
  /** `/etc/fstab`, the unit's name, the name in crypttab. */
  where: string;
  what: string;
  /** Empty for swap and for what is only unlocked. */
  point: string;
}

export interface LyingOn {
  /** Of this node, also those that are disabled. */
  storages: readonly { id: string; disabled: boolean }[];
  /** Of a Proxmox Backup Server. */
  datastores: readonly string[];
  lines: readonly Line[];
  /** The host's mounts of it, as they were made. */
  mounts: readonly Mount[];
  /** The host's mounts that stand on one of those, and are not of this drive. */
  above: readonly Mount[];
  /** What waits at one of its places for somebody to come, and then mounts it. */
  automounts: readonly Mount[];
  /** Guests whose configuration has something of it. */
  guests: readonly { vmid: number; what: string }[];
}

export interface LyingContext {
  assignments: readonly Assignment[];
  /** `disks.loop_drives` */
  loopDrives: readonly string[];
  /** Where a storage's directory leads, through every link; left out: nowhere else. */
  resolved?: ReadonlyMap<string, string>;
  /** Places and storages that were its own until they were taken out of use. */
  former?: { points: readonly string[]; storages: readonly string[] };
}

interface World {
  heard: Heard;
  atlas: Atlas;
  /** The host's mount points. */
  mounted: ReadonlySet<string>;
  drive: Drive;
  context: LyingContext;
}

const tidy = (path: string): string => path.replace(/(?<=.)\/+$/, '');

/** An empty list, and no list, is every node. */
const isHere = ({ keys: { nodes = '' } }: StorageSection, node: string): boolean =>
  nodes.trim() === '' || nodes.split(/[\s,;]+/).includes(node);

const placesOf = (storage: StorageSection, { resolved }: LyingContext): string[] => [
  ...new Set(placesOfStorage(storage).flatMap((place) => [place, resolved?.get(place) ?? place])),
];

/** It has no drive of its own at the moment: what is written there fills the disk that the host runs from. */
const isAdrift = ({ atlas, context }: World, storage: StorageSection): boolean =>
  placesOf(storage, context).some((place) => OWN_POINTS.test(atlas.pointOf(place)));

/** Something else is mounted by now where it was until it was taken out of use, or where the storage lies instead. */
const hasAnother = ({ atlas, mounted, context }: World, storage: StorageSection): boolean =>
  placesOf(storage, context).some((place) => {
    const point = atlas.pointOf(place);
    return mounted.has(point) && (point === place || context.former?.points.includes(point) === true);
  });

/** Of a drive that somebody unmounted by hand only its record still tells which storage it was. */
const wasOn = (world: World, storage: StorageSection): boolean => {
  const { record, related } = world.drive;
  const named = [record, ...related].some((one) => storageNamedIn(one?.role?.why ?? '') === storage.id);
  const taken = world.context.former?.storages.includes(storage.id) ?? false;
  return (named && isAdrift(world, storage)) || (taken && !hasAnother(world, storage));
};

const storagesOn = (world: World): StorageSection[] =>
  world.heard.proxmox.storages.filter(
    (storage) =>
      isHere(storage, world.heard.proxmox.node) &&
      (drivesOfStorage(world, storage, placesOf(storage, world.context)).has(world.drive.name) || wasOn(world, storage)),
  );

const isOn = ({ atlas, drive }: World, names: readonly string[]): boolean => atlas.drivesBehind(names).has(drive.name);

const meant = ({ atlas }: World, what: string): string[] =>
  what.startsWith('/') && !what.startsWith('/dev/') ? atlas.onPath(what) : atlas.named(what);

const linesOn = (world: World): Line[] => {
  const { fstab, crypttab, units } = world.heard.host;
  const unlocked = crypttab.filter(({ device }) => isOn(world, world.atlas.named(device)));
  const isMeant = (what: string): boolean =>
    isOn(world, meant(world, what)) || unlocked.some(({ name }) => what === `/dev/mapper/${name}`);
  const inFstab = fstab.filter(({ spec }) => isMeant(spec));
  // systemd makes a unit of every line of fstab; as long as that stands, the line is what there is to take out.
  const own = units.filter(({ what, where }) => isMeant(what) && !inFstab.some(({ point }) => tidy(point) === tidy(where)));
  return [
    ...unlocked.map(({ name, device }): Line => ({ kind: 'crypttab', where: name, what: device, point: '' })),
    ...inFstab.map(
      ({ spec, point }): Line => ({
        ...{ kind: 'fstab', where: '/etc/fstab', what: spec },
        point: point.startsWith('/') ? tidy(point) : '',
      }),
    ),
    ...own.map(({ file, what, where }): Line => ({ kind: 'unit', where: file, what, point: tidy(where) })),
  ];
};

const datastoresOn = (world: World): string[] =>
  world.heard.host.datastores
    .filter(({ path, backingDevice }) =>
      isOn(world, [
        ...(backingDevice === '' ? [] : [...world.atlas.named(`UUID=${backingDevice}`), ...world.atlas.named(backingDevice)]),
        ...(path.startsWith('/') ? world.atlas.onPath(path) : []),
      ]),
    )
    .map(({ name }) => name);

/** By path of a place, by volume of a storage, by the drive itself. */
const guestsOn = ({ heard, drive }: World, places: readonly string[]): LyingOn['guests'] => {
  const byPlace = places.flatMap((place) => {
    const one: Places = { vmid: 0, mountPoint: place, guestPoint: place };
    return configured(heard.proxmox, one).flatMap(({ vmid, sentence }) => (vmid === null ? [] : [{ vmid, what: sentence }]));
  });
  const given = drive.holders.flatMap(({ kind, vmid, sentence }) =>
    kind === 'guest' && vmid !== null ? [{ vmid, what: sentence }] : [],
  );
  return [...byPlace, ...given].filter(({ what }, index, all) => all.findIndex((other) => other.what === what) === index);
};

const isOnPlace = (place: string, points: readonly string[]): boolean => points.some((point) => isWithin(place, point));

/** Over evidence in which nothing is missing. */
export const lyingOn = (evidence: Evidence, drive: Drive, context: LyingContext): LyingOn => {
  const heard = heardFrom(evidence);
  const onHost = heard.mounts.filter(({ host }) => host).map(({ mount }) => mount);
  const mounted = new Set(onHost.map(({ point }) => point));
  const world: World = { heard, atlas: atlasOf(heard, context), mounted, drive, context };
  const mounts = onHost.filter((mount) => isOn(world, world.atlas.ofMount(mount)) && mount.fstype !== 'autofs');
  const ids = new Set(mounts.map(({ id }) => id));
  const storages = storagesOn(world);
  const lines = linesOn(world);
  const points = [
    ...mounts.map(({ point }) => point),
    ...lines.flatMap(({ point }) => (point === '' ? [] : [point])),
    ...(context.former?.points ?? []),
  ];
  const ofStorages = storages.flatMap((storage) => placesOf(storage, context));
  return {
    storages: storages.map(({ id, keys }) => ({ id, disabled: keys.disable !== undefined && keys.disable !== '0' })),
    datastores: datastoresOn(world),
    lines,
    mounts,
    above: onHost.filter((mount) => ids.has(mount.parent) && !ids.has(mount.id)),
    automounts: onHost.filter(({ fstype, point }) => fstype === 'autofs' && points.includes(point)),
    guests: guestsOn(
      world,
      [...new Set([...points, ...ofStorages])].filter((place) => place !== '/'),
    ),
  };
};

/** Whether something that writes to a path of the host writes to one of its mounts. */
export const liesWithin = ({ mounts }: Pick<LyingOn, 'mounts'>, path: string): boolean =>
  isOnPlace(
    tidy(path),
    mounts.map(({ point }) => point),
  );

/** Which of the mounts is on top at a point. */
export const topAt = (mounts: readonly Mount[], point: string): Mount | undefined => {
  const top = mountOf(mounts, point);
  return top?.point === point ? top : undefined;
};
