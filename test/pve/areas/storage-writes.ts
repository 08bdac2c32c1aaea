/** Changing the cluster's storages, and uploads. */

import { died, parameterError } from '../api/errors.ts';
import { splitList } from '../api/formats.ts';
import { typedValue } from '../api/typed.ts';
import { type Area, type Call, owner, param } from '../sim.ts';
import { activationError, existing, hasContent } from '../storage-access.ts';
import type { ConfigValue, Storage } from '../world.ts';

const NOT_CONFIG = ['storage', 'type', 'digest', 'delete', 'nodes-all'];

const configFrom = (call: Call, method: string, template: string): Record<string, ConfigValue> =>
  Object.fromEntries(
    Object.entries(call.params)
      .filter(([key]) => !NOT_CONFIG.includes(key))
      .map(([key, value]) => [key, typedValue(method, template, key, value)]),
  );

const GIB = 1024 ** 3;

/** A directory that should be a mount point is one when the test says so. */
const isMounted = (call: Call, config: Record<string, ConfigValue>): boolean => {
  const wanted = config.is_mountpoint;
  if (wanted === undefined || ['0', 'no'].includes(String(wanted))) return true;
  return call.world.host?.mounts?.includes(String(config.path)) === true;
};

const create = (call: Call): { storage: string; type: string } => {
  const id = param(call, 'storage');
  const type = param(call, 'type');
  if (call.world.storages.has(id)) throw died(`create storage failed: storage ID '${id}' already defined`);
  const config: Record<string, ConfigValue> = { content: 'images,rootdir', ...configFrom(call, 'POST', '/storage') };
  const [like] = call.world.storages.values();
  const active = isMounted(call, config);
  const storage: Storage = {
    storage: id,
    type,
    config,
    active,
    hung: false,
    total: like?.total ?? 100 * GIB,
    used: like?.used ?? 0,
    avail: like?.avail ?? 100 * GIB,
    archives: [],
    volumes: [],
    snapshots: ['lvmthin', 'zfspool', 'btrfs', 'rbd'].includes(type),
  };
  if (!active && config.disable !== 1) throw died(`create storage failed: ${activationError(storage)}`);
  call.world.storages.set(id, storage);
  call.sim.saved();
  return { storage: id, type };
};

const update = (call: Call): { storage: string; type: string } => {
  const id = param(call, 'storage');
  const storage = call.world.storages.get(id);
  if (!storage) throw died(`update storage failed: storage '${id}' does not exist`);
  Object.assign(storage.config, configFrom(call, 'PUT', '/storage/{storage}'));
  for (const key of splitList(param(call, 'delete'))) delete storage.config[key];
  call.sim.saved();
  return { storage: id, type: storage.type };
};

const remove = (call: Call): null => {
  const id = param(call, 'storage');
  if (!call.world.storages.delete(id)) throw died(`delete storage failed: storage '${id}' does not exist`);
  call.sim.saved();
  return null;
};

const EXTENSIONS: Record<string, RegExp> = {
  iso: /\.(?:iso|img)$/i,
  vztmpl: /\.tar\.(?:gz|xz|zst|bz2)$/i,
  import: /\.(?:ova|qcow2|raw|vmdk)$/i,
};

const upload = (call: Call): string => {
  const storage = existing(call, param(call, 'storage'));
  const content = param(call, 'content');
  const filename = (param(call, 'filename').split(/[/\\]/).pop() ?? '').replace(/[^-a-zA-Z0-9_.]/g, '_');
  if (!EXTENSIONS[content]?.test(filename)) throw parameterError({ filename: 'wrong file extension' });
  if (!hasContent(storage, content)) throw died(`storage '${storage.storage}' does not support '${content}' content`);
  const volid = `${storage.storage}:${content}/${filename}`;
  const size = call.uploadBytes ?? 0;
  return call.sim.tasks.fork({ type: 'imgcopy', id: '', ...owner(call) }, async (task) => {
    task.log(`starting file import from: /var/tmp/pveupload-${Date.now().toString(16)}`);
    task.log(`target file: ${String(storage.config.path ?? '')}/template/${content === 'iso' ? 'iso' : 'cache'}/${filename}`);
    storage.volumes = storage.volumes.filter((v) => v.volid !== volid);
    const kind = content === 'iso' ? 'iso' : 'vztmpl';
    const format = kind === 'iso' ? 'iso' : `t${filename.split('.').pop() ?? 'gz'}`;
    storage.volumes.push({ volid, content: kind, format, size, ctime: call.now });
    task.log(`finished file import successfully`);
  });
};

export const storageWrites: Area = {
  'POST /storage': create,
  'PUT /storage/{storage}': update,
  'DELETE /storage/{storage}': remove,
  'POST /nodes/{node}/storage/{storage}/upload': upload,
};
