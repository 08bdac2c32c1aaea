/** Resource pools and their members. */

import { died } from '../api/errors.ts';
import { splitList } from '../api/formats.ts';
import { guestResource } from '../guest-status.ts';
import { type Area, type Call, flag, optional, param } from '../sim.ts';
import type { World } from '../world.ts';
import { storageResource } from './storage.ts';

type Pool = NonNullable<ReturnType<World['pools']['get']>>;

const existing = (call: Call, failing = ''): Pool => {
  const id = param(call, 'poolid');
  const pool = call.world.pools.get(id);
  if (!pool) throw died(`${failing}pool '${id}' does not exist`);
  return pool;
};

const comment = (pool: Pool): Record<string, string> => (pool.comment === undefined ? {} : { comment: pool.comment });

const members = (call: Call, pool: Pool): Record<string, unknown>[] => {
  const type = optional(call, 'type');
  const guests = [...pool.vms]
    .flatMap((vmid) => call.world.guests.get(vmid) ?? [])
    .map((g) => guestResource(call.world, g, call.now));
  const storages = [...pool.storages].flatMap((id) => call.world.storages.get(id) ?? []).map((s) => storageResource(call, s));
  return [...guests.map(({ pool: _own, ...row }) => row), ...storages].filter((row) => type === undefined || row.type === type);
};

const list = (call: Call): unknown[] => {
  const one = optional(call, 'poolid');
  if (one !== undefined) {
    const pool = existing(call);
    call.who.demand(`/pool/${one}`, 'Pool.Audit');
    return [{ poolid: one, ...comment(pool), members: members(call, pool) }];
  }
  return [...call.world.pools]
    .filter(([id]) => call.who.may(`/pool/${id}`, 'Pool.Audit'))
    .map(([poolid, pool]) => ({ poolid, ...comment(pool) }));
};

const read = (call: Call) => {
  const pool = existing(call);
  return { ...comment(pool), members: members(call, pool), poolid: param(call, 'poolid') };
};

const create = (call: Call): null => {
  const id = param(call, 'poolid');
  if (call.world.pools.has(id)) throw died(`create pool failed: pool '${id}' already exists`);
  const text = optional(call, 'comment');
  call.world.pools.set(id, { vms: new Set(), storages: new Set(), ...(text === undefined ? {} : { comment: text }) });
  return null;
};

const FAILED = 'update pools failed: ';

const changeGuests = (call: Call, pool: Pool): void => {
  for (const vmid of splitList(param(call, 'vms')).map(Number)) {
    call.who.demand(`/vms/${vmid}`, 'VM.Allocate');
    if (flag(call, 'delete')) {
      if (!pool.vms.delete(vmid)) throw died(`${FAILED}VM ${vmid} is not a pool member`);
      continue;
    }
    if (pool.vms.has(vmid)) throw died(`${FAILED}VM ${vmid} is already a pool member`);
    const [other, before] = [...call.world.pools].find(([, p]) => p.vms.has(vmid)) ?? [];
    if (before && !flag(call, 'allow-move'))
      throw died(`${FAILED}VM ${vmid} belongs already to pool '${other}' and 'allow-move' is not set`);
    before?.vms.delete(vmid);
    pool.vms.add(vmid);
  }
};

const changeStorages = (call: Call, pool: Pool): void => {
  for (const id of splitList(param(call, 'storage'))) {
    call.who.demand(`/storage/${id}`, 'Datastore.Allocate');
    if (flag(call, 'delete')) {
      if (!pool.storages.delete(id)) throw died(`${FAILED}Storage '${id}' is not a pool member`);
    } else if (pool.storages.has(id)) throw died(`${FAILED}Storage '${id}' is already a pool member`);
    else pool.storages.add(id);
  }
};

const update = (call: Call): null => {
  const pool = existing(call, FAILED);
  const text = optional(call, 'comment');
  if (text !== undefined) pool.comment = text;
  changeGuests(call, pool);
  changeStorages(call, pool);
  return null;
};

const remove = (call: Call): null => {
  const id = param(call, 'poolid');
  const pool = existing(call, 'delete pool failed: ');
  const [vmid] = [...pool.vms].filter((guest) => call.world.guests.has(guest)).sort((a, b) => a - b);
  const [storage] = pool.storages;
  if (vmid !== undefined) throw died(`delete pool failed: pool '${id}' is not empty (contains VM ${vmid})`);
  if (storage !== undefined) throw died(`delete pool failed: pool '${id}' is not empty (contains storage '${storage}')`);
  call.world.pools.delete(id);
  return null;
};

export const pools: Area = {
  'GET /pools': list,
  'POST /pools': create,
  'PUT /pools': update,
  'DELETE /pools': remove,
  'GET /pools/{poolid}': read,
  'PUT /pools/{poolid}': update,
  'DELETE /pools/{poolid}': remove,
};
