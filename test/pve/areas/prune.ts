/** Retention of a storage: the dry run and the run. */

import { parameterError } from '../api/errors.ts';
import { removeArchiveFiles } from '../archive-files.ts';
import { type Area, type Call, integer, optional, owner, param } from '../sim.ts';
import { activated, existing } from '../storage-access.ts';
import { parseRetention, toPrune } from '../vzdump/prune.ts';
import type { Archive, Storage } from '../world.ts';

type Mark = 'keep' | 'remove' | 'protected' | 'renamed';

const standardName = (a: Archive): boolean => /\/vzdump-(?:lxc|qemu)-\d+-\d{4}_\d\d_\d\d-\d\d_\d\d_\d\d\./.test(a.volid);

const chosen = (call: Call, storage: Storage): Archive[] => {
  const vmid = integer(call, 'vmid');
  const type = optional(call, 'type');
  return storage.archives.filter((a) => (vmid === undefined || a.vmid === vmid) && (type === undefined || a.subtype === type));
};

/** Each archive with what would happen to it; retention counts within one guest and type. */
const marked = (call: Call, storage: Storage): { archive: Archive; mark: Mark }[] => {
  const text = optional(call, 'prune-backups') ?? storage.config['prune-backups'];
  const retention = parseRetention(text);
  if (retention === undefined && optional(call, 'prune-backups') === undefined)
    throw parameterError({ 'prune-backups': 'no prune-backups options configured' });
  const all = chosen(call, storage);
  const groups = new Map<string, Archive[]>();
  for (const a of all.filter(standardName))
    groups.set(`${a.subtype}/${a.vmid}`, [...(groups.get(`${a.subtype}/${a.vmid}`) ?? []), a]);
  const gone = new Set([...groups.values()].flatMap((group) => toPrune(group, retention ?? { 'keep-all': 1 })));
  return all
    .map((archive) => {
      const mark: Mark = archive.protected
        ? 'protected'
        : standardName(archive)
          ? gone.has(archive)
            ? 'remove'
            : 'keep'
          : 'renamed';
      return { archive, mark };
    })
    .sort((a, b) => a.archive.vmid - b.archive.vmid || a.archive.ctime - b.archive.ctime);
};

const preview = async (call: Call) => {
  const storage = await activated(call, param(call, 'storage'));
  return marked(call, storage).map(({ archive, mark }) => ({
    volid: archive.volid,
    ctime: archive.ctime,
    mark,
    type: archive.subtype,
    vmid: archive.vmid,
  }));
};

/** With a guest's id AllocateSpace and VM.Backup are enough. */
const demandPrune = (call: Call, id: string): void => {
  const path = `/storage/${id}`;
  const vmid = optional(call, 'vmid');
  if (call.who.may(path, 'Datastore.Allocate')) return;
  if (vmid === undefined) call.who.demand(path, 'Datastore.Allocate');
  call.who.demand(path, 'Datastore.AllocateSpace');
  call.who.demand(`/vms/${vmid}`, 'VM.Backup');
};

const run = (call: Call): string => {
  const id = param(call, 'storage');
  demandPrune(call, id);
  const storage = existing(call, id);
  const vmid = optional(call, 'vmid');
  const spec = { type: 'prunebackups', id: vmid === undefined ? id : `${vmid}@${id}`, ...owner(call) };
  return call.sim.tasks.fork(spec, async (task) => {
    await activated(call, id);
    for (const { archive, mark } of marked(call, storage)) {
      if (mark !== 'remove') continue;
      task.log(`removing backup '${archive.volid}'`);
      removeArchiveFiles(archive);
      storage.archives = storage.archives.filter((a) => a !== archive);
    }
  });
};

export const prune: Area = {
  'GET /nodes/{node}/storage/{storage}/prunebackups': preview,
  'DELETE /nodes/{node}/storage/{storage}/prunebackups': run,
};
