/**
 * Takes away the `lock: backup` that a killed vzdump leaves in a guest's configuration: with it every further backup fails. Only
 * while no vzdump runs on the node, under vzdump's own lock, once a day for a guest, and never any other lock.
 */
import type { RunCommand } from '#agent/ports/command';
import type { Journal } from '#agent/ports/journal';
import type { GuestType, Proxmox } from '#agent/ports/proxmox';
import type { Store } from '#agent/ports/store';
import type { TaskIndex } from '#agent/ports/task-index';
import { parseUpid } from '#agent/ports/upid';
import type { Clock } from '#shared/clock';
import type { Audit } from './audit.ts';

export interface StaleLockPorts {
  store: Pick<Store, 'all'>;
  proxmox: Pick<Proxmox, 'node' | 'resources' | 'guestConfig' | 'runningVzdump'>;
  taskIndex: Pick<TaskIndex, 'read'>;
  run: RunCommand<'flock'>;
  /** vzdump's, one for the node. */
  lockFile: string;
  /** Whether a job of the agent's own books is under way. */
  isBusy: () => boolean;
  audit: Audit;
  clock: Clock;
  journal: Journal;
}

const DAY_MS = 24 * 3600_000;
/** Neither has a call in the API. pct(1), qm(1): removes whatever lock there is, so it is looked at first. */
const UNLOCK: Record<GuestType, string> = { lxc: '/usr/sbin/pct', qemu: '/usr/sbin/qm' };

export const createStaleLock = (ports: StaleLockPorts) => {
  const { store, proxmox, taskIndex, run, lockFile, isBusy, audit, clock, journal } = ports;

  const isTried = async (vmid: number): Promise<boolean> => {
    const rows = await store.all<{ at: number }>(
      `SELECT at FROM audit WHERE what = 'stale-lock-found' AND json_extract(details, '$.vmid') = ? ORDER BY id DESC LIMIT 1`,
      [vmid],
    );
    return rows.some(({ at }) => Math.abs(clock.now() - at) < DAY_MS);
  };

  /** Any on this node, and on others those that may be of this guest. Proxmox is asked as well: the file knows this node only. */
  const isVzdumpRunning = async (vmid: number): Promise<boolean> => {
    const here = ((await taskIndex.read()) ?? []).filter(({ running }) => running).map(({ upid }) => upid);
    const asked = (await proxmox.runningVzdump()).map(({ upid }) => upid);
    return [...here, ...asked].some((upid) => {
      const task = parseUpid(upid);
      return task?.type === 'vzdump' && (task.node === proxmox.node || task.id === '' || task.id === String(vmid));
    });
  };

  /** The guest's kind, if its lock is exactly the one. */
  const lockedHere = async (vmid: number): Promise<GuestType | null> => {
    const guest = (await proxmox.resources()).guests.find((one) => one.vmid === vmid);
    if (!guest || guest.node !== proxmox.node) return null;
    return (await proxmox.guestConfig(guest.type, vmid)).lock === 'backup' ? guest.type : null;
  };

  const repair = async (vmid: number): Promise<boolean> => {
    if ((await isTried(vmid)) || (await isVzdumpRunning(vmid))) return false;
    const type = await lockedHere(vmid);
    if (type === null || isBusy()) return false;
    await audit('stale-lock-found', { vmid, lock: 'backup' });
    await run('flock', ['-n', '-F', lockFile, UNLOCK[type], 'unlock', String(vmid)]);
    await audit('stale-lock-removed', { vmid, lock: 'backup' });
    journal('notice', 'A lock that an interrupted backup had left on a guest was removed.', { vmid });
    return true;
  };

  /** Whether the guest is free of it now. Never rejects. */
  return (vmid: number): Promise<boolean> =>
    repair(vmid).catch((error: unknown) => {
      journal('warning', 'The lock that an interrupted backup left on a guest could not be removed.', {
        vmid,
        why: String(error),
      });
      return false;
    });
};
