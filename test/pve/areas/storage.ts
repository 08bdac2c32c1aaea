/** Storages: the cluster's configuration and the node's view with sizes. */

import { createHash } from 'node:crypto';
import { parameterError } from '../api/errors.ts';
import { splitList } from '../api/formats.ts';
import { storageCfg } from '../files.ts';
import { type Area, bit, type Call, flag, optional, param } from '../sim.ts';
import { existing, isEnabled, touch } from '../storage-access.ts';
import type { Storage, World } from '../world.ts';

const SEE = ['Datastore.Audit', 'Datastore.AllocateSpace'];

/** Of the whole file, as every storage answers it. */
const digest = (world: World): string => createHash('sha1').update(storageCfg(world)).digest('hex');

const configRow = (call: Call, storage: Storage): Record<string, unknown> => ({
  ...storage.config,
  storage: storage.storage,
  type: storage.type,
  digest: digest(call.world),
});

const configList = (call: Call) => {
  const type = optional(call, 'type');
  return [...call.world.storages.values()]
    .filter((s) => (type === undefined || s.type === type) && call.who.may(`/storage/${s.storage}`, SEE, 'any'))
    .map((s) => configRow(call, s));
};

const SHARED_TYPES = ['iscsi', 'nfs', 'cifs', 'rbd', 'cephfs', 'iscsidirect', 'zfs', 'drbd', 'pbs'];

const isShared = (storage: Storage): 0 | 1 =>
  bit(SHARED_TYPES.includes(storage.type) || Number(storage.config.shared ?? 0) === 1);

/** Restricted to other nodes counts as disabled. */
const enabledHere = (call: Call, storage: Storage): boolean => {
  const nodes = splitList(String(storage.config.nodes ?? ''));
  return isEnabled(storage) && (nodes.length === 0 || nodes.includes(call.world.node));
};

/** Only an active storage has sizes. */
const nodeRow = (call: Call, storage: Storage): Record<string, unknown> => {
  const enabled = enabledHere(call, storage);
  const active = enabled && storage.active;
  return {
    type: storage.type,
    content: String(storage.config.content ?? ''),
    enabled: bit(enabled),
    active: bit(active),
    shared: isShared(storage),
    total: active ? storage.total : 0,
    used: active ? storage.used : 0,
    avail: active ? storage.avail : 0,
  };
};

const FORMATS = { default: 'qcow2', supported: ['raw', 'qcow2', 'vmdk', 'subvol'] };

/** Activates every enabled storage first: one dead server holds up the whole list. */
const nodeList = async (call: Call) => {
  const content = splitList(param(call, 'content'));
  const only = optional(call, 'storage');
  const rows: Record<string, unknown>[] = [];
  for (const storage of call.world.storages.values()) {
    if (!call.who.may(`/storage/${storage.storage}`, SEE, 'any')) continue;
    const enabled = enabledHere(call, storage);
    if ((flag(call, 'enabled') || content.length > 0) && !enabled) continue;
    if (only !== undefined && storage.storage !== only) continue;
    if (content.length > 0 && !splitList(String(storage.config.content ?? '')).some((c) => content.includes(c))) continue;
    if (enabled) await touch(call.sim, storage);
    const row = nodeRow(call, storage);
    const fraction = row.active === 1 && storage.total > 0 ? { used_fraction: storage.used / storage.total } : {};
    rows.push({ storage: storage.storage, ...row, ...fraction, ...(flag(call, 'format') ? { formats: FORMATS } : {}) });
  }
  return rows;
};

const nodeStatus = async (call: Call) => {
  const storage = call.world.storages.get(param(call, 'storage'));
  if (!storage) throw parameterError({ storage: 'No such storage.' });
  if (isEnabled(storage)) await touch(call.sim, storage);
  return nodeRow(call, storage);
};

/** A row of `/cluster/resources`; sizes come from pvestatd. */
export const storageResource = (call: Call, storage: Storage): Record<string, unknown> => {
  const { world } = call;
  const reported = world.pvestatdReported;
  return {
    id: `storage/${world.node}/${storage.storage}`,
    type: 'storage',
    storage: storage.storage,
    node: world.node,
    plugintype: storage.type,
    content: String(storage.config.content ?? ''),
    shared: isShared(storage),
    status: reported && storage.active ? 'available' : 'unknown',
    ...(reported && storage.active ? { disk: storage.used, maxdisk: storage.total } : {}),
  };
};

const INDEX = [
  'content',
  'status',
  'rrd',
  'rrddata',
  'upload',
  'download-url',
  'file-restore',
  'import-metadata',
  'prunebackups',
];

export const storage: Area = {
  'GET /storage': configList,
  'GET /storage/{storage}': (call) => configRow(call, existing(call, param(call, 'storage'))),
  'GET /nodes/{node}/storage': nodeList,
  'GET /nodes/{node}/storage/{storage}': () => INDEX.map((subdir) => ({ subdir })),
  'GET /nodes/{node}/storage/{storage}/status': nodeStatus,
};
