/** Which drives guests have, running or not, by any route that their configurations know. Pure. */
import { decodeOctal } from '#shared/mountinfo';
import { type ConfigSection, sectionsOf } from '../../guests/config-text.ts';
import type { KernelDevice } from '../../ports/sysfs.ts';
import type { Atlas } from './atlas.ts';
import type { GuestConfigFile, Mapping } from './evidence.ts';
import { createFindings, type Findings, type FindingsBuilder } from './found.ts';
import type { Heard } from './heard.ts';
import { plain } from './plain.ts';

/** Drives of one description. `wide`: more than one thing fits it, so that it says nothing lasting of any of them. */
interface Match {
  drives: readonly string[];
  wide: boolean;
}

interface World {
  heard: Heard;
  atlas: Atlas;
  mountRoot: string;
}

const NONE: Match = { drives: [], wide: false };
const exact = (drives: Iterable<string>): Match => ({ drives: [...drives], wide: false });
const every = ({ atlas }: World, fits: (drive: KernelDevice) => boolean = () => true): Match => ({
  drives: atlas.drives.filter(fits).map(({ name }) => name),
  wide: true,
});

const onUsb = ({ usb, usbDevice }: KernelDevice): boolean => usb || usbDevice !== null;
/** Drives with a node of SCSI's generic driver beside their own. */
const onScsi = ({ name }: KernelDevice): boolean => /^sd/.test(name);

// ---- Device files.

/** Device files that are a way to more than one drive, and to which. */
const GATES: readonly [RegExp, (drive: KernelDevice) => boolean][] = [
  [/^\/dev\/?$|^\/dev\/(disk|block|mapper)(\/by-[a-z]+)?\/?$/, () => true],
  [/^\/dev\/bus(\/usb.*)?\/?$/, onUsb],
  [/^\/dev\/(sg\d*|bsg(\/.*)?)$/, onScsi],
  [/^\/dev\/vfio(\/.*)?$/, () => true],
  [/[*?[]/, () => true],
];

/** `/dev/nvme0`: the controller; all its name spaces. */
const ofController = ({ atlas }: World, path: string): string[] => {
  const [, controller] = /^\/dev\/(?:ng\d+n\d+|(nvme\d+))$/.exec(path.replace(/^\/dev\/ng(\d+)n\d+$/, '/dev/nvme$1')) ?? [];
  return controller === undefined
    ? []
    : atlas.drives.filter(({ name }) => name.startsWith(`${controller}n`)).map(({ name }) => name);
};

const ofDevicePath = (world: World, path: string): Match => {
  const tidy = path.replace(/\/{2,}/g, '/');
  const gate = GATES.find(([pattern]) => pattern.test(tidy));
  if (gate !== undefined) return every(world, gate[1]);
  return exact([...world.atlas.drivesBehind(world.atlas.named(tidy)), ...ofController(world, tidy)]);
};

/** Everything in a value that could be a device file, whatever is around it. */
const devicePathsIn = (value: string): string[] =>
  value.includes('/dev') ? (value.match(/(?<![\w.-])\/dev(?![\w.-])[^\s,;='"]*/g) ?? []).map(decodeOctal) : [];

const joined = (matches: readonly Match[]): Match => ({
  drives: [...new Set(matches.flatMap(({ drives }) => drives))],
  wide: matches.some(({ wide, drives }) => wide && drives.length > 0),
});

// ---- PCI and USB.

const PCI = /^(?:([0-9a-f]{4,8}):)?([0-9a-f]{2}):([0-9a-f]{2})(?:\.([0-7]))?$/i;

/** As sysfs has it, with the function or up to the dot before it; null where it is no address. */
const pciPrefix = (address: string): string | null => {
  const [, domain = '0000', bus, slot, fn] = PCI.exec(address.trim()) ?? [];
  return bus === undefined ? null : `${domain}:${bus}:${slot}.${fn ?? ''}`.toLowerCase();
};

/** Every drive below one of these: a controller's, and what hangs on its ports. */
const ofPci = (world: World, addresses: readonly string[]): Match => {
  const prefixes = addresses.map(pciPrefix);
  if (prefixes.length === 0 || prefixes.includes(null)) return every(world);
  const below = ({ pciAddresses }: KernelDevice): boolean =>
    pciAddresses.some((one) => prefixes.some((prefix) => one.toLowerCase().startsWith(prefix ?? '')));
  return exact(world.atlas.drives.filter(below).map(({ name }) => name));
};

const hexId = (text: string): string => text.toLowerCase().replace(/^0x/, '').padStart(4, '0');

/** `1-2.3`, `0x1234:0x5678`; `spice` is a viewer's channel. A drive whose USB device is not known may be any of them. */
const ofUsb = (world: World, host: string): Match => {
  if (/^spice$/i.test(host)) return NONE;
  const [, vendor, product] = /^(?:0x)?([0-9a-f]{1,4}):(?:0x)?([0-9a-f]{1,4})$/i.exec(host) ?? [];
  const isPort = /^\d+-\d+(\.\d+)*$/.test(host);
  if (!isPort && vendor === undefined) return every(world, onUsb);
  const fits = ({ usbDevice }: KernelDevice): boolean =>
    usbDevice === null ||
    (isPort
      ? usbDevice.port === host || usbDevice.port.startsWith(`${host}.`)
      : hexId(usbDevice.vendor) === hexId(vendor ?? '') && hexId(usbDevice.product) === hexId(product ?? ''));
  return exact(world.atlas.drives.filter((drive) => onUsb(drive) && fits(drive)).map(({ name }) => name));
};

/** A mapping's entries for this node; one that names no node might be for it. */
const entriesHere = ({ heard }: World, mappings: readonly Mapping[], id: string): Mapping['entries'] =>
  mappings
    .filter((mapping) => mapping.id === id)
    .flatMap(({ entries }) => entries)
    .filter(({ node }) => node === undefined || node === heard.proxmox.node);

const ofPciMapping = (world: World, id: string): Match =>
  joined(entriesHere(world, world.heard.proxmox.pci, id).map(({ path = '' }) => ofPci(world, path.split(';'))));

const ofUsbMapping = (world: World, id: string): Match =>
  joined(entriesHere(world, world.heard.proxmox.usb, id).map(({ path, id: numbers = '' }) => ofUsb(world, path ?? numbers)));

/** A property string: the bare part is its default key's. */
const property = (value: string, key: string, bare = false): string | undefined => {
  const parts = value.split(',').map((part) => part.trim());
  const named = parts.find((part) => part.startsWith(`${key}=`));
  if (named !== undefined) return named.slice(key.length + 1);
  return bare ? parts.find((part) => part !== '' && !part.includes('=')) : undefined;
};

const passedPci = (world: World, value: string): Match => {
  const mapping = property(value, 'mapping');
  return mapping === undefined ? ofPci(world, (property(value, 'host', true) ?? '').split(';')) : ofPciMapping(world, mapping);
};

const passedUsb = (world: World, value: string): Match => {
  const mapping = property(value, 'mapping');
  return mapping === undefined ? ofUsb(world, property(value, 'host', true) ?? '') : ofUsbMapping(world, mapping);
};

// ---- Disks.

const IMAGE = /\.(raw|img|qcow2?|qed|vmdk|vhdx?|vdi|iso|cloop)$/i;

/** A machine's disk by path: a device file is found by its name; another file lies on some mount; anything else may be a link to a drive. */
const disk = (world: World, value: string): Match => {
  const file = property(value, 'file') ?? property(value, 'volume') ?? property(value, 'file', true) ?? '';
  if (!file.startsWith('/') || file.startsWith('/dev/')) return NONE;
  if (!IMAGE.test(file)) return every(world);
  return file.startsWith(`${world.mountRoot}/`) ? NONE : exact(world.atlas.drivesBehind(world.atlas.onPath(file)));
};

// ---- LXC's own lines.

/** `lxc.mount.entry`: fstab's form. A directory that is bound is no drive. */
const mountEntry = (world: World, value: string): Match => {
  const what = decodeOctal(value.trim().split(/\s+/)[0] ?? '');
  if (what === '/') return every(world);
  return /^[A-Z]+=/.test(what) ? exact(world.atlas.drivesBehind(world.atlas.named(what))) : NONE;
};

/** Character devices that are a way to drives, by number (Documentation/admin-guide/devices.txt): SCSI generic, USB. */
const CHARACTER: Readonly<Record<string, (drive: KernelDevice) => boolean>> = { '21': onScsi, '189': onUsb };

/** `b 8:16 rwm`, `c 189:* rwm`, `a`. With `m` alone nodes may be made, not opened. */
const allowedDevice = (world: World, value: string): Match => {
  const [type = '', numbers = '*:*', access = 'rwm'] = value.trim().split(/\s+/);
  const [, major, minor] = /^(\d+|\*):(\d+|\*)$/.exec(numbers) ?? [];
  if (/^m+$/.test(access)) return NONE;
  if (type === 'a' || major === undefined || minor === undefined) return every(world);
  if (type === 'c') {
    const fits = CHARACTER[major];
    return major === '*' ? every(world) : fits === undefined ? NONE : every(world, fits);
  }
  if (type !== 'b' || major === '*') return every(world);
  return minor === '*'
    ? { drives: [...world.atlas.drivesBehind(allOfMajor(world, major))], wide: true }
    : exact(world.atlas.drivesBehind(world.atlas.numbered(`${major}:${minor}`)));
};

const allOfMajor = ({ heard }: World, major: string): string[] =>
  heard.kernel
    .flatMap(({ name, numbers, partitions }) => [{ name, numbers }, ...partitions])
    .filter(({ numbers }) => numbers.startsWith(`${major}:`))
    .map(({ name }) => name);

/** What Debian's and Proxmox's LXC bring along gives no drives; another file may give anything. */
const included = (world: World, value: string): Match => (value.startsWith('/usr/share/lxc/config/') ? NONE : every(world));

// ---- `args`: QEMU's own options.

const times = (text: string, pattern: RegExp): number => text.match(pattern)?.length ?? 0;

const argsPci = (world: World, args: string): Match => {
  const wanted = times(args, /vfio-pci/g) + times(args, /nvme:\/\//g);
  if (wanted === 0) return NONE;
  const addresses = args.match(/(?<![\w:])(?:[0-9a-f]{4,8}:)?[0-9a-f]{2}:[0-9a-f]{2}\.[0-7](?![\w:])/gi) ?? [];
  return addresses.length < wanted ? every(world) : ofPci(world, addresses);
};

/** Options of one `-device usb-host,…`: by port, by numbers, or by an address that changes with every plugging in. */
const usbHost = (world: World, options: string): Match => {
  const bus = property(options, 'hostbus');
  const port = property(options, 'hostport');
  const vendor = property(options, 'vendorid');
  const product = property(options, 'productid');
  if (bus !== undefined && port !== undefined) return ofUsb(world, `${bus}-${port}`);
  return ofUsb(world, vendor !== undefined && product !== undefined ? `${vendor}:${product}` : '');
};

const args = (world: World, value: string): Match => {
  if (/-readconfig\b/.test(value)) return every(world);
  const usb = value.match(/usb-host[^\s]*/g) ?? [];
  const legacy = /-usbdevice\s+(?!tablet|mouse|keyboard)/.test(value) ? [''] : [];
  return joined([argsPci(world, value), ...[...usb, ...legacy].map((options) => usbHost(world, options))]);
};

// ---- All of them.

/** What a setting gives beside the device files that it names. */
const ROUTES: readonly [RegExp, (world: World, value: string) => Match][] = [
  [/^hostpci\d+$/, passedPci],
  [/^usb\d+$/, passedUsb],
  [/^(ide|sata|scsi|virtio|efidisk|tpmstate|unused)\d+$/, disk],
  [/^args$/, args],
  [/^lxc\.mount\.entry$/, mountEntry],
  [/^lxc\.cgroup2?\.devices\.allow$/, allowedDevice],
  [/^lxc\.(include|mount|mount\.fstab)$/, included],
];

/** Notes, names and what takes devices away name no device that a guest gets. */
const HARMLESS = /^(description|name|hostname|tags|lxc\.cgroup2?\.devices\.deny)$/;

const givenBy = (world: World, key: string, value: string): Match => {
  if (HARMLESS.test(key)) return NONE;
  const routes = ROUTES.filter(([pattern]) => pattern.test(key)).map(([, read]) => read(world, value));
  return joined([...routes, ...devicePathsIn(value).map((path) => ofDevicePath(world, path))]);
};

const placed = (section: ConfigSection, key: string): string => (section.name === '' ? key : `${key}, ${section.name}`);

/** Which guest, and by which line of its configuration, is no other guest's affair. */
const GIVEN = 'A guest has it, or may use it.';

const ofSection = (world: World, { vmid }: GuestConfigFile, section: ConfigSection, found: FindingsBuilder): void => {
  for (const [key, value] of section.settings) {
    const { drives, wide } = givenBy(world, key, value);
    const place = plain(placed(section, key), 120);
    const sentence = wide
      ? `Guest ${vmid} may use it: its configuration gives it more than one device, or one that cannot be told (${place}).`
      : `It is given to guest ${vmid} (${place}).`;
    found.because(drives, { role: 'system', sentence, lasting: !wide, origin: 'given', forGuests: GIVEN });
    if (section.name === '' && !wide) found.heldBy(drives, { kind: 'guest', sentence, vmid, pid: null });
  }
  if (section.unreadable.length > 0) {
    const sentence = `Guest ${vmid} may use it: its configuration has lines that cannot be read.`;
    found.because(every(world).drives, { role: 'system', sentence, lasting: false, origin: 'given', forGuests: GIVEN });
  }
};

export const givenIn = (heard: Heard, atlas: Atlas, mountRoot: string): Findings => {
  const found = createFindings();
  const world: World = { heard, atlas, mountRoot };
  for (const guest of heard.proxmox.guests) for (const section of sectionsOf(guest.text)) ofSection(world, guest, section, found);
  return found;
};
