/** Storages: activation, volume paths, and who may see a volume (pve-storage, Storage.pm). */

import { died } from './api/errors.ts';
import type { Call, Sim } from './sim.ts';
import type { Storage } from './world.ts';

/** A directory storage that should be a mount point and is not, or any other that cannot be reached. */
export const activationError = (storage: Storage): string => {
  const { path, is_mountpoint: mountPoint } = storage.config;
  const where = mountPoint === undefined || ['0', 'no'].includes(String(mountPoint)) ? undefined : path;
  return where === undefined
    ? `unable to activate storage '${storage.storage}' - directory '${path ?? ''}' does not exist or is unreachable`
    : `unable to activate storage '${storage.storage}' - directory is expected to be a mount point but is not mounted: '${where}'`;
};

export const isEnabled = (storage: Storage): boolean => Number(storage.config.disable ?? 0) !== 1;

export const hasContent = (storage: Storage, type: string): boolean =>
  String(storage.config.content ?? '')
    .split(',')
    .includes(type);

/** Blocks for ever on a dead server, as the real call does in the kernel. */
export const touch = async (sim: Sim, storage: Storage): Promise<void> => {
  if (storage.hung) await sim.hang();
};

export const existing = (call: Call, id: string): Storage => {
  const storage = call.world.storages.get(id);
  if (!storage) throw died(`storage '${id}' does not exist`);
  return storage;
};

/** The storage, enabled and reachable. */
export const activated = async (call: Call, id: string): Promise<Storage> => {
  const storage = existing(call, id);
  if (!isEnabled(storage)) throw died(`storage '${id}' is disabled`);
  await touch(call.sim, storage);
  if (!storage.active) throw died(activationError(storage));
  return storage;
};

const FOLDERS: Record<string, string> = { backup: 'dump', iso: 'template/iso', vztmpl: 'template/cache', snippets: 'snippets' };

/** `bak:backup/NAME` → `<path>/dump/NAME`; disk images lie below `images/`. */
export const volumePath = (storage: Storage, volid: string): string => {
  const name = volid.slice(storage.storage.length + 1);
  const [, kind = '', file = ''] = /^(backup|iso|vztmpl|snippets)\/(.+)$/.exec(name) ?? [];
  const base = String(storage.config.path ?? `/dev/${storage.config.vgname ?? storage.storage}`);
  if (kind !== '') return `${base}/${FOLDERS[kind]}/${file}`;
  return storage.config.path === undefined ? `${base}/${name}` : `${base}/images/${name}`;
};

interface Seen {
  content: string;
  vmid?: number;
}

/** Backups: Datastore.Allocate, or AllocateSpace with VM.Backup on the owner. */
export const maySeeVolume = (call: Call, storage: Storage, volume: Seen): boolean => {
  const path = `/storage/${storage.storage}`;
  const { who } = call;
  if (who.may(path, 'Datastore.Allocate')) return true;
  if (volume.content === 'backup')
    return who.may(path, 'Datastore.AllocateSpace') && volume.vmid !== undefined && who.may(`/vms/${volume.vmid}`, 'VM.Backup');
  if (volume.content === 'images' || volume.content === 'rootdir')
    return who.may(path, 'Datastore.Audit') && volume.vmid !== undefined && who.may(`/vms/${volume.vmid}`, 'VM.Config.Disk');
  return volume.content !== 'snippets' && who.may(path, ['Datastore.Audit', 'Datastore.AllocateSpace'], 'any');
};
