/** Reading guests: lists, configuration, status, pending changes and snapshots, alike for containers and VMs. */

import { died } from '../api/errors.ts';
import { configDigest } from '../config-text.ts';
import { takeEdits } from '../files.ts';
import { guestRow, guestStatus } from '../guest-status.ts';
import { type Area, bit, type Call, flag, integer, optional, param } from '../sim.ts';
import type { Guest, GuestSnapshot } from '../world.ts';

type Type = Guest['type'];

const FOLDER = { lxc: 'lxc', qemu: 'qemu-server' } as const;

export const missingConfig = (call: Call, type: Type, vmid: number | string) =>
  died(`Configuration file 'nodes/${call.world.node}/${FOLDER[type]}/${vmid}.conf' does not exist`);

/** The guest of the path, or Proxmox's 500. */
export const guestOf = (call: Call, type: Type): Guest => {
  const vmid = integer(call, 'vmid') ?? 0;
  const guest = call.world.guests.get(vmid);
  if (guest?.type !== type) throw missingConfig(call, type, vmid);
  takeEdits(call.world, call.sim.files, guest);
  return guest;
};

const list = (type: Type) => (call: Call) =>
  [...call.world.guests.values()]
    .filter((guest) => guest.type === type && call.who.may(`/vms/${guest.vmid}`, 'VM.Audit'))
    .map((guest) => guestRow(call.world, guest, call.now, flag(call, 'full')));

const snapshotOf = (guest: Guest, name: string) => {
  const snapshot = guest.snapshots[name];
  if (!snapshot) throw died(`snapshot '${name}' does not exist`);
  return snapshot;
};

/** The description keeps its closing newline in configurations; raw lines are pairs. */
const shown = ({ config, lxc = [] }: Pick<GuestSnapshot, 'config' | 'lxc'>): Record<string, unknown> => ({
  ...config,
  ...(config.description === undefined ? {} : { description: `${String(config.description).replace(/\n$/, '')}\n` }),
  ...(lxc.length === 0 ? {} : { lxc }),
});

const config = (type: Type) => (call: Call) => {
  const guest = guestOf(call, type);
  const name = optional(call, 'snapshot');
  const source = name === undefined ? guest : snapshotOf(guest, name);
  return { ...shown(source), digest: configDigest(guest) };
};

const pending = (type: Type) => (call: Call) => {
  const guest = guestOf(call, type);
  return Object.entries({ ...shown(guest), digest: configDigest(guest) }).map(([key, value]) => ({ key, value }));
};

const snapshots = (type: Type) => (call: Call) => {
  const guest = guestOf(call, type);
  const parent = guest.config.parent;
  const rows = Object.entries(guest.snapshots).map(([name, s]) => ({
    name,
    description: s.description,
    snaptime: s.snaptime,
    ...(type === 'qemu' ? { vmstate: bit(s.config.vmstate !== undefined) } : {}),
    ...(s.parent === undefined ? {} : { parent: s.parent }),
  }));
  const current = {
    name: 'current',
    description: 'You are here!',
    digest: configDigest(guest),
    running: bit(guest.status === 'running'),
    ...(parent === undefined ? {} : { parent }),
  };
  return [...rows, current];
};

const snapshotConfig = (type: Type) => (call: Call) => {
  const s = snapshotOf(guestOf(call, type), param(call, 'snapname'));
  return {
    ...s.config,
    ...(s.lxc === undefined ? {} : { lxc: s.lxc }),
    snaptime: s.snaptime,
    ...(s.parent === undefined ? {} : { parent: s.parent }),
    ...(s.description === '' ? {} : { description: s.description }),
  };
};

const reads = (type: Type): Area => {
  const at = `/nodes/{node}/${type}`;
  return {
    [`GET ${at}`]: list(type),
    [`GET ${at}/{vmid}/config`]: config(type),
    [`GET ${at}/{vmid}/pending`]: pending(type),
    [`GET ${at}/{vmid}/status/current`]: (call) => guestStatus(call.world, guestOf(call, type), call.now),
    [`GET ${at}/{vmid}/snapshot`]: snapshots(type),
    [`GET ${at}/{vmid}/snapshot/{snapname}/config`]: snapshotConfig(type),
  };
};

export const guestReads: Area = { ...reads('lxc'), ...reads('qemu') };
