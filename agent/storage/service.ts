/** Answers a guest what it consists of: its volumes and binds, where they lie, and whether a backup includes them. */

import type { Clock } from '#shared/clock';
import { FelhomError } from '#shared/errors';
import type { Coverage } from '#shared/wire/archives';
import type { GuestMount, GuestStorage } from '#shared/wire/storage';
import { ageSeconds, type Collector, createCollector, LateError, type Reading } from '../collector.ts';
import { forGuest, type GuestResource, type Proxmox, ProxmoxError, type StorageConfig } from '../ports/proxmox.ts';
import { classOfPath, classOfStorage, type DriveClass, type Drives } from './class.ts';
import { guestCoverage } from './coverage.ts';
import type { NodeView } from './node-view.ts';
import { guestVolumes, type Volume } from './volumes.ts';

export interface GuestStoragePorts {
  clock: Clock;
  proxmox: Pick<Proxmox, 'guestConfig'>;
  view: NodeView;
}

const TIMING = { deadlineMs: 7_000, keepMs: 5_000 };

/** A guest's configuration, read for both of its uses. */
interface Found {
  mounts: GuestMount[];
  coverage: Coverage['mounts'];
}

/** Answers about the guest itself: newer than anything that was known of it before. */
const isFinal = (failure: unknown): failure is FelhomError =>
  failure instanceof FelhomError && (failure.code === 'guest-not-found' || failure.code === 'guest-elsewhere');

/** Why nothing can be said, as a guest may hear it. */
const unanswered = (failure: unknown): unknown => {
  if (failure instanceof FelhomError) return failure;
  if (failure instanceof ProxmoxError) return forGuest(failure);
  if (failure instanceof LateError)
    return new FelhomError('proxmox-unreachable', 'Proxmox on this host did not answer in time.', failure);
  return new FelhomError('not-known', "This guest's volumes could not be read. Please try again in a minute.", failure);
};

/** The value, or why there is none. */
const freshValue = <T>({ value, fresh, failure }: Reading<T>): T => {
  if (fresh && value !== null) return value;
  throw failure;
};

const classOf = (drives: Drives | null, configs: readonly StorageConfig[] | null, { storage, hostPath }: Volume): DriveClass => {
  if (drives === null) return '';
  if (hostPath !== '') return classOfPath(drives, hostPath);
  const config = configs?.find((one) => one.storage === storage);
  return config === undefined ? '' : classOfStorage(drives, config);
};

export const createGuestStorage = ({ clock, proxmox, view }: GuestStoragePorts) => {
  const collectors = new Map<number, Collector<Found>>();

  const find = async (vmid: number): Promise<GuestResource> => {
    const guest = freshValue(await view.resources.read()).guests.find((one) => one.vmid === vmid);
    if (guest === undefined) throw new FelhomError('guest-not-found', `Proxmox shows no guest ${vmid} on this server.`);
    if (guest.node !== view.node) throw new FelhomError('guest-elsewhere', `Guest ${vmid} now runs on another server.`);
    return guest;
  };

  const collect = async (vmid: number): Promise<Found> => {
    const { type } = await find(vmid);
    const [config, storages, drives] = await Promise.all([
      proxmox.guestConfig(type, vmid),
      view.storages.read(),
      view.drives.read(),
    ]);
    const mounts = guestVolumes(type, config).map((volume) => ({
      key: volume.key,
      storage: volume.storage,
      mount_point: volume.mountPoint,
      class: classOf(drives.value, storages.value, volume),
      backup: volume.backup,
    }));
    return { mounts, coverage: guestCoverage(type, config) };
  };

  const collectorOf = (vmid: number): Collector<Found> => {
    const known = collectors.get(vmid) ?? createCollector(clock, TIMING, () => collect(vmid));
    collectors.set(vmid, known);
    return known;
  };

  /** The last known with its age where Proxmox cannot be asked; an error where nothing was ever known. */
  const read = async (vmid: number): Promise<Found & { age_seconds: number | null }> => {
    const { value, ageMs, failure } = await collectorOf(vmid).read();
    if (isFinal(failure)) throw failure;
    if (value === null) throw unanswered(failure);
    return { ...value, age_seconds: ageSeconds(ageMs) };
  };

  const list = async (vmid: number): Promise<GuestStorage> => {
    const { mounts, age_seconds } = await read(vmid);
    return { vmid, mounts, age_seconds };
  };

  const coverage = async (vmid: number): Promise<Coverage> => {
    const { coverage: mounts, age_seconds } = await read(vmid);
    return { vmid, mounts, age_seconds };
  };

  return { list, coverage };
};
export type GuestStorageService = ReturnType<typeof createGuestStorage>;
