/** Guests as an exchange finds them: configuration, whether they run, snapshots. */

import { guestRow } from '../guest-status.ts';
import type { ConfigValue, Guest, World } from '../world.ts';
import type { Scene } from './assume.ts';
import { bodyOf, callerOf, dataOf, isObject, type JsonObject, pathOf, rowsOf, succeeded } from './exchange.ts';
import { at, knownLog, outcome } from './knowledge.ts';

type Type = Guest['type'];

const NOT_CONFIG = ['digest', 'type'];

const configOf = (row: JsonObject): Record<string, ConfigValue> =>
  Object.fromEntries(Object.entries(row).filter(([key]) => !NOT_CONFIG.includes(key))) as Record<string, ConfigValue>;

const MIB = 1024 ** 2;

export const ensureGuest = ({ pve, index, knowledge }: Scene, vmid: number, type: Type): Guest => {
  const there = pve.world.guests.get(vmid);
  if (there?.type === type) return there;
  const known = at(knowledge.configs.get(vmid), index);
  const plain: Record<string, ConfigValue> =
    type === 'lxc'
      ? { hostname: `ct${vmid}`, memory: 256, swap: 512, cores: 1, rootfs: `local:${vmid}/subvol-${vmid}-disk-0.subvol,size=0T` }
      : { name: `vm${vmid}`, memory: '512', cores: 1, scsi0: `local:${vmid}/vm-${vmid}-disk-0.qcow2,size=1G` };
  const guest: Guest = {
    vmid,
    type,
    config: known && known.type === type ? configOf(known) : plain,
    snapshots: {},
    status: 'stopped',
    paused: false,
    guestAgentRuns: false,
    directories: {},
  };
  pve.world.guests.set(vmid, guest);
  return guest;
};

const orDelete = (config: Record<string, ConfigValue>, key: string, value: unknown): void => {
  if (value === undefined || value === null) delete config[key];
  else config[key] = value as ConfigValue;
};

const setSize = (config: Record<string, ConfigValue>, key: string, bytes: number): void => {
  const [volid = ''] = String(config[key] ?? 'local:disk').split(',');
  config[key] = `${volid},size=${bytes % 1024 ** 3 === 0 ? `${bytes / 1024 ** 3}G` : `${bytes / MIB}M`}`;
};

/** A guest's row names its pool. */
const setPool = (world: World, vmid: number, pool: unknown): void => {
  for (const [name, members] of world.pools) if (name !== pool) members.vms.delete(vmid);
  if (typeof pool !== 'string') return;
  const there = world.pools.get(pool) ?? { vms: new Set<number>(), storages: new Set<string>() };
  there.vms.add(vmid);
  world.pools.set(pool, there);
};

/** Only what the row says otherwise than the guest does now. */
const fromRow = (scene: Scene, row: JsonObject, type: Type): void => {
  const { world } = scene.pve;
  const guest = ensureGuest(scene, Number(row.vmid), type);
  const now = Date.parse(scene.exchange.response.headers?.Date ?? '') / 1000;
  if (row.status === 'running' || row.status === 'stopped') {
    guest.status = row.status;
    guest.paused = row.qmpstatus === 'paused';
    if (row.status === 'running') {
      if (typeof row.pid === 'number') guest.pid = row.pid;
      guest.startedAt = now - Number(row.uptime ?? 0);
    } else delete guest.startedAt;
  }
  if (row.id !== undefined && scene.exchange.request.path.includes('/cluster/resources')) setPool(world, guest.vmid, row.pool);
  orDelete(guest.config, 'tags', row.tags);
  if (row.status === 'unknown') return;
  orDelete(guest.config, 'lock', row.lock);
  orDelete(guest.config, 'template', row.template === 1 ? 1 : undefined);
  if (typeof row.name === 'string') guest.config[type === 'lxc' ? 'hostname' : 'name'] = row.name;
  if (type === 'qemu' && row.agent === 1) guest.config.agent ??= '1';
  matchLimits(world, guest, row, now);
};

const matchLimits = (world: World, guest: Guest, row: JsonObject, now: number): void => {
  const mine = guestRow(world, guest, now);
  const memory = Number(row.maxmem) / MIB;
  if (typeof row.maxmem === 'number' && mine.maxmem !== row.maxmem)
    guest.config.memory = guest.type === 'lxc' ? memory : String(memory);
  const cpus = row.cpus ?? row.maxcpu;
  if (typeof cpus === 'number' && mine.cpus !== cpus) guest.config.cores = cpus;
  if (typeof row.maxswap === 'number' && mine.maxswap !== row.maxswap) guest.config.swap = row.maxswap / MIB;
  if (typeof row.maxdisk !== 'number' || mine.maxdisk === row.maxdisk) return;
  // A running container in a directory shows the file system's size.
  if (guest.type === 'lxc' && guest.status === 'running') {
    const [id = ''] = String(guest.config.rootfs ?? '').split(':');
    const storage = world.storages.get(id);
    if (storage) storage.total = row.maxdisk;
  } else setSize(guest.config, guest.type === 'lxc' ? 'rootfs' : 'scsi0', row.maxdisk);
};

const seesAll = (scene: Scene): boolean =>
  /^(?:admin@pve(?:!full)?|root@pam(?:!ci)?|auditor@pve(?:!audit)?)$/.test(callerOf(scene.exchange) ?? '');

const fromList = (scene: Scene, rows: JsonObject[], type: Type): void => {
  const { world } = scene.pve;
  if (seesAll(scene))
    for (const guest of [...world.guests.values()])
      if (guest.type === type && !rows.some((row) => row.vmid === guest.vmid)) world.guests.delete(guest.vmid);
  for (const row of rows) fromRow(scene, row, type);
};

const fromSnapshots = (guest: Guest, rows: JsonObject[]): void => {
  const before = guest.snapshots;
  guest.snapshots = {};
  for (const row of rows) {
    const name = String(row.name);
    if (name === 'current') orDelete(guest.config, 'parent', row.parent);
    else
      guest.snapshots[name] = {
        config: before[name]?.config ?? { ...guest.config },
        snaptime: Number(row.snaptime),
        description: String(row.description ?? ''),
        ...(typeof row.parent === 'string' ? { parent: row.parent } : {}),
      };
  }
};

const fromSnapshotConfig = (guest: Guest, name: string, data: JsonObject): void => {
  const { snaptime, parent, description = '', ...config } = data;
  guest.snapshots[name] = {
    config: configOf(config),
    snaptime: Number(snaptime),
    description: String(description),
    ...(typeof parent === 'string' ? { parent } : {}),
  };
};

const readGuest = (scene: Scene, type: Type, vmid: number, what: string[]): void => {
  const data = dataOf(scene.exchange);
  const guest = ensureGuest(scene, vmid, type);
  if (what[0] === 'config' && isObject(data)) guest.config = configOf(data);
  if (what[0] === 'pending')
    guest.config = configOf(Object.fromEntries(rowsOf(scene.exchange).map((row) => [String(row.key), row.value ?? ''])));
  if (what[0] === 'status' && isObject(data)) fromRow(scene, { ...data, vmid }, type);
  if (what[0] === 'snapshot' && what.length === 1) fromSnapshots(guest, rowsOf(scene.exchange));
  if (what[0] === 'snapshot' && what[2] === 'config' && isObject(data)) fromSnapshotConfig(guest, what[1] ?? '', data);
};

/** A snapshot that was made, was not there before; one that was removed, was; its disks can be seen in the log. */
const beforeSnapshot = (guest: Guest, what: string[], method: string, ended: string, log: string[]): void => {
  for (const line of log) {
    const [, drive, volid = ''] = /^snapshotting 'drive-(\w+)' \(([^)]+)\)/.exec(line) ?? [];
    if (drive !== undefined && !String(guest.config[drive] ?? '').startsWith(volid)) guest.config[drive] = `${volid},size=1G`;
  }
  const [, used] = /^snapshot name '([^']+)' already used/.exec(ended) ?? [];
  const needed = method === 'POST' && what.length === 1 ? used : ended === 'OK' ? what[1] : undefined;
  if (needed !== undefined) guest.snapshots[needed] ??= { config: { ...guest.config }, snaptime: 0, description: '' };
};

/** A write that worked: what it makes was not there, what it changes was. */
const beforeWrite = (scene: Scene, type: Type, vmid: string | undefined, what: string[]): void => {
  const { world } = scene.pve;
  if (vmid === undefined) {
    world.guests.delete(Number(bodyOf(scene.exchange).vmid));
    return;
  }
  const upid = dataOf(scene.exchange);
  const known = typeof upid === 'string' ? scene.knowledge.tasks.get(upid) : undefined;
  const ended = outcome(known) ?? '';
  if (
    scene.knowledge.configs.has(Number(vmid)) ||
    (known && ended !== '' && !/\.conf' does not exist/.test(ended)) ||
    typeof upid !== 'string'
  )
    ensureGuest(scene, Number(vmid), type);
  const guest = world.guests.get(Number(vmid));
  if (what[0] === 'snapshot' && guest) beforeSnapshot(guest, what, scene.exchange.request.method, ended, knownLog(known) ?? []);
  if (what[0] !== 'status' || !guest) return;
  if (what[1] === 'suspend' || (type === 'lxc' && ['stop', 'shutdown', 'reboot'].includes(what[1] ?? '')))
    guest.status = 'running';
  if (!/is locked/.test(ended)) delete guest.config.lock;
  const [, bridge] = /^bridge '([^']+)' does not exist/.exec(ended) ?? [];
  if (bridge !== undefined)
    guest.config.net0 ??= type === 'lxc' ? `name=eth0,bridge=${bridge}` : `virtio=BC:24:11:00:00:01,bridge=${bridge}`;
  guest.ignoresShutdown = what[1] === 'shutdown' && /got timeout/.test(ended);
  if (/already running/.test(ended)) guest.status = 'running';
  if (/is locked \(backup\)/.test(ended)) guest.config.lock = 'backup';
};

export const assumeGuests = (scene: Scene): void => {
  const { exchange } = scene;
  const [first, second, type, vmid, ...what] = pathOf(exchange);
  if (!succeeded(exchange)) return;
  if (first === 'cluster' && second === 'resources') {
    const type_ = new URLSearchParams(exchange.request.path.split('?')[1]).get('type');
    if (type_ === null || type_ === 'vm')
      for (const kind of ['lxc', 'qemu'] as const)
        fromList(
          scene,
          rowsOf(exchange).filter((row) => row.type === kind),
          kind,
        );
    return;
  }
  if (first === 'pools')
    for (const row of isObject(dataOf(exchange)) ? ((dataOf(exchange) as JsonObject).members as JsonObject[]) : [])
      if (row.type === 'lxc' || row.type === 'qemu') fromRow(scene, row, row.type);
  if (first !== 'nodes' || (type !== 'lxc' && type !== 'qemu')) return;
  if (exchange.request.method !== 'GET') beforeWrite(scene, type, vmid, what);
  else if (vmid === undefined) fromList(scene, rowsOf(exchange), type);
  else readGuest(scene, type, Number(vmid), what);
};
