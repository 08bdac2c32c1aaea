/** Making guests: new containers and VMs, and containers from backups. */

import { randomBytes, randomUUID } from 'node:crypto';
import { died } from '../api/errors.ts';
import { typedValue } from '../api/typed.ts';
import { type Area, type Call, flag, optional, owner, param } from '../sim.ts';
import { activated, volumePath } from '../storage-access.ts';
import type { TaskHandle } from '../tasks.ts';
import type { ConfigValue, Guest, Storage, World } from '../world.ts';

type Type = Guest['type'];
type Config = Record<string, ConfigValue>;

const NOT_CONFIG = [
  'vmid',
  'node',
  'ostemplate',
  'password',
  'ssh-public-keys',
  'restore',
  'storage',
  'start',
  'force',
  'pool',
  'bwlimit',
  'unique',
  'archive',
  'ignore-unpack-errors',
  'live-restore',
  'template',
];

const given = (call: Call, type: Type): Config =>
  Object.fromEntries(
    Object.entries(call.params)
      .filter(([key]) => !NOT_CONFIG.includes(key))
      .map(([key, value]) => [key, typedValue('POST', `/nodes/{node}/${type}`, key, value)]),
  );

const macAddress = (): string =>
  `BC:24:11:${[...randomBytes(3)].map((b) => b.toString(16).toUpperCase().padStart(2, '0')).join(':')}`;

/** Fills in what a network device was not given. */
const network = (type: Type, text: string): string => {
  if (type === 'qemu') return text.replace(/^(virtio|e1000e?|rtl8139|vmxnet3)(?=,|$)/, (model) => `${model}=${macAddress()}`);
  const parts = text.split(',');
  if (!parts.some((part) => part.startsWith('hwaddr='))) parts.push(`hwaddr=${macAddress()}`);
  if (!parts.some((part) => part.startsWith('type='))) parts.push('type=veth');
  const order = ['name', 'bridge', 'firewall', 'gw', 'hwaddr', 'ip', 'ip6'];
  const rank = (part: string) => order.indexOf(part.split('=')[0] ?? '') + 1 || 50;
  return parts.sort((a, b) => rank(a) - rank(b)).join(',');
};

const DISK = { lxc: /^(?:rootfs|mp\d+)$/, qemu: /^(?:scsi|virtio|sata|ide)\d+$/ };

const GIB = 1024 ** 3;

interface Made {
  key: string;
  volid: string;
  size: number;
  format: string;
  storage: Storage;
  value: string;
}

/** `local:8` becomes a new volume of 8 GiB; containers of size 0 in a directory are subvolumes. */
const allocate = (world: World, vmid: number, type: Type, key: string, text: string, index: number): Made | undefined => {
  const [, id = '', gib = ''] = /^([\w.-]+):(\d+(?:\.\d+)?)(?=,|$)/.exec(text) ?? [];
  const storage = world.storages.get(id);
  if (gib === '') return undefined;
  if (!storage) throw died(`storage '${id}' does not exist`);
  const options = text.split(',').slice(1);
  const inFiles = storage.config.path !== undefined;
  const asked = options.find((option) => option.startsWith('format='))?.slice(7);
  const subvolume = type === 'lxc' && (Number(gib) === 0 || storage.type === 'zfspool');
  const format = subvolume ? 'subvol' : (asked ?? 'raw');
  const name = subvolume ? `subvol-${vmid}-disk-${index}` : `vm-${vmid}-disk-${index}`;
  const volid = inFiles ? `${id}:${vmid}/${name}.${format}` : `${id}:${name}`;
  const rest = options.filter((option) => !option.startsWith('format='));
  const size = Number(gib) === 0 ? '0T' : `${gib}G`;
  return { key, volid, size: Number(gib) * GIB, format, storage, value: [volid, ...rest, `size=${size}`].join(',') };
};

const allocateAll = (call: Call, vmid: number, type: Type, config: Config): Made[] => {
  const made: Made[] = [];
  for (const key of Object.keys(config).filter((k) => DISK[type].test(k))) {
    const volume = allocate(call.world, vmid, type, key, String(config[key]), made.length);
    if (!volume) continue;
    config[key] = volume.value;
    made.push(volume);
    volume.storage.volumes.push({
      volid: volume.volid,
      content: type === 'lxc' ? 'rootdir' : 'images',
      format: volume.format,
      size: volume.size,
      ctime: Math.floor(call.sim.clock() / 1000),
      vmid,
      parent: null,
      used: 0,
    });
  }
  return made;
};

const formatting = (made: Made): string => {
  const path = volumePath(made.storage, made.volid);
  if (made.format === 'qcow2')
    return `Formatting '${path}', fmt=qcow2 cluster_size=65536 extended_l2=off preallocation=metadata compression_type=zlib size=${made.size} lazy_refcounts=off refcount_bits=16`;
  return `Formatting '${path}', fmt=raw size=${made.size} preallocation=off`;
};

const devices = (type: Type, config: Config): void => {
  for (const key of Object.keys(config)) if (/^net\d+$/.test(key)) config[key] = network(type, String(config[key]));
  if (config.description !== undefined) config.description = `${String(config.description).replace(/\n$/, '')}\n`;
};

const put = (call: Call, vmid: number, type: Type, config: Config): void => {
  call.world.guests.set(vmid, {
    vmid,
    type,
    config,
    snapshots: {},
    status: 'stopped',
    paused: false,
    guestAgentRuns: false,
    directories: {},
  });
  const pool = optional(call, 'pool');
  if (pool !== undefined) call.world.pools.get(pool)?.vms.add(vmid);
  call.sim.saved();
};

const demandNew = (call: Call, type: Type, vmid: number): void => {
  const there = call.world.guests.get(vmid);
  if (!there || (flag(call, 'force') && there.type === type)) return;
  const what = (t: Type) => (t === 'lxc' ? 'CT' : 'VM');
  throw died(
    `unable to ${flag(call, 'restore') ? 'restore' : 'create'} ${what(type)} ${vmid} - ${what(there.type)} ${vmid} already exists on node '${call.world.node}'`,
  );
};

/** New guests need rights on their id, or on the pool they go into. */
const demandCreate = (call: Call, vmid: number): void => {
  const pool = optional(call, 'pool');
  if (pool !== undefined && call.who.may(`/pool/${pool}`, 'VM.Allocate')) return;
  call.who.demand(`/vms/${vmid}`, 'VM.Allocate');
};

/** Unpacking is what takes a real server its time. */
const UNPACK_MS = 150;

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

const unpacked = (bytes: number): string => `Total bytes read: ${bytes} (${(bytes / 1024 ** 2).toFixed(1)}MiB, 180MiB/s)`;

const OSTYPES = ['alpine', 'archlinux', 'centos', 'debian', 'devuan', 'fedora', 'gentoo', 'nixos', 'opensuse', 'ubuntu'];

const newContainer = async (call: Call, vmid: number, task: TaskHandle): Promise<void> => {
  const template = param(call, 'ostemplate');
  const storage = await activated(call, template.split(':')[0] ?? '');
  const config: Config = { arch: 'amd64', memory: 512, swap: 512, ...given(call, 'lxc') };
  if (Number(config.unprivileged ?? 0) === 0) delete config.unprivileged;
  config.hostname ??= `CT${vmid}`;
  config.ostype ??= OSTYPES.find((name) => template.includes(name)) ?? 'unmanaged';
  for (const made of allocateAll(call, vmid, 'lxc', config)) if (made.format === 'raw') task.log(formatting(made));
  devices('lxc', config);
  task.log(`extracting archive '${volumePath(storage, template)}'`);
  await pause(UNPACK_MS);
  task.log(unpacked(5_007_360));
  task.log('Detected container architecture: amd64');
  put(call, vmid, 'lxc', config);
};

const restoredContainer = async (call: Call, vmid: number, task: TaskHandle): Promise<void> => {
  const volid = param(call, 'ostemplate');
  const storage = await activated(call, volid.split(':')[0] ?? '');
  const archive = storage.archives.find((a) => a.volid === volid);
  if (!archive) throw died(`volume '${volid}' does not exist`);
  task.log(`recovering backed-up configuration from '${volid}'`);
  const original = call.world.guests.get(archive.vmid)?.config ?? {};
  const config: Config = { arch: 'amd64', memory: 512, swap: 512, ...original, ...given(call, 'lxc') };
  const target = optional(call, 'storage') ?? 'local';
  if (call.params.rootfs === undefined) config.rootfs = `${target}:0`;
  delete config.lock;
  delete config.parent;
  allocateAll(call, vmid, 'lxc', config);
  task.log(`restoring '${volid}' now..`);
  task.log(`extracting archive '${archive.path ?? volumePath(storage, volid)}'`);
  await pause(UNPACK_MS);
  task.log(unpacked(archive.size));
  task.log('merging backed-up and given configuration..');
  devices('lxc', config);
  put(call, vmid, 'lxc', config);
};

const createContainer = (call: Call): string => {
  const vmid = Number(param(call, 'vmid'));
  const restore = flag(call, 'restore');
  demandCreate(call, vmid);
  demandNew(call, 'lxc', vmid);
  const type = restore ? 'vzrestore' : 'vzcreate';
  return call.sim.tasks.fork({ type, id: String(vmid), ...owner(call) }, (task) =>
    (restore ? restoredContainer : newContainer)(call, vmid, task),
  );
};

const bootOrder = (config: Config): string => {
  const keys = Object.keys(config);
  const disk = keys.filter((key) => DISK.qemu.test(key)).sort();
  const net = keys.filter((key) => /^net\d+$/.test(key)).sort();
  return `order=${[disk[0], net[0]].filter((key) => key !== undefined).join(';')}`;
};

const createVm = (call: Call): string => {
  const vmid = Number(param(call, 'vmid'));
  demandCreate(call, vmid);
  demandNew(call, 'qemu', vmid);
  return call.sim.tasks.fork({ type: 'qmcreate', id: String(vmid), ...owner(call) }, async (task) => {
    const config = given(call, 'qemu');
    for (const made of allocateAll(call, vmid, 'qemu', config)) {
      task.log(formatting(made));
      task.log(`${made.key}: successfully created disk '${made.value}'`);
    }
    devices('qemu', config);
    config.boot ??= bootOrder(config);
    config.smbios1 ??= `uuid=${randomUUID()}`;
    config.vmgenid ??= randomUUID();
    config.meta = `creation-qemu=10.1.2,ctime=${Math.floor(call.sim.clock() / 1000)}`;
    put(call, vmid, 'qemu', config);
  });
};

export const guestCreate: Area = {
  'POST /nodes/{node}/lxc': createContainer,
  'POST /nodes/{node}/qemu': createVm,
};
