/** The part of the composition that lets the operator's signature permit what nobody else may: what it rests on, and what it does. */
import { type Clock, repeat } from '#shared/clock';
import type { Backups } from './backups/service.ts';
import type { AgentConfig } from './config.ts';
import type { InUse } from './disks/deeds/in-use.ts';
import type { Formatting } from './disks/format/format.ts';
import { jobView } from './disks/format/job-view.ts';
import type { Current } from './disks/known/current.ts';
import type { Claims } from './disks/known/ownership.ts';
import type { Records } from './disks/known/records.ts';
import type { Problems } from './health/problems.ts';
import { loadRegister } from './ops/register.ts';
import { createOps } from './ops/service.ts';
import type { BootTime } from './ports/boot-time.ts';
import { runCommand } from './ports/command.ts';
import type { DriveCheck } from './ports/drive-check.ts';
import { grantFileBeside } from './ports/grant-file.ts';
import type { Journal } from './ports/journal.ts';
import { opsignKeysIn } from './ports/opsign-keys.ts';
import type { Proc } from './ports/proc.ts';
import type { Proxmox } from './ports/proxmox.ts';
import type { Store } from './ports/store.ts';
import { createSynchronised } from './ports/synchronised.ts';
import { composePrepare } from './serve-prepare.ts';
import { type ClockMark, loadClockMark } from './trust/clock-mark.ts';
import { loadStateTrust, type StateTrust } from './trust/state-trust.ts';
import { createTurn } from './turn.ts';

export interface Trusted {
  trust: StateTrust;
  mark: ClockMark;
}

export interface TrustParts {
  store: Store;
  clock: Clock;
  journal: Journal;
  problems: Problems;
  /** `opsign.authorized_keys` */
  keysFile: string;
}

/** Before anything is done to drives: whether the database is the one that it was. */
export const composeTrust = async ({ store, clock, journal, problems, keysFile }: TrustParts): Promise<Trusted> => {
  const trust = await loadStateTrust({ store, journal, file: grantFileBeside(keysFile) });
  return { trust, mark: await loadClockMark({ store, clock, problems, synchronised: createSynchronised(runCommand) }) };
};

export interface OpsParts extends TrustParts, Trusted {
  boot: BootTime;
  hostScope: string;
  settings: () => AgentConfig['opsign'];
  proc: Proc;
  proxmox: Proxmox;
  current: Current;
  records: Records;
  claims: () => Claims;
  inUse: InUse;
  check: DriveCheck;
  loopDrives: readonly string[];
  /** Mounts are systemd's, not the agent's own. */
  byUnits: boolean;
  /** Proxmox's files are this machine's own. */
  isHost: boolean;
  /** These two are put together later. */
  backups: () => Pick<Backups, 'running' | 'cancel'>;
  letGoArchives: (storages: readonly string[]) => Promise<void>;
  formatting: () => Formatting;
  /** This guest's operations are other than before. */
  changed: (vmid: number) => void;
}

/** What is overdue is over, and where the clock is. */
const TICK_MS = 60_000;

export const composeOps = async (parts: OpsParts) => {
  const { store, clock, boot, journal, trust, mark, inUse } = parts;
  const inTurn = createTurn();
  const register = await loadRegister({ store, clock, boot, maxAgeMs: () => parts.settings().maxAgeMs });
  const { prepare, ...preparing } = composePrepare({
    ...parts,
    ops: { list: register.all, setPrepared: register.setPrepared },
    job: (jobId) => parts.formatting().job(jobId),
    inTurn,
  });
  const { ops, guests, admin } = createOps({
    ...parts,
    ...{ register, prepare, jobView, inTurn },
    keys: opsignKeysIn(parts.keysFile),
    holders: (drive) => inUse.holders(drive),
  });
  register.onChange(({ vmid }) => {
    parts.changed(vmid);
    void preparing.check();
  });

  const closing = new AbortController();
  let ticking: Promise<void> = Promise.resolve();
  const tick = async (): Promise<void> => {
    if (trust.why() !== '') await trust.look();
    for (const step of [register.tick, mark.tick])
      await step().catch((error: unknown) =>
        journal('warning', 'What waits for a signature was not looked after.', { cause: String(error) }),
      );
  };

  return {
    ops,
    guestOps: guests,
    adminOps: admin,
    begin: (): void => {
      preparing.begin();
      ticking = repeat(clock, TICK_MS, tick, closing.signal);
    },
    close: async (): Promise<void> => {
      closing.abort();
      await preparing.close();
      await ticking;
    },
  };
};
