/** One whole block device as sysfs has it. Nothing of the device is opened: what is read here the kernel has in memory. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { each, line, surelyEntries, surelyLine } from './sysfs-read.ts';

export interface BlockDevice {
  /** `sda`, `nvme0n1`, `dm-3`. */
  name: string;
  /** `8:0`. */
  numbers: string;
  /** What the kernel believes of the medium; null where it does not say. */
  rotational: boolean | null;
  usb: boolean;
  /** Devices that this one is made of: names of drives, partitions or other layers. */
  slaves: string[];
  partitions: { name: string; numbers: string }[];
  /** Device mapper only. */
  dm: { name: string; uuid: string } | null;
}

export interface KernelPartition {
  name: string;
  numbers: string;
  sizeBytes: number | null;
  startBytes: number | null;
  /** Device mapper, md, loop … devices on top of it. */
  holders: string[];
}

/** A whole block device (never a partition) with all that the kernel tells of it without touching it. */
export interface KernelDevice extends BlockDevice {
  partitions: KernelPartition[];
  sizeBytes: number | null;
  /** Counts up at each plugging in, never repeats until the next boot (sysfs-block). */
  diskseq: number | null;
  removable: boolean;
  readOnly: boolean;
  /** Its real place: `/sys/devices/pci0000:00/0000:00:14.0/usb2/2-1/…`. */
  path: string;
  /**
   * `sata`, `sas`, `nvme`, `usb`, `mmc`, `virtio`, `loop`; `network` where another machine holds the drive (iSCSI, Fibre Channel, NVMe over
   * fabrics); empty where nobody says.
   */
  transport: string;
  /** As the kernel has them; empty where it does not say. */
  model: string;
  serial: string;
  /** `0x5000c500a1b2c3d4` as udev writes it, `eui.…`, `nvme.…`, `uuid.…`. */
  wwn: string;
  /** Of the USB device it hangs on. `port` as Proxmox writes it: `2-1.4`. */
  usbDevice: { vendor: string; product: string; serial: string; port: string } | null;
  /** `0000:01:00.0` of every PCI device above it, the nearest last. */
  pciAddresses: string[];
  holders: string[];
  /** Loop devices only: the file behind. */
  backingFile: string | null;
  /** md arrays only. */
  md: { level: string; uuid: string; members: string[] } | null;
  /** Sectors of 512 bytes written since it was plugged in, and read; null where the kernel does not count. */
  sectorsWritten: number | null;
  sectorsRead: number | null;
  /** The kernel's runtime power management put it to sleep. */
  suspended: boolean;
  logicalSectorBytes: number;
}

/** sysfs counts in these, whatever the device's own sectors are (Documentation/ABI/stable/sysfs-block). */
const SECTOR_BYTES = 512;

const count = (text: string): number | null => (/^\s*\d+\s*$/.test(text) ? Number(text) : null);
const bytes = (sectors: string): number | null => {
  const counted = count(sectors);
  return counted === null ? null : counted * SECTOR_BYTES;
};

const partition = async (device: string, { name, numbers }: { name: string; numbers: string }): Promise<KernelPartition> => {
  const [size, start, holders] = await Promise.all([
    surelyLine(device, name, 'size'),
    surelyLine(device, name, 'start'),
    surelyEntries(join(device, name, 'holders')),
  ]);
  return { name, numbers, sizeBytes: bytes(size), startBytes: bytes(start), holders };
};

/** PCI devices that a path in sysfs leads through, the nearest last. */
const pciIn = (path: string): string[] =>
  path.split('/').filter((part) => /^[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$/.test(part));

/** An NVMe drive that could be reached by several controllers stands below its subsystem, which links to them (drivers/nvme/host/multipath.c). */
const controllersOf = async (resolve: (path: string) => Promise<string>, path: string): Promise<string[]> => {
  const [subsystem] = /^.*\/nvme-subsystem\/[^/]+/.exec(path) ?? [];
  if (subsystem === undefined) return [];
  const names = (await surelyEntries(subsystem)).filter((name) => /^nvme\d+$/.test(name));
  return each(names, (name) => resolve(join(subsystem, name)));
};

const NETWORK = /\/session\d+\/|\/rport-\d+|\/nvme-fabrics\//;

/** By the path alone; the first that fits: a SATA drive behind a USB bridge is a USB drive. */
const TRANSPORTS: readonly [RegExp, string][] = [
  [/\/usb\d+\//, 'usb'],
  [NETWORK, 'network'],
  [/\/mmc_host\//, 'mmc'],
  [/\/nvme\d*\/|\/nvme-subsystem\//, 'nvme'],
  [/\/end_device-|\/sas_/, 'sas'],
  [/\/ata\d+\//, 'sata'],
  [/\/virtio\d+\//, 'virtio'],
  [/\/virtual\/block\/loop\d+$/, 'loop'],
];
const transportOf = (paths: readonly string[]): string =>
  TRANSPORTS.find(([pattern]) => paths.some((path) => pattern.test(path)))?.[1] ?? '';

/** The USB device that a path leads through: `2-1.4`, never a root hub (`usb2`) or an interface (`2-1.4:1.0`). */
const usbDevice = async (path: string): Promise<KernelDevice['usbDevice']> => {
  const [found, port] = /^.*\/(\d+-\d+(?:\.\d+)*)(?=\/)/.exec(path) ?? [];
  if (found === undefined || port === undefined || !/\/usb\d+\//.test(path)) return null;
  const [vendor, product, serial] = await Promise.all([
    surelyLine(found, 'idVendor'),
    surelyLine(found, 'idProduct'),
    line(found, 'serial'),
  ]);
  return { vendor, product, serial, port };
};

/** SCSI's page of the unit's serial number: four bytes of header, of which the last two tell the length (SPC-4, 7.8.15). */
const pageSerial = async (device: string): Promise<string> => {
  const page = await readFile(join(device, 'device', 'vpd_pg80')).catch(() => Buffer.alloc(0));
  if (page.length < 4 || page[1] !== 0x80) return '';
  return page.toString('latin1', 4, 4 + page.readUInt16BE(2)).trim();
};

/** SCSI writes `naa.5000c500a1b2c3d4` where udev has `0x5000c500a1b2c3d4`; `t10.…` only repeats model and serial. */
const wwnFrom = (wwid: string): string => {
  if (wwid.startsWith('t10.')) return '';
  return wwid.startsWith('naa.') ? `0x${wwid.slice('naa.'.length)}` : wwid;
};

/** Of a drive itself; what a USB bridge says of itself comes last. */
const names = async (device: string, usb: KernelDevice['usbDevice']) => {
  const [model, card, own, page, hardware, wwid, namespace] = await Promise.all([
    line(device, 'device', 'model'),
    line(device, 'device', 'name'),
    line(device, 'serial'),
    pageSerial(device),
    line(device, 'device', 'serial'),
    line(device, 'device', 'wwid'),
    line(device, 'wwid'),
  ]);
  return {
    model: model || card,
    serial: page || hardware || own || (usb?.serial ?? ''),
    wwn: wwnFrom(namespace || wwid),
  };
};

const mdOf = async (device: string): Promise<KernelDevice['md']> => {
  const inside = await surelyEntries(join(device, 'md'));
  if (inside.length === 0) return null;
  const [level, uuid] = await Promise.all([line(device, 'md', 'level'), line(device, 'md', 'uuid')]);
  const members = inside.filter((name) => name.startsWith('dev-')).map((name) => name.slice('dev-'.length));
  return { level, uuid, members };
};

/** Sectors read and written: the third and the seventh figure (Documentation/block/stat.rst). They stand still where nobody counts. */
const traffic = async (device: string) => {
  if ((await line(device, 'queue', 'iostats')) === '0') return { sectorsRead: null, sectorsWritten: null };
  const figures = (await line(device, 'stat')).split(/\s+/);
  return { sectorsRead: count(figures[2] ?? ''), sectorsWritten: count(figures[6] ?? '') };
};

const suspended = async (device: string): Promise<boolean> =>
  /^suspend/.test(await line(device, 'device', 'power', 'runtime_status'));

/** Where it is plugged in. `sys`: where this /sys really is; `resolve` follows links. */
const place = async (sys: string, resolve: (path: string) => Promise<string>, device: string) => {
  const real = await resolve(device);
  const controllers = await controllersOf(resolve, real);
  const usb = await usbDevice(real);
  return {
    usb,
    path: real.startsWith(`${sys}/`) ? join('/sys', real.slice(sys.length)) : real,
    pciAddresses: [...new Set([...controllers, real].flatMap(pciIn))],
    transport: transportOf([real, ...controllers]),
  };
};

/** @param basic the same device as `blockDevice` reads it @param block `/sys/block` @param sys the real path of `/sys` */
export const kernelDevice = async (
  basic: BlockDevice,
  { block, sys, resolve }: { block: string; sys: string; resolve: (path: string) => Promise<string> },
): Promise<KernelDevice> => {
  const device = join(block, basic.name);
  const where = await place(sys, resolve, device);
  const [identity, partitions, holders, md, moved, asleep, size, diskseq, ro, removable, backing, sector] = await Promise.all([
    names(device, where.usb),
    Promise.all(basic.partitions.map((one) => partition(device, one))),
    surelyEntries(join(device, 'holders')),
    mdOf(device),
    traffic(device),
    suspended(device),
    surelyLine(device, 'size'),
    surelyLine(device, 'diskseq'),
    surelyLine(device, 'ro'),
    surelyLine(device, 'removable'),
    surelyLine(device, 'loop', 'backing_file'),
    line(device, 'queue', 'logical_block_size'),
  ]);
  return {
    ...basic,
    ...identity,
    ...moved,
    partitions,
    holders,
    md,
    suspended: asleep,
    sizeBytes: bytes(size),
    diskseq: count(diskseq),
    readOnly: ro === '1',
    removable: removable === '1',
    backingFile: backing === '' ? null : backing,
    logicalSectorBytes: count(sector) ?? SECTOR_BYTES,
    path: where.path,
    transport: where.transport,
    usbDevice: where.usb,
    pciAddresses: where.pciAddresses,
  };
};
