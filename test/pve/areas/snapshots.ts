/** Making, going back to, changing and removing snapshots of guests. */

import { died } from '../api/errors.ts';
import { type Area, type Call, flag, optional, owner, param } from '../sim.ts';
import type { Guest, World } from '../world.ts';
import { guestOf } from './guests.ts';
import { demandUnlocked, stopGuest } from './power.ts';

type Type = Guest['type'];

const VOLUME = /^(?:rootfs|mp\d+|(?:scsi|virtio|sata|ide)\d+)$/;

const volumes = (guest: Guest): [string, string][] =>
  Object.entries(guest.config)
    .filter(([key, value]) => VOLUME.test(key) && /^[\w.-]+:/.test(String(value)) && !/media=cdrom/.test(String(value)))
    .map(([key, value]) => [key, String(value).split(',')[0] ?? '']);

/** qcow2 files can anywhere, other volumes where their storage can. */
const canSnapshot = (world: World, volid: string): boolean =>
  volid.endsWith('.qcow2') || world.storages.get(volid.split(':')[0] ?? '')?.snapshots === true;

const WORKERS: Record<Type, Record<string, string>> = {
  qemu: { create: 'qmsnapshot', remove: 'qmdelsnapshot', rollback: 'qmrollback' },
  lxc: { create: 'vzsnapshot', remove: 'vzdelsnapshot', rollback: 'vzrollback' },
};

const fork = (call: Call, type: Type, what: string, work: (guest: Guest, log: (line: string) => void) => void): string =>
  call.sim.tasks.fork({ type: WORKERS[type][what] ?? '', id: param(call, 'vmid'), ...owner(call) }, async (task) => {
    work(guestOf(call, type), task.log);
    call.sim.saved();
  });

const create = (type: Type) => (call: Call) => {
  const name = param(call, 'snapname');
  return fork(call, type, 'create', (guest, log) => {
    demandUnlocked(guest);
    if (guest.snapshots[name]) throw died(`snapshot name '${name}' already used`);
    if (!volumes(guest).every(([, volid]) => canSnapshot(call.world, volid))) throw died('snapshot feature is not available');
    if (type === 'qemu') for (const [key, volid] of volumes(guest)) log(`snapshotting 'drive-${key}' (${volid})`);
    const { parent, ...config } = guest.config;
    guest.snapshots[name] = {
      config: { ...config },
      ...(guest.lxc === undefined ? {} : { lxc: guest.lxc }),
      snaptime: Math.floor(call.sim.clock() / 1000),
      description: optional(call, 'description') ?? '',
      ...(parent === undefined ? {} : { parent: String(parent) }),
    };
    guest.config.parent = name;
  });
};

const existing = (guest: Guest, name: string) => {
  const snapshot = guest.snapshots[name];
  if (!snapshot) throw died(`snapshot '${name}' does not exist`);
  return snapshot;
};

const remove = (type: Type) => (call: Call) => {
  const name = param(call, 'snapname');
  return fork(call, type, 'remove', (guest) => {
    const { parent } = existing(guest, name);
    demandUnlocked(guest);
    delete guest.snapshots[name];
    const adopt = (holder: { parent?: string }): void => {
      if (holder.parent !== name) return;
      if (parent === undefined) delete holder.parent;
      else holder.parent = parent;
    };
    for (const snapshot of Object.values(guest.snapshots)) adopt(snapshot);
    adopt(guest.config as { parent?: string });
  });
};

const rollback = (type: Type) => (call: Call) => {
  const name = param(call, 'snapname');
  return fork(call, type, 'rollback', (guest) => {
    const { config, lxc = [] } = existing(guest, name);
    demandUnlocked(guest);
    stopGuest(guest);
    guest.config = { ...config, parent: name };
    guest.lxc = lxc;
    if (flag(call, 'start')) guest.status = 'running';
  });
};

const describe = (type: Type) => (call: Call) => {
  existing(guestOf(call, type), param(call, 'snapname')).description = optional(call, 'description') ?? '';
  call.sim.saved();
  return null;
};

const writes = (type: Type): Area => {
  const at = `/nodes/{node}/${type}/{vmid}/snapshot`;
  return {
    [`POST ${at}`]: create(type),
    [`DELETE ${at}/{snapname}`]: remove(type),
    [`POST ${at}/{snapname}/rollback`]: rollback(type),
    [`PUT ${at}/{snapname}/config`]: describe(type),
  };
};

export const snapshots: Area = { ...writes('lxc'), ...writes('qemu') };
