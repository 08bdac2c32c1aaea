/** The whole guest API. A new endpoint is one entry here; the compiler then asks the agent for its handler. */
import { getBackups, getCoverage } from './archives.ts';
import { getBackupDue, getBackupStatus, reportHeld, startBackup } from './backups.ts';
import { assignDisk, ejectDisk, formatDisk, listDisks } from './disks.ts';
import { getEvents } from './events.ts';
import { getHealthz, getIdentity, getOpenapi } from './identity.ts';
import { getJob } from './jobs.ts';
import { getHostMetrics } from './metrics.ts';
import { grantOp, listOps } from './ops.ts';
import { getProblems } from './problems.ts';
import { getStorage } from './storage.ts';

export const GUEST_API = {
  getHealthz,
  getIdentity,
  getOpenapi,
  getStorage,
  getBackupDue,
  startBackup,
  getBackupStatus,
  reportHeld,
  getBackups,
  getCoverage,
  listDisks,
  assignDisk,
  ejectDisk,
  formatDisk,
  getJob,
  listOps,
  grantOp,
  getHostMetrics,
  getProblems,
  getEvents,
};
