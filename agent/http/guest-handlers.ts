/** The guest API: each endpoint and the service call that answers it. */
import type { Scope } from '#shared/ids';
import { openapi } from '#shared/openapi';
import { GUEST_API } from '#shared/wire/api';
import type { Archives, ArchivesQuery } from '#shared/wire/archives';
import type {
  BackupDue,
  BackupStarted,
  BackupStatus,
  HeldAccepted,
  HeldReport,
  StartBackup,
  StatusQuery,
} from '#shared/wire/backups';
import type { Identity } from '#shared/wire/identity';
import type { FormatJob } from '#shared/wire/jobs';
import type { Op } from '#shared/wire/ops';
import type { DiskService } from '../disks/service.ts';
import type { Problem } from '../health/problems.ts';
import { problemView } from '../health/view.ts';
import type { Metrics } from '../metrics/service.ts';
import type { GuestStorageService } from '../storage/service.ts';
import type { EventHub } from './event-hub.ts';
import type { GuestHandlers } from './routes.ts';

export interface GuestServices {
  duty: {
    due(vmid: number): Promise<BackupDue>;
    start(vmid: number, body: StartBackup): Promise<BackupStarted>;
  };
  backups: {
    status(vmid: number, query: StatusQuery, signal: AbortSignal): Promise<BackupStatus>;
    reportHeld(vmid: number, jobId: string, report: HeldReport): Promise<HeldAccepted>;
  };
  archives: { list(vmid: number, query: ArchivesQuery): Promise<Archives> };
  problems: { list(vmid: number): Problem[] };
  events: Pick<EventHub, 'follow'>;
  disks: Pick<DiskService, 'list' | 'assign' | 'eject' | 'format'>;
  formats: { job(vmid: number, id: string): FormatJob };
  ops: {
    list(vmid: number): Op[];
    grant(vmid: number, id: string, text: string): Promise<FormatJob>;
  };
  metrics: Pick<Metrics, 'read'>;
  storage: GuestStorageService;
  /** The part of an identity that is the same for every guest. */
  agent: Omit<Identity, 'vmid' | 'scopes'>;
}

export const guestHandlers = (services: GuestServices): GuestHandlers => {
  const { duty, backups, archives, problems, events, disks, formats, ops, metrics, storage, agent } = services;
  const { version, host_scope, node, fingerprints } = agent;
  const document = openapi(GUEST_API, version);
  return {
    getHealthz: () => ({ alive: true }),
    getOpenapi: () => document,
    getIdentity: ({ guest: { vmid, scopes } }) => ({ version, host_scope, node, fingerprints, vmid, scopes: scopes as Scope[] }),
    getStorage: ({ guest }) => storage.list(guest.vmid),
    getBackupDue: ({ guest }) => duty.due(guest.vmid),
    startBackup: ({ guest, body }) => duty.start(guest.vmid, body),
    getBackupStatus: ({ guest, query, signal }) => backups.status(guest.vmid, query, signal),
    reportHeld: ({ guest, params, body }) => backups.reportHeld(guest.vmid, params.job_id, body),
    getBackups: ({ guest, query }) => archives.list(guest.vmid, query),
    getCoverage: ({ guest }) => storage.coverage(guest.vmid),
    listDisks: ({ guest }) => disks.list(guest.vmid),
    assignDisk: ({ guest, body }) => disks.assign(guest.vmid, body),
    ejectDisk: ({ guest, body }) => disks.eject(guest.vmid, body),
    formatDisk: ({ guest, body }) => disks.format(guest.vmid, body),
    getJob: ({ guest, params }) => formats.job(guest.vmid, params.id),
    listOps: ({ guest }) => ({ vmid: guest.vmid, ops: ops.list(guest.vmid) }),
    grantOp: ({ guest, params, body }) => ops.grant(guest.vmid, params.id, body.grant),
    getHostMetrics: ({ guest }) => metrics.read(guest.vmid),
    getProblems: ({ guest }) => ({ vmid: guest.vmid, problems: problems.list(guest.vmid).map(problemView) }),
    getEvents: ({ guest, signal }, send) => events.follow(guest, send, signal),
  };
};
