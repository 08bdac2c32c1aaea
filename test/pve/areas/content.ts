/** The volumes of a storage: list, one volume, its notes and protection, and deletion. */

import { died, parameterError } from '../api/errors.ts';
import { removeArchiveFiles, saveNotes, saveProtection } from '../archive-files.ts';
import { type Area, type Call, integer, optional, owner, param } from '../sim.ts';
import { activated, existing, hasContent, maySeeVolume, volumePath } from '../storage-access.ts';
import type { Archive, Storage, Volume } from '../world.ts';

const BACKUP = /^(?:vzdump-(lxc|qemu|openvz)-(\d+)-.+\.(?:tgz|(?:(?:tar|vma)(?:\.(?:gz|lzo|zst))?)))$/;

const archiveRow = (a: Archive): Record<string, unknown> => ({
  volid: a.volid,
  content: 'backup',
  format: a.format,
  subtype: a.subtype,
  vmid: a.vmid,
  ctime: a.ctime,
  size: a.size,
  ...(a.notes === '' ? {} : { notes: a.notes.split('\n')[0] }),
  ...(a.protected ? { protected: 1 } : {}),
  ...(a.verification === undefined ? {} : { verification: a.verification }),
});

/** Disk images also tell their parent and what they really use. */
const volumeRow = (v: Volume): Record<string, unknown> => ({
  volid: v.volid,
  content: v.content,
  format: v.format,
  size: v.size,
  ...(v.ctime === undefined ? {} : { ctime: v.ctime }),
  ...(v.vmid === undefined ? {} : { vmid: v.vmid, parent: v.parent ?? null, used: v.used ?? 0 }),
});

const list = async (call: Call) => {
  const storage = await activated(call, param(call, 'storage'));
  const content = optional(call, 'content');
  const vmid = integer(call, 'vmid');
  const rows = [
    ...storage.volumes.map((v) => ({ seen: v, row: volumeRow(v) })),
    ...storage.archives.map((a) => ({ seen: { content: 'backup', vmid: a.vmid }, row: archiveRow(a) })),
  ];
  return rows
    .filter(({ seen }) => (content === undefined || seen.content === content) && (vmid === undefined || seen.vmid === vmid))
    .filter(({ seen }) => content !== undefined || hasContent(storage, seen.content))
    .filter(({ seen }) => maySeeVolume(call, storage, seen))
    .map(({ row }) => row);
};

/** `{volume}` may be a whole volume id, or a name on the storage of the path. */
const volidOf = (call: Call): { volid: string; name: string; storageId: string } => {
  const storageId = param(call, 'storage');
  const volume = param(call, 'volume');
  const volid = volume.includes(':') ? volume : `${storageId}:${volume}`;
  const [named = ''] = volid.split(':');
  if (named !== storageId) throw parameterError({ storage: `storage ID missmatch ('${named}' != '${storageId}')` });
  return { volid, name: volid.slice(named.length + 1), storageId };
};

const findArchive = (storage: Storage, volid: string): Archive | undefined => storage.archives.find((a) => a.volid === volid);

/** The guest a volume belongs to, by its name alone. */
const ownerOf = (name: string): number | undefined => {
  const backup = BACKUP.exec(name.replace(/^backup\//, ''));
  const digits = backup?.[2] ?? /^(\d+)\//.exec(name)?.[1] ?? /(?:vm|subvol|base)-(\d+)-/.exec(name)?.[1];
  return digits === undefined ? undefined : Number(digits);
};

const seenAs = (name: string) => {
  const vmid = ownerOf(name);
  const content = /^(backup|iso|vztmpl|snippets)\//.exec(name)?.[1] ?? 'images';
  return { content, ...(vmid === undefined ? {} : { vmid }) };
};

const demandVolume = (call: Call, storage: Storage, name: string): void => {
  const seen = seenAs(name);
  if (maySeeVolume(call, storage, seen)) return;
  const path = `/storage/${storage.storage}`;
  if (seen.content === 'backup' && seen.vmid !== undefined) {
    call.who.demand(path, 'Datastore.AllocateSpace');
    call.who.demand(`/vms/${seen.vmid}`, 'VM.Backup');
  }
  call.who.demand(path, seen.content === 'backup' ? 'Datastore.Allocate' : 'Datastore.Audit');
};

const BLOCK = 4096;

const attributes = async (call: Call) => {
  const { volid, name, storageId } = volidOf(call);
  demandVolume(call, existing(call, storageId), name);
  const storage = await activated(call, storageId);
  const archive = findArchive(storage, volid);
  const volume = storage.volumes.find((v) => v.volid === volid);
  if (archive)
    return {
      path: archive.path ?? volumePath(storage, volid),
      size: archive.size,
      used: Math.ceil(archive.size / BLOCK) * BLOCK,
      format: 'raw',
      notes: archive.notes,
      protected: archive.protected ? 1 : 0,
    };
  if (!volume) throw died(`volume_size_info on '${volid}' failed - no format`);
  const format = ['iso', 'vztmpl', 'snippets'].includes(volume.content) ? 'raw' : volume.format;
  return { path: volumePath(storage, volid), size: volume.size, used: volume.used ?? volume.size, format };
};

const update = async (call: Call): Promise<null> => {
  const { volid, name, storageId } = volidOf(call);
  demandVolume(call, existing(call, storageId), name);
  const storage = await activated(call, storageId);
  const archive = findArchive(storage, volid);
  const notes = optional(call, 'notes');
  const protect = optional(call, 'protected');
  if (!archive) throw died(`volume '${volid}' does not exist`);
  if (notes !== undefined) saveNotes(archive, notes);
  if (protect !== undefined) saveProtection(archive, protect === '1');
  return null;
};

/** What the worker of a deletion does; a volume that is not there is deleted all the same. */
const removeVolume = (storage: Storage, volid: string): void => {
  const archive = findArchive(storage, volid);
  if (archive?.protected)
    throw died(`cannot remove protected volume '${volid.slice(storage.storage.length + 1)}' on '${storage.storage}'`);
  if (archive) removeArchiveFiles(archive);
  storage.archives = storage.archives.filter((a) => a.volid !== volid);
  storage.volumes = storage.volumes.filter((v) => v.volid !== volid);
};

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

const remove = async (call: Call): Promise<string | null> => {
  const { volid, name, storageId } = volidOf(call);
  demandVolume(call, existing(call, storageId), name);
  const { sim } = call;
  const vmid = ownerOf(name);
  const id = vmid === undefined ? storageId : `${vmid}@${storageId}`;
  const upid = sim.tasks.fork({ type: 'imgdel', id, ...owner(call) }, async (task) => {
    removeVolume(await activated(call, storageId), volid);
    if (name.startsWith('backup/')) return;
    task.log(`Removed volume '${volid}'`);
  });
  const delay = integer(call, 'delay');
  if (delay === undefined) return upid;
  await Promise.race([sim.tasks.ended(upid), pause(delay * 1000)]);
  const task = call.world.tasks.find((t) => t.upid === upid);
  if (task?.exitstatus === undefined) return upid;
  if (task.exitstatus === 'OK') return null;
  throw died(task.exitstatus);
};

const AT = '/nodes/{node}/storage/{storage}/content';

export const content: Area = {
  [`GET ${AT}`]: list,
  [`GET ${AT}/{volume}`]: attributes,
  [`PUT ${AT}/{volume}`]: update,
  [`DELETE ${AT}/{volume}`]: remove,
};
