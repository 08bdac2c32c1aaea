/** The guest API: each endpoint and the service call that answers it. */
import type { Scope } from '#shared/ids';
import { openapi } from '#shared/openapi';
import { GUEST_API } from '#shared/wire/api';
import type { Identity } from '#shared/wire/identity';
import type { Backups } from '../backups/service.ts';
import type { DiskService } from '../disks/service.ts';
import type { Metrics } from '../metrics/service.ts';
import type { GuestStorageService } from '../storage/service.ts';
import type { GuestHandlers } from './routes.ts';

export interface GuestServices {
  backups: Pick<Backups, 'due' | 'start' | 'status'>;
  disks: DiskService;
  metrics: Pick<Metrics, 'read'>;
  storage: GuestStorageService;
  /** The part of an identity that is the same for every guest. */
  agent: Omit<Identity, 'vmid' | 'scopes'>;
}

export const guestHandlers = ({ backups, disks, metrics, storage, agent }: GuestServices): GuestHandlers => {
  const { version, host_scope, node, fingerprints } = agent;
  const document = openapi(GUEST_API, version);
  return {
    getHealthz: () => ({ alive: true }),
    getOpenapi: () => document,
    getIdentity: ({ guest: { vmid, scopes } }) => ({ version, host_scope, node, fingerprints, vmid, scopes: scopes as Scope[] }),
    getStorage: ({ guest }) => storage.list(guest.vmid),
    getBackupDue: ({ guest }) => backups.due(guest.vmid),
    startBackup: ({ guest, body }) => backups.start(guest.vmid, body),
    getBackupStatus: ({ guest, query, signal }) => backups.status(guest.vmid, query, signal),
    listDisks: ({ guest }) => disks.list(guest.vmid),
    assignDisk: () => disks.assign(),
    ejectDisk: () => disks.eject(),
    formatDisk: () => disks.format(),
    getHostMetrics: ({ guest }) => metrics.read(guest.vmid),
  };
};
