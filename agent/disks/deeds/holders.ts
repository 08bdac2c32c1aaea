/** Who the host's sources say has a drive in use. Pure; what a source does not tell counts as in use. */
import { type Mount, mountOf } from '#shared/mountinfo';
import type { DeviceUser } from '../../ports/drive-check.ts';
import { deviceFile } from '../../ports/probe.ts';
import type { KernelDevice } from '../../ports/sysfs.ts';
import type { Holder } from '../inventory/drive.ts';
import type { Evidence, Known, SeenMount } from '../inventory/evidence.ts';
import { plain } from '../inventory/plain.ts';

/** The drive and every other path to it, with all that they are called. */
export interface Parts {
  devices: readonly KernelDevice[];
  /** Kernel names of drives and partitions. */
  names: ReadonlySet<string>;
  numbers: ReadonlySet<string>;
  /** `/dev/sdb1` */
  files: ReadonlySet<string>;
}

export const partsOf = (devices: readonly KernelDevice[]): Parts => {
  const all = devices.flatMap((device) => [device, ...device.partitions]);
  const names = new Set(all.map(({ name }) => name));
  return { devices, names, numbers: new Set(all.map(({ numbers }) => numbers)), files: new Set([...names].map(deviceFile)) };
};

export const holder = (kind: Holder['kind'], sentence: string, more: Partial<Pick<Holder, 'vmid' | 'pid'>> = {}): Holder => ({
  kind,
  sentence,
  vmid: null,
  pid: null,
  ...more,
});

export const notKnown = (what: string, why: string): Holder =>
  holder('unknown', `Whether ${what} cannot be told: ${plain(why, 300)}`);

const from = <T>(source: Known<T>, what: string, find: (value: T) => Holder[]): Holder[] =>
  source.known ? find(source.value) : [notKnown(what, source.why)];

/** Mounts of file systems on it, and every mount that shares their numbers: a btrfs has numbers of its own. */
export const mountsOn = (mounts: readonly SeenMount[], { numbers, files }: Parts): SeenMount[] => {
  const direct = mounts.filter(({ mount }) => numbers.has(mount.device) || files.has(mount.source));
  const filesystems = new Set(direct.map(({ mount }) => mount.device));
  return mounts.filter(({ mount }) => filesystems.has(mount.device));
};

/** Each namespace's mounts. */
const viewsOf = (mounts: readonly SeenMount[]): Mount[][] => {
  const views = new Map<number, Mount[]>();
  for (const { pid, mount } of mounts) {
    const view = views.get(pid);
    if (view === undefined) views.set(pid, [mount]);
    else view.push(mount);
  }
  return [...views.values()];
};

/** Whether a file lies on it as anybody sees it: nobody tells in which namespace a path was meant. */
const filesOn = (mounts: readonly SeenMount[], parts: Parts): ((path: string) => boolean) => {
  const own = new Set(mountsOn(mounts, parts).map(({ mount }) => mount.device));
  const views = viewsOf(mounts);
  return (path) => parts.files.has(path) || views.some((view) => own.has(mountOf(view, path)?.device ?? ''));
};

const stacked = ({ devices }: Parts): Holder[] => {
  const names = devices.flatMap((device) => [device, ...device.partitions].flatMap(({ holders }) => holders));
  return [...new Set(names)].map((name) => holder('device', `The device ${plain(name)} stands on it.`));
};

const withoutDeleted = (file: string): string => file.replace(/ \(deleted\)$/, '');

const loopsOn = (kernel: readonly KernelDevice[], isOnIt: (path: string) => boolean, { names }: Parts): Holder[] =>
  kernel.flatMap(({ name, backingFile }) => {
    if (backingFile === null || names.has(name) || !isOnIt(withoutDeleted(backingFile))) return [];
    return [holder('loop', `The loop device ${name} stands on ${plain(backingFile, 200)}, which is on it.`)];
  });

/** @param guest of the mount's place; null: nobody's */
const mountHolder = ({ mount, host, pid }: SeenMount, guest: number | null): Holder => {
  const point = plain(mount.point, 200);
  if (host) return holder('mount', `It is mounted at ${point}.`, { vmid: guest });
  const whose = guest === null ? `by process ${pid} and others` : `inside guest ${guest}`;
  return holder('mount', `It is mounted at ${point}, seen ${whose}.`, { vmid: guest, pid });
};

export interface HolderSources {
  sources: Pick<Evidence, 'kernel' | 'mounts' | 'swaps' | 'md' | 'zfs' | 'btrfs'>;
  users: Known<readonly DeviceUser[]>;
  /** Whose a mount is. */
  guestOf: (seen: SeenMount) => number | null;
}

export const userHolder = ({ pid, command, vmid, what, path }: DeviceUser): Holder => {
  const who = `Process ${pid} (${plain(command, 40)})${vmid === null ? '' : ` of guest ${vmid}`}`;
  if (what === 'unreadable') return holder('unknown', `${who} cannot be asked what it has open.`, { vmid, pid });
  const does = what === 'device' ? `has ${plain(path, 200)} open` : `uses ${plain(path, 200)}, which is on it`;
  return holder(vmid === null ? 'process' : 'guest', `${who} ${does}.`, { vmid, pid });
};

/** Whoever uses a file of a mounted file system is told by its mount. */
const usersOf = (users: readonly DeviceUser[], isMounted: boolean): Holder[] =>
  users.filter(({ what }) => what === 'device' || what === 'unreadable' || !isMounted).map(userHolder);

export const holdersFrom = (parts: Parts, { sources, users, guestOf }: HolderSources): Holder[] => {
  const { kernel, mounts, swaps, md, zfs, btrfs } = sources;
  const own = mounts.known ? mountsOn(mounts.value, parts) : [];
  const isOnIt = filesOn(mounts.known ? mounts.value : [], parts);
  return [
    ...from(mounts, 'it is mounted', () => own.map((seen) => mountHolder(seen, guestOf(seen)))),
    ...stacked(parts),
    ...from(swaps, 'the host swaps to it', (paths) =>
      paths.filter(isOnIt).map((path) => holder('swap', `The host swaps to ${plain(path, 200)}, which is on it.`)),
    ),
    ...from(kernel, 'a loop device stands on it', (devices) => loopsOn(devices, isOnIt, parts)),
    ...from(md, 'it belongs to a RAID that is active', (arrays) =>
      arrays
        .filter(({ members }) => members.some((name) => parts.names.has(name)))
        .map(({ name }) => holder('device', `It belongs to the RAID ${plain(name)}, which is active.`)),
    ),
    ...from(zfs, 'it belongs to a ZFS pool that is imported', (pools) =>
      pools
        .filter(({ devices }) => devices.some((file) => parts.files.has(file)))
        .map(({ name }) => holder('device', `It belongs to the ZFS pool ${plain(name)}, which is imported.`)),
    ),
    // Of several members the mounts name but one.
    ...from(btrfs, 'it belongs to a btrfs that is mounted', (sets) =>
      own.length === 0 && sets.some((members) => members.some((name) => parts.names.has(name)))
        ? [holder('mount', 'It belongs to a btrfs that is mounted.')]
        : [],
    ),
    ...from(users, 'a process has it open', (all) => usersOf(all, own.length > 0)),
  ];
};
