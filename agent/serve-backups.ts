/** The part of the composition that backs guests up: jobs, archives, prechecks and the duty over them. */
import { type Clock, repeat } from '#shared/clock';
import { createArchives } from './archives/service.ts';
import { createBackups } from './backups/service.ts';
import type { AgentConfig } from './config.ts';
import { createDuty } from './duty/service.ts';
import type { Problems } from './health/problems.ts';
import { createArchiveCheck } from './ports/archive-check.ts';
import { runCommand } from './ports/command.ts';
import { createFileSize, createFilesystem } from './ports/filesystem.ts';
import { createGuestCgroup } from './ports/guest-cgroup.ts';
import { createGuestMounts } from './ports/guest-mounts.ts';
import type { Journal } from './ports/journal.ts';
import { createLeftovers } from './ports/leftovers.ts';
import { createLocalTime } from './ports/local-time.ts';
import { createNodeLock } from './ports/node-lock.ts';
import { createPmxcfs } from './ports/pmxcfs.ts';
import type { Proc } from './ports/proc.ts';
import type { Proxmox } from './ports/proxmox.ts';
import type { Store } from './ports/store.ts';
import { createTaskIndex } from './ports/task-index.ts';
import { createTaskLog } from './ports/task-log.ts';
import { createThinPools } from './ports/thin-pools.ts';
import { createPrechecks } from './prechecks/service.ts';
import { createGuestSync } from './prechecks/sync.ts';
import type { NodeView } from './storage/node-view.ts';

export interface BackupParts {
  store: Store;
  proxmox: Proxmox;
  proc: Proc;
  view: NodeView;
  problems: Problems;
  clock: Clock;
  journal: Journal;
  hostId: string;
  paths: Pick<AgentConfig['proxmox'], 'configDir' | 'taskLogDir' | 'lockFile'>;
  settings: () => AgentConfig['backup'];
  guests: () => readonly { vmid: number; lastSeenAt: number | null }[];
  /** Archives of this guest came, went, or are known better. */
  archivesChanged: (vmid: number) => void;
}

const ARCHIVES_TICK_MS = 10_000;

export const composeBackups = ({ paths: { configDir, taskLogDir, lockFile }, ...parts }: BackupParts) => {
  const { store, proxmox, proc, view, problems, clock, journal, hostId, settings, guests } = parts;
  const common = { store, proxmox, clock, journal, problems, settings };
  const cgroup = createGuestCgroup({ proc });
  const guestMounts = createGuestMounts({ cgroup, proc, run: runCommand });
  const guestSync = createGuestSync({ guestMounts, clock });

  const backups = createBackups({
    ...common,
    taskLog: createTaskLog({ directory: taskLogDir, proxmox, clock }),
    taskIndex: createTaskIndex(taskLogDir),
    cgroup,
    syncGuest: guestSync.once,
    run: runCommand,
    leftovers: createLeftovers(runCommand),
    fileSize: createFileSize(runCommand),
    lockFile,
    hostId,
  });
  const archives = createArchives({
    ...common,
    hostId,
    check: createArchiveCheck({ clock }),
    busy: () => backups.running().length > 0,
    guests: () => guests().map(({ vmid }) => vmid),
    onChange: parts.archivesChanged,
  });
  backups.onEnd((job) => void archives.afterBackup(job));
  const prechecks = createPrechecks({
    ...common,
    view,
    proc,
    guestMounts,
    guestSync,
    pmxcfs: createPmxcfs(configDir),
    nodeLock: createNodeLock({ lockFile, proc }),
    thinPools: createThinPools(runCommand),
    filesystem: createFilesystem(runCommand),
    recentSizes: archives.recentSizes,
    repairStaleLock: backups.repairStaleLock,
  });
  const uptimeMs = async (): Promise<number> => Number.parseFloat(await proc.uptime()) * 1000;
  const duty = createDuty({
    ...common,
    hostId,
    uptimeMs,
    localTime: createLocalTime(),
    guests,
    backups,
    prechecks,
    archives,
  });

  const closing = new AbortController();
  const begin = (): void => {
    duty.begin();
    void repeat(clock, ARCHIVES_TICK_MS, archives.tick, closing.signal);
  };
  const close = async (): Promise<void> => {
    closing.abort();
    await duty.close();
    await archives.close();
    await backups.close();
  };
  return { backups, archives, duty, begin, close };
};
