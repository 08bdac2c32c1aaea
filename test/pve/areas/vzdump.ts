/** `POST /nodes/{node}/vzdump` and what else answers under that name (PVE/API2/VZDump.pm). */

import { died, parameterError, permissionError } from '../api/errors.ts';
import { archiveConfig } from '../archive-config.ts';
import { type Area, type Call, flag, optional, owner, param } from '../sim.ts';
import { activated, maySeeVolume } from '../storage-access.ts';

const ROOT_ONLY = ['tmpdir', 'dumpdir', 'script', 'job-id'];
const NEED_SYS_MODIFY = ['bwlimit', 'performance', 'ionice'];

/** The rules that backup jobs share. */
export const checkBackupParameters = (call: Call): void => {
  const { who, params } = call;
  if (who.isRoot) return;
  for (const name of ROOT_ONLY)
    if (params[name] !== undefined) throw parameterError({ [name]: 'Only root may set this option.' });
  const storage = optional(call, 'storage');
  if (params['prune-backups'] !== undefined) who.demand(`/storage/${storage ?? 'local'}`, 'Datastore.Allocate');
  if (NEED_SYS_MODIFY.some((name) => params[name] !== undefined)) who.demand('/', 'Sys.Modify');
  const fleecing = /storage=([^,]+)/.exec(param(call, 'fleecing'))?.[1];
  if (fleecing !== undefined) who.demand(`/storage/${fleecing}`, 'Datastore.AllocateSpace');
};

/** Exactly one way to choose guests. */
export const checkSelection = (call: Call): void => {
  const { params } = call;
  if (params.vmid !== undefined && flag(call, 'all')) throw parameterError({ all: "option conflicts with option 'vmid'" });
  if (params.vmid !== undefined && params.pool !== undefined)
    throw parameterError({ pool: "option conflicts with option 'vmid'" });
  if (params.vmid === undefined && params.pool === undefined && !flag(call, 'all'))
    throw parameterError({ vmid: 'property is missing' });
  if (params.exclude !== undefined && params.vmid !== undefined)
    throw parameterError({ exclude: "option conflicts with option 'vmid'" });
};

const start = (call: Call): string => {
  const { who, world } = call;
  checkBackupParameters(call);
  if (flag(call, 'stop')) {
    who.demand(`/nodes/${world.node}`, 'Sys.Modify');
    if (call.params.vmid === undefined && !flag(call, 'all')) return 'OK';
  }
  checkSelection(call);
  const pool = optional(call, 'pool');
  if (pool !== undefined && !world.pools.has(pool)) throw permissionError(`pool '${pool}' does not exist`);
  const storage = optional(call, 'storage') ?? 'local';
  who.demand(`/storage/${storage}`, 'Datastore.AllocateSpace');
  return call.sim.vzdump.start(call.params, { ...owner(call), may: (path, privilege) => who.may(path, privilege) });
};

const defaults = (call: Call): Record<string, unknown> => {
  const storage = optional(call, 'storage');
  const id = storage ?? 'local';
  call.who.demand(`/storage/${id}`, ['Datastore.Audit', 'Datastore.AllocateSpace'], 'any');
  const retention = call.world.storages.get(id)?.config['prune-backups'] ?? 'keep-all=1';
  return {
    all: 0,
    bwlimit: 0,
    compress: '0',
    'exclude-path': [],
    fleecing: { enabled: 0 },
    ionice: 7,
    lockwait: 180,
    mailnotification: 'always',
    mode: 'snapshot',
    'notification-mode': 'auto',
    pigz: 0,
    'prune-backups': retention,
    quiet: 0,
    remove: 1,
    'repeat-missed': 0,
    stdexcludes: 1,
    stop: 0,
    stopwait: 10,
    tmpdir: null,
    zstd: 1,
    ...(storage === undefined ? {} : { storage }),
  };
};

const extractConfig = async (call: Call): Promise<string> => {
  const volume = param(call, 'volume');
  const [id = ''] = volume.split(':');
  const storage = await activated(call, id);
  const archive = storage.archives.find((a) => a.volid === volume);
  if (!archive) throw died(`volume '${volume}' does not exist`);
  if (!maySeeVolume(call, storage, { content: 'backup', vmid: archive.vmid })) {
    call.who.demand(`/storage/${id}`, 'Datastore.AllocateSpace');
    call.who.demand(`/vms/${archive.vmid}`, 'VM.Backup');
  }
  return archiveConfig(call.world, archive);
};

export const vzdump: Area = {
  'POST /nodes/{node}/vzdump': start,
  'GET /nodes/{node}/vzdump/defaults': defaults,
  'GET /nodes/{node}/vzdump/extractconfig': extractConfig,
};
