/** The rows of Proxmox's answers as the agent's own types: numbers may come as text, booleans as 1 and 0. */
import type { BackupVolume, GuestResource, StorageConfig, StorageResource, TaskRow } from './proxmox.ts';
import { parseUpid } from './upid.ts';

export type Json = Record<string, unknown>;

export const record = (value: unknown): Json => (typeof value === 'object' && value !== null ? (value as Json) : {});
export const list = (value: unknown): Json[] => (Array.isArray(value) ? value.map(record) : []);
export const text = (value: unknown): string => (value === undefined || value === null ? '' : String(value));
/** Numbers come as numbers or as text, depending on the call. */
export const number = (value: unknown): number | null => {
  const parsed = value === undefined || value === null || value === '' ? Number.NaN : Number(value);
  return Number.isFinite(parsed) ? parsed : null;
};
/** Booleans are 1 and 0, absent means 0. */
export const flag = (value: unknown): boolean => number(value) === 1 || value === true;

/** `lxc` of a container is a list of pairs; everything else is a plain value. */
export const texts = (values: Json): Record<string, string> =>
  Object.fromEntries(Object.entries(values).map(([key, value]) => [key, Array.isArray(value) ? pairs(value) : text(value)]));
const pairs = (rows: unknown[]): string =>
  rows.map((row) => (Array.isArray(row) ? row.map(text).join(' = ') : text(row))).join('\n');

export const guestOf = (row: Json): GuestResource => ({
  vmid: number(row.vmid) ?? 0,
  type: row.type === 'qemu' ? 'qemu' : 'lxc',
  node: text(row.node),
  name: text(row.name),
  status: row.status === 'running' || row.status === 'stopped' ? row.status : 'unknown',
  lock: text(row.lock),
  usedBytes: usedOf(row),
  diskBytes: number(row.maxdisk) || null,
});

/** pvestatd writes 0 for every virtual machine, and for a container that does not run (PVE/Service/pvestatd.pm). */
const usedOf = ({ type, status, disk }: Json): number | null =>
  type === 'lxc' && status === 'running' ? number(disk) || null : null;

export const storageOf = (row: Json): StorageResource => ({
  storage: text(row.storage),
  node: text(row.node),
  type: text(row.plugintype),
  status: text(row.status) || 'unknown',
  maxdisk: number(row.maxdisk),
  disk: number(row.disk),
  content: text(row.content),
  shared: flag(row.shared),
});

export const storageConfigOf = ({
  storage,
  type,
  content,
  path,
  disable,
  nodes,
  digest: _digest,
  ...keys
}: Json): StorageConfig => ({
  storage: text(storage),
  type: text(type),
  content: text(content),
  path: text(path),
  disabled: flag(disable),
  nodes: text(nodes).split(',').filter(Boolean),
  keys: texts(keys),
});

export const volumeOf = (row: Json): BackupVolume => ({
  volid: text(row.volid),
  vmid: number(row.vmid),
  sizeBytes: number(row.size) ?? 0,
  ctime: number(row.ctime) ?? 0,
  notes: text(row.notes),
  protected: flag(row.protected),
  format: text(row.format),
  verification: verdictOf(record(row.verification).state),
});

/** `verification: {state, upid}` (PVE/Storage/PBSPlugin.pm). */
const verdictOf = (state: unknown): BackupVolume['verification'] => (state === 'ok' || state === 'failed' ? state : null);

/** Everything is in the UPID; the rows themselves differ from call to call. */
export const taskOf = (row: Json): TaskRow[] => {
  const upid = text(row.upid);
  const known = parseUpid(upid);
  return known ? [{ upid, type: known.type, id: known.id, user: known.user, starttime: known.starttime }] : [];
};
