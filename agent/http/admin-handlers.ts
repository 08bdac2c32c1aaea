/** The admin API: each endpoint and the service call that answers it. */

import type { PrunePlan, RestoreAdvice, VerifyState } from '#shared/wire/admin-backups';
import type { AdminOp, Trust } from '#shared/wire/admin-ops';
import type { Archives, ArchivesQuery } from '#shared/wire/archives';
import type { BackupStarted, BackupStatus, StatusQuery } from '#shared/wire/backups';
import type { FormatJob } from '#shared/wire/jobs';
import type { Job } from '../backups/jobs.ts';
import { startedView } from '../backups/view.ts';
import type { DiskAdmin } from '../disks/admin.ts';
import type { DutyOverview } from '../duty/overview.ts';
import { overviewView } from '../duty/view.ts';
import type { Enrolment } from '../guests/enrolment.ts';
import type { Guests } from '../guests/service.ts';
import type { Problem } from '../health/problems.ts';
import { problemView } from '../health/view.ts';
import type { AdminHandlers } from './routes.ts';

export interface AdminServices {
  enrolment: Pick<Enrolment, 'enroll' | 'share' | 'remove'>;
  duty: {
    run(vmid: number): Promise<BackupStarted>;
    overview(): Promise<DutyOverview>;
  };
  backups: {
    status(vmid: number, query: StatusQuery, signal: AbortSignal): Promise<BackupStatus>;
    cancel(vmid: number, why: 'cancelled'): Promise<Job>;
  };
  archives: {
    list(vmid: number, query: ArchivesQuery): Promise<Archives>;
    protect(volid: string, on: boolean): Promise<{ volid: string; protected: boolean }>;
    /** Begins, or joins what has begun. */
    verify(volid: string): Promise<VerifyState>;
    verifyState(volid: string): Promise<VerifyState>;
    prune(vmid: number, options: { dryRun: boolean }): Promise<PrunePlan>;
    restoreAdvice(volid: string): Promise<RestoreAdvice>;
  };
  problems: { list(): Problem[] };
  disks: DiskAdmin;
  formats: { any(id: string): FormatJob };
  ops: {
    list(): Promise<{ ops: AdminOp[]; trust: Trust }>;
    show(id: string): Promise<AdminOp>;
    prepare(id: string, options: { undo: boolean }): Promise<AdminOp>;
    grant(text: string): Promise<FormatJob>;
    acceptState(): Promise<Trust>;
    acceptClock(): Promise<Trust>;
  };
}

export const adminHandlers = (guests: Guests, services: AdminServices): AdminHandlers => ({
  listGuests: () => guests.list(),
  enrollGuest: ({ params }) => services.enrolment.enroll(Number(params.vmid)),
  rotateGuest: ({ params, body }) => guests.rotate(Number(params.vmid), body.overlap_seconds),
  revokeGuest: ({ params }) => guests.revoke(Number(params.vmid)),
  removeGuest: ({ params }) => services.enrolment.remove(Number(params.vmid)),
  shareDrives: ({ params }) => services.enrolment.share(Number(params.vmid)),
  listBackups: ({ query: { vmid, ...page } }) => services.archives.list(Number(vmid), page),
  backupsDue: async () => overviewView(await services.duty.overview()),
  followBackup: ({ query: { vmid, ...query }, signal }) => services.backups.status(Number(vmid), query, signal),
  runBackup: ({ body }) => services.duty.run(body.vmid),
  cancelBackup: async ({ body }) => startedView(await services.backups.cancel(body.vmid, 'cancelled')),
  protectBackup: ({ body }) => services.archives.protect(body.volid, body.on),
  verifyBackup: ({ body }) => services.archives.verify(body.volid),
  verifyProgress: ({ query }) => services.archives.verifyState(query.volid),
  pruneBackups: ({ body }) => services.archives.prune(body.vmid, { dryRun: body.dry_run }),
  restoreAdvice: ({ query }) => services.archives.restoreAdvice(query.volid),
  listProblems: () => ({ problems: services.problems.list().map(problemView) }),
  listDrives: () => services.disks.list(),
  showDrive: ({ query }) => services.disks.show(query.drive),
  demoteDrive: ({ body }) => services.disks.demote(body.drive),
  releaseDrive: ({ body }) => services.disks.release(body.drive),
  ejectDrive: ({ body }) => services.disks.eject(body.where),
  listAllOps: () => services.ops.list(),
  showOp: ({ query }) => services.ops.show(query.id),
  prepareOp: ({ body: { id, undo } }) => services.ops.prepare(id, { undo }),
  grantAnyOp: ({ body }) => services.ops.grant(body.grant),
  acceptState: () => services.ops.acceptState(),
  acceptClock: () => services.ops.acceptClock(),
  showFormat: ({ query }) => services.formats.any(query.id),
});
