/** A host with drives, told as a person would; from it everything that its sources would say, whole and true. */
import { posix } from 'node:path';
import type { Drive, Inventory } from '#agent/disks/inventory/drive';
import type {
  Evidence,
  HostConfig,
  Known,
  Look,
  Probe,
  ProxmoxFiles,
  SeenMount,
  Signature,
  UdevEntry,
} from '#agent/disks/inventory/evidence';
import { type InventoryContext, inventoryOf } from '#agent/disks/inventory/inventory';
import type { KernelDevice } from '#agent/ports/sysfs';
import { madeDevice, madeEvidence } from './made.ts';

/** `ext4`, its UUID and its label; where the UUID is left out it is made from the device's name. */
export interface On {
  type: string;
  uuid?: string;
  label?: string;
}

export interface PartSpec {
  on?: On[];
  uuid?: string;
  /** GUID of its type, as udev tells it. */
  type?: string;
}

export interface DriveSpec {
  name: string;
  /** Default: one that nobody else has. */
  serial?: string;
  model?: string;
  wwn?: string;
  gb?: number;
  /** Directly on the drive. */
  on?: On[];
  /** Default without `on`: one partition with an ext4. An empty list: no table either, unless `table` says so. */
  parts?: PartSpec[];
  table?: string;
  tableUuid?: string;
  /** Of the USB device that it hangs on. */
  usb?: { port: string; vendor?: string; product?: string };
  pci?: string[];
  transport?: string;
  /** Below /dev, beside those that udev makes. */
  links?: string[];
  backingFile?: string;
  clean?: boolean;
  /** Where the table lists another number of partitions than the kernel shows. */
  declared?: number | null;
  ambivalent?: string[];
}

export interface HostSpec {
  drives: DriveSpec[];
  /** Other block devices. */
  layers?: (Partial<KernelDevice> & { name: string })[];
  /** `from` is a kernel name. */
  mounts?: {
    point: string;
    from: string;
    fstype?: string;
    host?: boolean;
    device?: string;
    options?: string[];
    source?: string;
  }[];
  swaps?: string[];
  lvm?: { device: string; group: string }[];
  zfs?: { name: string; devices: string[] }[];
  md?: { name: string; members: string[] }[];
  btrfs?: string[][];
  host?: Partial<HostConfig>;
  storages?: Record<string, string>[];
  /** By number: the text of its file; of an LXC where the key begins with `ct`. */
  guests?: Record<string, string>;
  proxmox?: Partial<ProxmoxFiles>;
  /** By device; what is not named was looked into, and there was nothing. */
  looks?: Record<string, Look['found'] | 'failed' | 'none'>;
  /** Instead of what is really on them. */
  probes?: Record<string, 'failed' | 'none'>;
  /** Devices that udev has not finished with. */
  unfinished?: string[];
  asleep?: string[];
  notAnswering?: string[];
}

const GB = 1_000_000_000;

/** A UUID that only this name has. */
export const uuidOf = (name: string): string => {
  const hex = [...name]
    .map((letter) => letter.charCodeAt(0).toString(16).padStart(2, '0'))
    .join('')
    .slice(-12)
    .padStart(12, '0');
  return `5a3c1e7f-0b2d-4c4e-8f60-${hex}`;
};

const partName = (drive: string, index: number): string => `${drive}${/\d$/.test(drive) ? 'p' : ''}${index + 1}`;

const partsOf = ({ on, parts }: DriveSpec): PartSpec[] => parts ?? (on === undefined ? [{ on: [{ type: 'ext4' }] }] : []);

const numbersOf = (index: number, part = 0): string => `8:${index * 16 + part}`;

const deviceOf = (spec: DriveSpec, index: number): KernelDevice => {
  const { name, gb = 500, usb, pci = [`0000:00:17.${index % 8}`], backingFile, wwn = '' } = spec;
  return madeDevice({
    name,
    numbers: numbersOf(index),
    sizeBytes: gb * GB,
    diskseq: index + 1,
    path: `/sys/devices/pci0000:00/${pci.join('/')}/block/${name}`,
    transport: spec.transport ?? (usb ? 'usb' : 'sata'),
    model: spec.model ?? 'Drive',
    serial: spec.serial ?? `S-${name}`,
    wwn,
    usb: usb !== undefined,
    usbDevice: usb ? { vendor: usb.vendor ?? '152d', product: usb.product ?? '0578', serial: '', port: usb.port } : null,
    pciAddresses: pci,
    backingFile: backingFile ?? null,
    partitions: partsOf(spec).map((_part, at) => ({
      name: partName(name, at),
      numbers: numbersOf(index, at + 1),
      sizeBytes: 100 * GB,
      startBytes: 1_048_576 + at * 100 * GB,
      holders: [],
    })),
  });
};

const signaturesOf = (spec: DriveSpec): Signature[] => {
  const carried = (device: string, on: On[] = []): Signature[] =>
    on.map(({ type, uuid = uuidOf(device), label = '' }) => ({ device, offset: 1080, type, uuid, label }));
  const parts = partsOf(spec);
  const table = spec.table ?? (parts.length > 0 ? 'gpt' : '');
  return [
    ...(table === '' ? [] : [{ device: spec.name, offset: 512, type: table, uuid: '', label: '' }]),
    ...carried(spec.name, spec.on),
    ...parts.flatMap(({ on }, index) => carried(partName(spec.name, index), on)),
  ];
};

const partUuid = (spec: DriveSpec, part: PartSpec, index: number): string =>
  part.uuid ?? uuidOf(`p:${partName(spec.name, index)}`);

const probeOf = (spec: DriveSpec): Probe => {
  const signatures = signaturesOf(spec);
  const hasTable = signatures.some(({ type }) => type === 'gpt' || type === 'dos');
  return {
    signatures,
    ambivalent: spec.ambivalent ?? [],
    clean: spec.clean ?? signatures.length === 0,
    declared: spec.declared !== undefined ? spec.declared : hasTable ? partsOf(spec).length : null,
    tableUuid: hasTable ? (spec.tableUuid ?? uuidOf(`t:${spec.name}`)) : '',
    partitionUuids: Object.fromEntries(
      partsOf(spec).map((part, index) => [partName(spec.name, index), partUuid(spec, part, index)]),
    ),
  };
};

const contentProperties = (signatures: Signature[], device: string): Record<string, string> => {
  const [first] = signatures.filter((one) => one.device === device && one.type !== 'gpt' && one.type !== 'dos');
  return first === undefined ? {} : { ID_FS_TYPE: first.type, ID_FS_UUID: first.uuid, ID_FS_LABEL: first.label };
};

const udevOf = (spec: DriveSpec): [string, UdevEntry][] => {
  const { name, model = 'Drive', serial = `S-${name}`, wwn = '', links = [] } = spec;
  const { signatures, tableUuid } = { ...probeOf(spec), signatures: signaturesOf(spec) };
  const hardware = { ID_MODEL: model.replaceAll(' ', '_'), ID_SERIAL_SHORT: serial, ...(wwn === '' ? {} : { ID_WWN: wwn }) };
  const byId = serial === '' ? [] : [`/dev/disk/by-id/ata-${model.replaceAll(' ', '_')}_${serial}`];
  const linksFor = (suffix: string): string[] => [
    ...byId.map((link) => `${link}${suffix}`),
    ...links.map((link) => `${link}${suffix}`),
  ];
  return [
    [
      name,
      { properties: { ...hardware, ...contentProperties(signatures, name), ID_PART_TABLE_UUID: tableUuid }, links: linksFor('') },
    ],
    ...partsOf(spec).map((part, index): [string, UdevEntry] => {
      const device = partName(name, index);
      const own = { ID_PART_ENTRY_UUID: partUuid(spec, part, index), ID_PART_ENTRY_TYPE: part.type ?? '' };
      return [
        device,
        { properties: { ...hardware, ...own, ...contentProperties(signatures, device) }, links: linksFor(`-part${index + 1}`) },
      ];
    }),
  ];
};

const known = <T>(value: T): Known<T> => ({ known: true, value });

const layersOf = ({ layers = [] }: HostSpec): KernelDevice[] =>
  layers.map((facts, index) =>
    madeDevice({ numbers: `253:${index}`, serial: '', model: '', pciAddresses: [], transport: '', ...facts }),
  );

const mountsOf = (spec: HostSpec, devices: KernelDevice[]): SeenMount[] => {
  const nodes = devices.flatMap(({ name, numbers, partitions }) => [{ name, numbers }, ...partitions]);
  return (spec.mounts ?? []).map(({ point, from, fstype = 'ext4', host = true, device, options = ['rw'], source }, index) => ({
    host,
    pid: host ? 1 : 4242,
    mount: {
      id: String(index + 20),
      parent: '1',
      device: device ?? nodes.find(({ name }) => name === from)?.numbers ?? `0:${90 + index}`,
      root: '/',
      point,
      fstype,
      source: source ?? `/dev/${from}`,
      options,
    },
  }));
};

const guestsOf = ({ guests = {} }: HostSpec): ProxmoxFiles['guests'] =>
  Object.entries(guests).map(([key, text]) => ({
    vmid: Number(key.replace(/^ct/, '')),
    type: key.startsWith('ct') ? 'lxc' : 'qemu',
    text,
  }));

const LOOKABLE = ['ext2', 'ext3', 'ext4', 'xfs', 'btrfs', 'exfat', 'vfat', 'ntfs', 'iso9660'];

const looksOf = (spec: HostSpec): [string, Known<Look>][] =>
  spec.drives.flatMap(signaturesOf).flatMap(({ device, type }): [string, Known<Look>][] => {
    const found = spec.looks?.[device] ?? 'nothing';
    if (!LOOKABLE.includes(type) || found === 'none') return [];
    return [[device, found === 'failed' ? { known: false, why: 'the kernel has no driver for it.' } : known({ found })]];
  });

const probesOf = (spec: HostSpec): [string, Known<Probe>][] =>
  spec.drives.flatMap((drive): [string, Known<Probe>][] => {
    const instead = spec.probes?.[drive.name];
    if (instead === 'none') return [];
    return [[drive.name, instead === 'failed' ? { known: false, why: 'blkid: I/O error' } : known(probeOf(drive))]];
  });

/** What every source says of such a host. */
export const evidenceOf = (spec: HostSpec): Evidence => {
  const drives = spec.drives.map(deviceOf);
  const kernel = [...drives, ...layersOf(spec)];
  const udev = new Map(spec.drives.flatMap(udevOf));
  for (const name of spec.unfinished ?? []) udev.delete(name);
  const { storages = [], proxmox } = spec;
  return madeEvidence({
    kernel: known(kernel),
    udev: known(udev),
    mounts: known(mountsOf(spec, kernel)),
    swaps: known(spec.swaps ?? []),
    lvm: known(
      (spec.lvm ?? []).map(({ device, group }) => ({
        device,
        group,
        uuid: `pv-${posix.basename(device)}`,
        groupUuid: group === '' ? '' : `vg-${group}`,
        missing: false,
      })),
    ),
    zfs: known((spec.zfs ?? []).map(({ name, devices }) => ({ name, devices, guid: `77${name.length}` }))),
    md: known(spec.md ?? []),
    btrfs: known(spec.btrfs ?? []),
    host: known({
      fstab: [],
      crypttab: [],
      mdUuids: [],
      units: [],
      bootUuids: [],
      efiPartitions: [],
      datastores: [],
      ...spec.host,
    }),
    proxmox: known({
      node: 'pve1',
      storages: storages.map(({ type = 'dir', id = 'store', ...keys }) => ({ type, id, keys })),
      guests: guestsOf(spec),
      pci: [],
      usb: [],
      directories: [],
      ...proxmox,
    }),
    probes: new Map(probesOf(spec)),
    looks: new Map(looksOf(spec)),
    asleep: new Set(spec.asleep ?? []),
    notAnswering: new Set(spec.notAnswering ?? []),
  });
};

export const contextOf = (facts: Partial<InventoryContext> = {}): InventoryContext => ({
  records: [],
  assignments: [],
  protect: [],
  loopDrives: [],
  mountRoot: '/mnt/felhom',
  blank: new Map(),
  ...facts,
});

export interface Seen {
  inventory: Inventory;
  drive(name: string): Drive;
  role(name: string): string;
  /** All its reasons, one a line. */
  why(name: string): string;
}

export const seen = (evidence: Evidence, context: Partial<InventoryContext> = {}): Seen => {
  const inventory = inventoryOf(evidence, contextOf(context));
  const drive = (name: string): Drive => {
    const found = inventory.drives.find((one) => one.name === name);
    if (found === undefined) throw new Error(`${name} is not listed`);
    return found;
  };
  return {
    inventory,
    drive,
    role: (name) => drive(name).role,
    why: (name) =>
      drive(name)
        .reasons.map(({ role, sentence, lasting }) => `${role}${lasting ? '!' : ''}: ${sentence}`)
        .join('\n'),
  };
};

export const look = (spec: HostSpec, context: Partial<InventoryContext> = {}): Seen => seen(evidenceOf(spec), context);

/** The system's drive, as Proxmox's installer makes it, and one that nobody has anything on. */
export const ROOT: DriveSpec = {
  name: 'sda',
  parts: [{}, { on: [{ type: 'vfat', uuid: 'ABCD-0001' }] }, { on: [{ type: 'LVM2_member' }] }],
};
export const ROOT_HOST = {
  layers: [{ name: 'dm-0', dm: { name: 'pve-root', uuid: 'LVM-x' }, slaves: ['sda3'] }],
  mounts: [{ point: '/', from: 'dm-0' }],
  lvm: [{ device: '/dev/sda3', group: 'pve' }],
} satisfies Partial<HostSpec>;

/** With the system's drive beside. */
export const host = (spec: HostSpec): HostSpec => ({
  ...spec,
  drives: [ROOT, ...spec.drives],
  layers: [...ROOT_HOST.layers, ...(spec.layers ?? [])],
  mounts: [...ROOT_HOST.mounts, ...(spec.mounts ?? [])],
  lvm: [...ROOT_HOST.lvm, ...(spec.lvm ?? [])],
});
