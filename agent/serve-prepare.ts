/** The part of the composition that takes drives out of use and puts them back. */
import { type Clock, repeat } from '#shared/clock';
import { auditEntry } from './audit.ts';
import type { Backups } from './backups/service.ts';
import type { InUse } from './disks/deeds/in-use.ts';
import type { FormatJob } from './disks/format/format.ts';
import type { Current } from './disks/known/current.ts';
import type { Records } from './disks/known/records.ts';
import type { Problems } from './health/problems.ts';
import type { Ops, Prepare } from './ops/op.ts';
import { createOutOfUse } from './ops/out-of-use.ts';
import { createPrepare } from './ops/prepare.ts';
import { createRunningBackups } from './ops/running-backups.ts';
import { isLate, runCommand } from './ports/command.ts';
import type { DriveCheck } from './ports/drive-check.ts';
import { createHostMounts } from './ports/host-mounts.ts';
import type { Journal } from './ports/journal.ts';
import type { Proc } from './ports/proc.ts';
import type { Proxmox } from './ports/proxmox.ts';
import { createStorageSwitch } from './ports/storage-switch.ts';
import type { Store } from './ports/store.ts';
import type { InTurn } from './turn.ts';

export interface PrepareParts {
  store: Pick<Store, 'write'>;
  clock: Clock;
  journal: Journal;
  problems: Problems;
  proc: Proc;
  proxmox: Proxmox;
  current: Current;
  records: Records;
  inUse: InUse;
  check: DriveCheck;
  /** Of the same host; looked up when it is needed, since they are put together later. */
  backups: () => Pick<Backups, 'running' | 'cancel'>;
  letGoArchives: (storages: readonly string[]) => Promise<void>;
  ops: Pick<Ops, 'list' | 'setPrepared'>;
  /** Of a format; null: long over. */
  job: (jobId: string) => FormatJob | null;
  /** The same for signatures. */
  inTurn: InTurn;
  loopDrives: readonly string[];
  /** Mounts are systemd's, not the agent's own. */
  byUnits: boolean;
  /** Proxmox's files are this machine's own. */
  isHost: boolean;
}

/** An operator who put a storage to use otherwise need not tell. */
const CHECK_MS = 60_000;

/** Where a path leads. Rejects where nobody answers in time: what would use the drive again is then not known. */
const createResolve = () => {
  const asking = new Map<string, Promise<string>>();
  const ask = (path: string): Promise<string> =>
    runCommand('realpath', ['--', path])
      .then(
        (text) => text.replace(/\n$/, ''),
        (error: unknown) => {
          if (isLate(error)) throw error;
          // It is not there.
          return path;
        },
      )
      .finally(() => asking.delete(path));
  return (path: string): Promise<string> => {
    const asked = asking.get(path) ?? ask(path);
    asking.set(path, asked);
    return asked;
  };
};

export const composePrepare = (parts: PrepareParts) => {
  const { store, clock, journal, problems, proc, proxmox, ops, job, byUnits, isHost } = parts;
  const outOfUse = createOutOfUse({ ops, job, proxmox, problems, journal });
  const prepare: Prepare = createPrepare({
    ...parts,
    mounts: createHostMounts({ run: runCommand, proc, byUnits }),
    resolve: createResolve(),
    storageSwitch: createStorageSwitch({ proxmox, run: runCommand, isHost }),
    running: createRunningBackups({
      proxmox,
      clock,
      backups: { running: () => parts.backups().running(), cancel: (...order) => parts.backups().cancel(...order) },
    }),
    audit: async (what, details) => {
      await store.write(auditEntry(clock, 'root', what, details));
    },
    changed: () => void outOfUse.check(),
  });
  const closing = new AbortController();
  let checking: Promise<void> = Promise.resolve();
  return {
    prepare,
    /** To be called too when an operation was granted or is over. */
    check: outOfUse.check,
    begin: (): void => {
      checking = repeat(clock, CHECK_MS, outOfUse.check, closing.signal);
    },
    close: async (): Promise<void> => {
      closing.abort();
      await checking;
    },
  };
};
