/** What the lists and `status/current` say of a guest, from its configuration and whether it runs. */

import { parsePropertyString } from './api/property-string.ts';
import { CPUS, cgroupMode } from './host.ts';
import { bit } from './sim.ts';
import type { ConfigValue, Guest, Storage, World } from './world.ts';

const MIB = 1024 ** 2;
const UNITS: Record<string, number> = { '': 1, K: 1024, M: MIB, G: 1024 ** 3, T: 1024 ** 4 };
/** What a container's root of no size counts as. */
const SIZELESS = 4 * 1024 ** 3;

/** `32G` and the like, in bytes. */
export const sizeBytes = (size: string | undefined): number => {
  const [, digits = '0', unit = ''] = /^(\d+(?:\.\d+)?)([KMGT]?)$/.exec(size ?? '') ?? [];
  return Math.round(Number(digits) * (UNITS[unit] ?? 1));
};

export const volumeOf = (value: ConfigValue | undefined): { volid: string; size: number } | undefined => {
  if (value === undefined) return undefined;
  const [volid = '', ...rest] = String(value).split(',');
  return { volid, size: sizeBytes(parsePropertyString(rest.join(',')).size) };
};

/** The guest's name: a container's hostname. */
export const guestName = (guest: Guest): string =>
  String(
    guest.config[guest.type === 'lxc' ? 'hostname' : 'name'] ?? (guest.type === 'lxc' ? `CT${guest.vmid}` : `VM ${guest.vmid}`),
  );

const number = (value: ConfigValue | undefined, otherwise: number): number => (value === undefined ? otherwise : Number(value));

const storageOf = (world: World, volid: string): Storage | undefined => world.storages.get(volid.split(':')[0] ?? '');

const lxcDisk = (world: World, guest: Guest, running: boolean): { disk: number; maxdisk: number } => {
  const root = volumeOf(guest.config.rootfs);
  if (!running || !root) return { disk: 0, maxdisk: root?.size || SIZELESS };
  const storage = root.size === 0 ? storageOf(world, root.volid) : undefined;
  return storage ? { disk: storage.used, maxdisk: storage.total } : { disk: Math.round(root.size / 4), maxdisk: root.size };
};

/** The disk a VM boots from: the first of its boot order, else the first there is. */
const bootDisk = (guest: Guest): number => {
  const order = /order=([^,]*)/.exec(String(guest.config.boot ?? ''))?.[1]?.split(';') ?? [];
  const key = [...order, 'scsi0', 'virtio0', 'sata0', 'ide0'].find(
    (k) => /^(?:scsi|virtio|sata|ide)\d+$/.test(k) && guest.config[k] !== undefined,
  );
  return key === undefined ? 0 : (volumeOf(guest.config[key])?.size ?? 0);
};

const PRESSURES = ['cpusome', 'cpufull', 'iosome', 'iofull', 'memorysome', 'memoryfull'];

const whileRunning = (guest: Guest, pressure: number | null): Record<string, unknown> => ({
  pid: guest.pid ?? 0,
  ...Object.fromEntries(PRESSURES.map((p) => [`pressure${p}`, pressure])),
});

const marks = (guest: Guest): Record<string, unknown> => ({
  ...(guest.config.tags === undefined ? {} : { tags: guest.config.tags }),
  ...(guest.config.lock === undefined ? {} : { lock: guest.config.lock }),
  ...(Number(guest.config.template ?? 0) === 1 ? { template: 1 } : {}),
});

interface Usage {
  cpu: number;
  cpus: number;
  disk: number;
  maxdisk: number;
  mem: number;
  maxmem: number;
  uptime: number;
}

const usage = (world: World, guest: Guest, now: number): Usage => {
  const running = guest.status === 'running';
  const c = guest.config;
  const lxc = guest.type === 'lxc';
  const maxmem = number(c.memory, 512) * MIB;
  const disk = lxc ? lxcDisk(world, guest, running) : { disk: 0, maxdisk: bootDisk(guest) };
  return {
    ...disk,
    cpu: running ? 0.01 + 0.01 * Math.sin((now + guest.vmid) / 300) ** 2 : 0,
    cpus: lxc ? number(c.cores, CPUS) : number(c.sockets, 1) * number(c.cores, 1),
    mem: running ? Math.round(maxmem / 3) : 0,
    maxmem,
    uptime: running ? Math.max(1, now - (guest.startedAt ?? now)) : 0,
  };
};

/** A row of `/nodes/{node}/lxc` or `/qemu`; `qmp` adds what only QEMU itself knows. */
export const guestRow = (world: World, guest: Guest, now: number, qmp = false): Record<string, unknown> => {
  const running = guest.status === 'running';
  const common = {
    vmid: guest.vmid,
    name: guestName(guest),
    status: guest.status,
    netin: 0,
    netout: 0,
    ...usage(world, guest, now),
    ...marks(guest),
  };
  if (guest.type === 'lxc') {
    const pressure = cgroupMode(world) === 1 ? null : 0;
    return {
      ...common,
      type: 'lxc',
      diskread: 0,
      diskwrite: 0,
      swap: 0,
      maxswap: number(guest.config.swap, 0) * MIB,
      ...(running ? whileRunning(guest, pressure) : {}),
    };
  }
  return {
    ...common,
    memhost: running ? common.mem : 0,
    ...(running ? whileRunning(guest, 0) : {}),
    ...(qmp ? { qmpstatus: running ? (guest.paused ? 'paused' : 'running') : 'stopped' } : {}),
  };
};

export const agentEnabled = (guest: Guest): boolean => {
  const { enabled } = parsePropertyString(String(guest.config.agent ?? ''), 'enabled');
  return ['1', 'on', 'yes', 'true'].includes(enabled ?? '0');
};

/** `status/current`. */
export const guestStatus = (world: World, guest: Guest, now: number): Record<string, unknown> => ({
  ...guestRow(world, guest, now, true),
  ha: { managed: 0 },
  ...(guest.type === 'qemu' && guest.status === 'running' ? { clipboard: null } : {}),
  ...(guest.type === 'qemu' && guest.status === 'running' && agentEnabled(guest) ? { agent: 1 } : {}),
});

/** A row of `/cluster/resources`; pvestatd's figures are left out until it has reported. */
export const guestResource = (world: World, guest: Guest, now: number): Record<string, unknown> => {
  const base = { id: `${guest.type}/${guest.vmid}`, type: guest.type, vmid: guest.vmid, node: world.node };
  const pool = [...world.pools].find(([, p]) => p.vms.has(guest.vmid))?.[0];
  const known = { ...base, ...(pool === undefined ? {} : { pool }), ...marks(guest) };
  if (!world.pvestatdReported) {
    const { template: _unknownYet, lock: _unreported, ...rest } = known as Record<string, unknown>;
    return { ...rest, status: 'unknown' };
  }
  const { cpus, ...figures } = usage(world, guest, now);
  const zeros = { diskread: 0, diskwrite: 0, netin: 0, netout: 0, memhost: 0 };
  const template = bit(Number(guest.config.template ?? 0) === 1);
  return { ...known, ...zeros, ...figures, maxcpu: cpus, name: guestName(guest), status: guest.status, template };
};
