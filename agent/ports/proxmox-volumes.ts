/** What the Proxmox port does with the volumes of a backup storage: list, look at, protect, delete. */
import { type Clock, sleep } from '#shared/clock';
import { type BackupVolume, type Proxmox, ProxmoxError } from './proxmox.ts';
import { flag, list, number, record, text, volumeOf } from './proxmox-answers.ts';
import type { Transport } from './proxmox-transport.ts';

type VolumeCalls = Pick<Proxmox, 'backupVolumes' | 'volumeInfo' | 'protectVolume' | 'deleteVolume'>;

export interface VolumePorts extends Pick<Transport, 'get' | 'put' | 'delete'>, Pick<Proxmox, 'taskStatus'> {
  node: string;
  clock: Clock;
  privileges(path: string): Promise<Record<string, unknown>>;
  requireRight(call: string, path: string, privilege: string): Promise<void>;
}

/** Listing a sleeping or remote backup storage takes its time; nobody waits for it at the wire. */
const SLOW = { getMs: 35_000, getTotalMs: 80_000 };
/** Proxmox itself waits so long for the end of a deletion before it answers the task instead; well below pveproxy's 30 s. */
const DELETE_WAIT_S = 5;
const TASK_POLL_MS = 1000;
/** A deletion on a busy drive or a remote server; after this nobody knows. */
const DELETE_LIMIT_MS = 10 * 60_000;

export const volumeCalls = (ports: VolumePorts): VolumeCalls => {
  const { get, put, delete: remove, taskStatus, privileges, requireRight, clock } = ports;
  const contentPath = (storage: string) =>
    `/nodes/${encodeURIComponent(ports.node)}/storage/${encodeURIComponent(storage)}/content`;
  const volumePath = (storage: string, volid: string) => `${contentPath(storage)}/${encodeURIComponent(volid)}`;

  const backupVolumes = async (storage: string, vmid: number): Promise<BackupVolume[]> => {
    const path = contentPath(storage);
    const rows = list(await get(path, { content: 'backup', vmid }, SLOW));
    if (rows.length > 0) return rows.map(volumeOf);
    // Archives are shown with Datastore.Allocate, or with AllocateSpace here and VM.Backup on the guest (PVE/Storage.pm).
    if ('Datastore.Allocate' in (await privileges(`/storage/${storage}`))) return [];
    await requireRight(path, `/storage/${storage}`, 'Datastore.AllocateSpace');
    await requireRight(path, `/vms/${vmid}`, 'VM.Backup');
    return [];
  };

  const volumeInfo: Proxmox['volumeInfo'] = async (storage, volid) => {
    const row = record(await get(volumePath(storage, volid), undefined, SLOW));
    return { path: text(row.path), sizeBytes: number(row.size) ?? 0, protected: flag(row.protected) };
  };

  const protectVolume: Proxmox['protectVolume'] = async (storage, volid, on) => {
    try {
      await put(volumePath(storage, volid), { protected: on ? 1 : 0 });
    } catch (error) {
      if (!isUnknown(error) || (await volumeInfo(storage, volid)).protected !== on) throw error;
    }
  };

  const isGone = async (storage: string, volid: string): Promise<boolean> => {
    const rows = list(await get(contentPath(storage), { content: 'backup' }, SLOW));
    if (rows.length === 0) await requireRight(contentPath(storage), `/storage/${storage}`, 'Datastore.Allocate');
    return rows.every((row) => text(row.volid) !== volid);
  };

  /** Until the task has ended; rejects when it failed. */
  const followed = async (upid: string, path: string): Promise<void> => {
    for (let waitedMs = 0; ; waitedMs += TASK_POLL_MS) {
      const status = await taskStatus(upid);
      if (status && !status.running) return judge(status.exitstatus ?? '', path);
      if (!status || waitedMs >= DELETE_LIMIT_MS) throw failed(path, `The task ${upid} was lost.`, 'unknown');
      await sleep(clock, TASK_POLL_MS);
    }
  };

  const deleteVolume: Proxmox['deleteVolume'] = async (storage, volid) => {
    const path = volumePath(storage, volid);
    try {
      const upid = await remove(path, { delay: DELETE_WAIT_S });
      if (upid !== null) await followed(text(upid), path);
    } catch (error) {
      if (!isUnknown(error) || !(await isGone(storage, volid))) throw error;
    }
  };

  return { backupVolumes, volumeInfo, protectVolume, deleteVolume };
};

const isUnknown = (error: unknown): boolean => error instanceof ProxmoxError && error.effect === 'unknown';

const failed = (path: string, message: string, effect: 'never' | 'unknown'): ProxmoxError =>
  new ProxmoxError({ method: 'DELETE', path, status: 500, message, effect });

/** `unexpected status` is a worker that was killed: nobody knows how far it came. */
const judge = (exitstatus: string, path: string): void => {
  if (exitstatus === 'OK' || exitstatus.startsWith('WARNINGS')) return;
  throw failed(path, exitstatus, exitstatus === 'unexpected status' ? 'unknown' : 'never');
};
