/** The Proxmox port over HTTP: paths, parameters, and the quirks of the answers (numbers as text, empty for forbidden). */
import {
  type BackupVolume,
  type GuestResource,
  type GuestType,
  type Proxmox,
  ProxmoxError,
  type Resources,
  type StorageConfig,
  type StorageResource,
  type TaskRow,
  type VzdumpRequest,
} from './proxmox.ts';
import { createTransport, type TransportOptions } from './proxmox-transport.ts';
import { parseUpid } from './upid.ts';

export interface ProxmoxOptions extends TransportOptions {
  /** This node's name. */
  node: string;
}

type Json = Record<string, unknown>;

const TOKEN = /^([^\s:/@!=]+@[^\s:/@!=]+![A-Za-z][A-Za-z0-9._-]*)=([0-9A-Za-z-]+)$/;

/** Listing a sleeping or remote backup storage takes its time; nobody waits for it at the wire. */
const SLOW = { getMs: 35_000, getTotalMs: 80_000 };
const LOG_LINES = 5000;

export const createProxmox = ({ node, ...options }: ProxmoxOptions): Proxmox => {
  const tokenName = TOKEN.exec(options.token)?.[1];
  if (tokenName === undefined) throw new Error('The Proxmox token is not of the form user@realm!name=uuid.');
  const { get, post, close } = createTransport(options);
  const onNode = `/nodes/${encodeURIComponent(node)}`;

  const privileges = async (path: string): Promise<Json> => record(record(await get('/access/permissions', { path }))[path]);

  /** An empty list may mean that nothing may be seen (PVE filters instead of refusing). The value is only the propagate flag. */
  const requireRight = async (call: string, path: string, privilege: string): Promise<void> => {
    if (privilege in (await privileges(path))) return;
    throw new ProxmoxError({
      method: 'GET',
      path: call,
      status: 200,
      message: `Proxmox showed an empty list because the token lacks ${privilege} on ${path}.`,
      effect: 'never',
      rightMissing: true,
    });
  };

  const resources = async (): Promise<Resources> => {
    const rows = list(await get('/cluster/resources'));
    const guests = rows.filter((row) => row.type === 'lxc' || row.type === 'qemu').map(guestOf);
    const storages = rows.filter((row) => row.type === 'storage').map(storageOf);
    if (guests.length === 0) await requireRight('/cluster/resources', '/vms', 'VM.Audit');
    if (storages.length === 0) await requireRight('/cluster/resources', '/storage', 'Datastore.Audit');
    return { guests, storages };
  };

  const storageConfigs = async (): Promise<StorageConfig[]> => {
    const rows = list(await get('/storage'));
    if (rows.length === 0) await requireRight('/storage', '/storage', 'Datastore.Audit');
    return rows.map(storageConfigOf);
  };

  const guestConfig = async (type: GuestType, vmid: number): Promise<Record<string, string>> =>
    texts(record(await get(`${onNode}/${type}/${vmid}/config`)));

  const startVzdump = async ({ vmid, storage, mode, compress, notes }: VzdumpRequest): Promise<string> => {
    const path = `${onNode}/vzdump`;
    const retention = { lockwait: 0, 'prune-backups': 'keep-all=1' };
    const answer = await post(path, { vmid, storage, mode, compress, ...retention, 'notes-template': escapeNotes(notes) });
    if (typeof answer === 'string' && parseUpid(answer)) return answer;
    const absent = answer === 'OK'; // PVE/API2/VZDump.pm: none of the guests is on this node
    const message = absent ? 'guest not on this node' : 'Proxmox answered no task id.';
    throw new ProxmoxError({ method: 'POST', path, status: 200, message, effect: absent ? 'never' : 'unknown' });
  };

  const taskPath = (upid: string) => `${onNode}/tasks/${encodeURIComponent(upid)}`;

  const taskStatus: Proxmox['taskStatus'] = async (upid) => {
    try {
      const { status, exitstatus } = record(await get(`${taskPath(upid)}/status`));
      if (status === 'running') return { upid, running: true };
      return { upid, running: false, exitstatus: text(exitstatus) || 'unexpected status' };
    } catch (error) {
      if (error instanceof ProxmoxError && error.status === 400 && /no such task/.test(error.errors.upid ?? '')) return null;
      throw error;
    }
  };

  const taskLog = async (upid: string, start: number): Promise<string[]> => {
    const rows = list(await get(`${taskPath(upid)}/log`, { start, limit: LOG_LINES }));
    // A missing or empty file is answered by one made-up line with n = 1 (PVE/Tools.pm, dump_logfile).
    const real = rows.filter(({ n, t }) => Number(n) > start && !(rows.length === 1 && isMadeUp(text(t))));
    return real.map(({ t }) => text(t));
  };

  const vzdumpTasks = async (vmid: number, since: number): Promise<TaskRow[]> => {
    const filter = { source: 'all', typefilter: 'vzdump', vmid, since, limit: 500 };
    const upids = list(await get(`${onNode}/tasks`, filter)).map((row) => text(row.upid));
    return upids.flatMap((upid) => {
      const known = parseUpid(upid);
      return known ? [{ upid, type: known.type, id: known.id, user: known.user, starttime: known.starttime }] : [];
    });
  };

  const backupVolumes = async (storage: string, vmid: number): Promise<BackupVolume[]> => {
    const path = `${onNode}/storage/${encodeURIComponent(storage)}/content`;
    const rows = list(await get(path, { content: 'backup', vmid }, SLOW));
    if (rows.length > 0) return rows.map(volumeOf);
    // Archives are shown with Datastore.Allocate, or with AllocateSpace here and VM.Backup on the guest (PVE/Storage.pm).
    if ('Datastore.Allocate' in (await privileges(`/storage/${storage}`))) return [];
    await requireRight(path, `/storage/${storage}`, 'Datastore.AllocateSpace');
    await requireRight(path, `/vms/${vmid}`, 'VM.Backup');
    return [];
  };

  return {
    node,
    tokenName,
    resources,
    storageConfigs,
    guestConfig,
    startVzdump,
    taskStatus,
    taskLog,
    vzdumpTasks,
    backupVolumes,
    close,
  };
};

/** One line, and nothing that Proxmox's template would replace (PVE/VZDump.pm, generate_notes). */
const escapeNotes = (notes: string): string =>
  notes.replaceAll('{{', '{ {').replaceAll('\\', '\\\\').replaceAll(/\r?\n/g, '\\n').slice(0, 1024);

const isMadeUp = (line: string): boolean => line === 'no content' || line.startsWith('unable to open file - ');

const record = (value: unknown): Json => (typeof value === 'object' && value !== null ? (value as Json) : {});
const list = (value: unknown): Json[] => (Array.isArray(value) ? value.map(record) : []);
const text = (value: unknown): string => (value === undefined || value === null ? '' : String(value));
/** Numbers come as numbers or as text, depending on the call. */
const number = (value: unknown): number | null => {
  const parsed = value === undefined || value === null || value === '' ? Number.NaN : Number(value);
  return Number.isFinite(parsed) ? parsed : null;
};
/** Booleans are 1 and 0, absent means 0. */
const flag = (value: unknown): boolean => number(value) === 1 || value === true;

/** `lxc` of a container is a list of pairs; everything else is a plain value. */
const texts = (values: Json): Record<string, string> =>
  Object.fromEntries(Object.entries(values).map(([key, value]) => [key, Array.isArray(value) ? pairs(value) : text(value)]));
const pairs = (rows: unknown[]): string =>
  rows.map((row) => (Array.isArray(row) ? row.map(text).join(' = ') : text(row))).join('\n');

const guestOf = (row: Json): GuestResource => ({
  vmid: number(row.vmid) ?? 0,
  type: row.type === 'qemu' ? 'qemu' : 'lxc',
  node: text(row.node),
  name: text(row.name),
  status: row.status === 'running' || row.status === 'stopped' ? row.status : 'unknown',
  lock: text(row.lock),
});

const storageOf = (row: Json): StorageResource => ({
  storage: text(row.storage),
  node: text(row.node),
  type: text(row.plugintype),
  status: text(row.status) || 'unknown',
  maxdisk: number(row.maxdisk),
  disk: number(row.disk),
  content: text(row.content),
  shared: flag(row.shared),
});

const storageConfigOf = ({ storage, type, content, path, disable, nodes, digest: _digest, ...keys }: Json): StorageConfig => ({
  storage: text(storage),
  type: text(type),
  content: text(content),
  path: text(path),
  disabled: flag(disable),
  nodes: text(nodes).split(',').filter(Boolean),
  keys: texts(keys),
});

const volumeOf = (row: Json): BackupVolume => ({
  volid: text(row.volid),
  vmid: number(row.vmid),
  sizeBytes: number(row.size) ?? 0,
  ctime: number(row.ctime) ?? 0,
  notes: text(row.notes),
});
