/** Which devices a name means: a path in /dev, a link of udev's, `UUID=…`, numbers. Pure. */
import { posix } from 'node:path';
import type { KernelDevice } from '../../ports/sysfs.ts';
import type { Assignment } from './assignment.ts';
import type { Heard } from './heard.ts';
import { contentsOf, partitionsOf } from './identity.ts';
import { folded } from './plain.ts';

/** Kernel names of every device that a name may mean; none where nothing of that name is plugged in. */
export interface Names {
  named(spec: string): string[];
  numbered(numbers: string): string[];
}

interface Index {
  heard: Heard;
  /** Of drives, partitions and layers. */
  all: ReadonlySet<string>;
  byNumbers: ReadonlyMap<string, string>;
  byLink: ReadonlyMap<string, readonly string[]>;
  /** Devices by what they carry: `uuid a1b2`, `partlabel photos`, folded. */
  byContent: ReadonlyMap<string, readonly string[]>;
  assignments: readonly Assignment[];
}

type By = 'uuid' | 'label' | 'partuuid' | 'partlabel';

const carried = ({ device, uuid, label }: Named, byUuid: By, byLabel: By): [string, string][] => [
  [`${byUuid} ${folded(uuid)}`, device],
  [`${byLabel} ${folded(label)}`, device],
];

interface Named {
  device: string;
  uuid: string;
  label: string;
}

const carriers = (entries: readonly [string, string][]): Map<string, string[]> => {
  const byContent = new Map<string, string[]>();
  for (const [what, device] of entries) byContent.set(what, [...(byContent.get(what) ?? []), device]);
  return byContent;
};

const indexOf = (heard: Heard, assignments: readonly Assignment[]): Index => {
  const { kernel, udev, probes } = heard;
  const nodes = kernel.flatMap(({ name, numbers, partitions }) => [{ name, numbers }, ...partitions]);
  const byLink = new Map<string, string[]>();
  for (const [name, { links }] of udev) for (const link of links) byLink.set(link, [...(byLink.get(link) ?? []), name]);
  const sources = kernel.map((device) => {
    const probe = probes.get(device.name);
    return { device, udev, probe: probe?.known ? probe.value : null };
  });
  return {
    heard,
    all: new Set(nodes.map(({ name }) => name)),
    byNumbers: new Map(nodes.map(({ name, numbers }) => [numbers, name])),
    byLink,
    byContent: carriers([
      ...sources.flatMap(contentsOf).flatMap((one) => carried(one, 'uuid', 'label')),
      ...sources.flatMap(partitionsOf).flatMap((one) => carried(one, 'partuuid', 'partlabel')),
    ]),
    assignments,
  };
};

const decoded = (text: string): string =>
  text.replace(/\\x([0-9a-f]{2})/gi, (_all, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)));

/** Everything that carries it, a guest's virtual disk too: which one is meant nobody can tell. */
const carrying = ({ byContent }: Index, by: By, value: string): readonly string[] => {
  const wanted = folded(decoded(value));
  return wanted === '' ? [] : (byContent.get(`${by} ${wanted}`) ?? []);
};

/** A hyphen of a group's or volume's name is doubled (dm-names of LVM). */
const dmName = (group: string, volume: string): string => [group, volume].map((part) => part.replaceAll('-', '--')).join('-');

const dmNamed = ({ heard }: Index, wanted: string): string[] =>
  heard.kernel.filter(({ dm }) => dm?.name === wanted).map(({ name }) => name);

/** `/dev/pve/vm-101-disk-0`: the volume where it is active, and the group's drives in any case. */
const lvmNamed = (index: Index, group: string, volume: string): string[] => [
  ...dmNamed(index, dmName(group, volume)),
  ...index.heard.lvm.filter((one) => one.group === group).flatMap(({ device }) => devicePath(index, device)),
];

const poolNamed = (index: Index, pool: string): string[] =>
  index.heard.zfs
    .filter(({ name }) => name === pool)
    .flatMap(({ devices }) => devices.flatMap((device) => devicePath(index, device)));

/** Opened or not. */
const mapperNamed = (index: Index, name: string, depth: number): string[] => [
  ...dmNamed(index, name),
  ...index.heard.host.crypttab.filter((line) => line.name === name).flatMap(({ device }) => specNamed(index, device, depth - 1)),
];

/** Directories of /dev/disk whose names can be looked up in what is on the devices, should the link be missing or point elsewhere. */
const BY: Readonly<Record<string, By>> = {
  'by-uuid': 'uuid',
  'by-label': 'label',
  'by-partuuid': 'partuuid',
  'by-partlabel': 'partlabel',
};

const diskNamed = (index: Index, kind: string, name: string): readonly string[] => {
  const by = BY[kind];
  if (by !== undefined) return carrying(index, by, name);
  if (kind === 'by-diskseq') return index.heard.kernel.filter(({ diskseq }) => String(diskseq) === name).map((one) => one.name);
  return [];
};

const ownLink = (index: Index, link: string): string[] =>
  index.assignments.filter((one) => one.link === link).flatMap(({ uuid }) => carrying(index, 'uuid', uuid));

/** Below /dev, by the directory that the name is in. */
const inDirectory = (index: Index, [directory = '', name = '', ...rest]: readonly string[], depth: number): readonly string[] => {
  switch (directory) {
    case 'disk':
      return diskNamed(index, name, rest.join('/'));
    case 'mapper':
      return mapperNamed(index, name, depth);
    case 'felhom':
      return ownLink(index, name);
    case 'block':
      return [index.byNumbers.get(name) ?? ''].filter((one) => one !== '');
    case 'zvol':
      return poolNamed(index, name);
    default:
      return name === '' ? [] : lvmNamed(index, directory, name);
  }
};

/** A partition that is not there (any more) still means its drive. */
const wholeOf = (path: string): string =>
  /-part\d+$/.test(path) ? path.replace(/-part\d+$/, '') : path.replace(/(?<=\/sd[a-z]+|\/[vx]?vd[a-z]+)\d+$|(?<=\d)p\d+$/, '');

const exactly = (index: Index, path: string, depth: number): string[] => {
  const below = path.slice('/dev/'.length);
  return [
    ...(index.all.has(below) ? [below] : []),
    ...(index.byLink.get(path) ?? []),
    ...(below.includes('/') ? inDirectory(index, below.split('/'), depth) : []),
  ];
};

const devicePath = (index: Index, path: string, depth = 4): string[] => {
  const normal = posix.normalize(path);
  if (!normal.startsWith('/dev/') || depth === 0) return [];
  const found = exactly(index, normal, depth);
  return found.length > 0 ? found : exactly(index, wholeOf(normal), depth);
};

/** As fstab(5), crypttab(5) and systemd's units name devices. */
const specNamed = (index: Index, spec: string, depth = 4): readonly string[] => {
  const [, tag = '', value = ''] = /^(UUID|LABEL|PARTUUID|PARTLABEL)="?([^"]*)"?$/i.exec(spec) ?? [];
  if (tag !== '') return carrying(index, tag.toLowerCase() as By, value);
  return devicePath(index, spec, depth);
};

export const namesIn = (heard: Heard, assignments: readonly Assignment[]): Names => {
  const index = indexOf(heard, assignments);
  return {
    named: (spec) => [...new Set(specNamed(index, spec.trim()))],
    numbered: (numbers) => [index.byNumbers.get(numbers) ?? ''].filter((name) => name !== ''),
  };
};

/** The whole device that a drive, a partition or a layer is, or is part of. */
export const wholeDevices = (kernel: readonly KernelDevice[]): ReadonlyMap<string, KernelDevice> =>
  new Map(kernel.flatMap((device) => [device.name, ...device.partitions.map(({ name }) => name)].map((name) => [name, device])));
