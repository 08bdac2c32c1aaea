/** The part of the composition that changes something about drives: mounts for guests, their ends, and what keeps them as they should be. */
import type { Clock } from '#shared/clock';
import { auditEntry } from './audit.ts';
import type { AgentConfig } from './config.ts';
import { createAssign } from './disks/assign.ts';
import type { Current } from './disks/current.ts';
import type { DeedPorts } from './disks/deed-ports.ts';
import { createEject } from './disks/eject.ts';
import type { GuestDirectories } from './disks/in-guest.ts';
import type { InUse } from './disks/in-use.ts';
import { specOf } from './disks/links.ts';
import { createMounting } from './disks/mounting.ts';
import type { Claims } from './disks/ownership.ts';
import { createReconcile } from './disks/reconcile.ts';
import type { Records } from './disks/records.ts';
import { createRecover } from './disks/recover.ts';
import type { Problems } from './health/problems.ts';
import { runCommand } from './ports/command.ts';
import type { DriveCheck } from './ports/drive-check.ts';
import type { GuestOfProcess } from './ports/guest-of-process.ts';
import { createMountDirectories } from './ports/immutable.ts';
import type { Journal } from './ports/journal.ts';
import { createPlainMounts } from './ports/plain-mounts.ts';
import type { Proc } from './ports/proc.ts';
import type { Store } from './ports/store.ts';
import type { Sysfs } from './ports/sysfs.ts';
import { createSystemdMounts } from './ports/systemd-mounts.ts';
import { createTurn } from './turn.ts';

export interface DeedParts {
  store: Store;
  proc: Proc;
  sysfs: Sysfs;
  check: DriveCheck;
  guestOf: GuestOfProcess;
  inUse: InUse;
  records: Records;
  current: Current;
  problems: Problems;
  clock: Clock;
  journal: Journal;
  /** Where drives show in guests. */
  directories: GuestDirectories;
  /** Mounts are systemd's, not the agent's own. */
  byUnits: boolean;
  settings: () => AgentConfig['disks'];
  claims: () => Claims;
  writesOff: () => string;
}

export const composeDriveDeeds = (parts: DeedParts) => {
  const { store, proc, sysfs, check, guestOf, inUse, records, current, problems, clock, journal, settings, claims, writesOff } =
    parts;
  const { directories: guests, byUnits } = parts;
  const specs = () => records.assignments().map((assignment) => specOf(assignment, guests.pointFor));
  const mounting = createMounting({
    ...{ guests, sysfs, run: runCommand },
    mounts: byUnits ? createSystemdMounts({ run: runCommand, proc, specs }) : createPlainMounts({ run: runCommand, proc }),
    directories: createMountDirectories(runCommand),
  });
  const common: DeedPorts & { current: Current } = {
    ...{ clock, journal, current, records, mounting },
    inTurn: createTurn(),
    audit: async (who, what, details) => {
      await store.write(auditEntry(clock, who, what, details));
    },
  };
  const recover = createRecover(common);
  const { mountRoot } = settings();
  return {
    assign: createAssign({ ...common, check, mountRoot, settings, writesOff, claims, inUse, guests, recover }),
    eject: createEject({ ...common, writesOff, check, guestOf, run: runCommand, recover }),
    reconcile: createReconcile({ ...common, problems, claims, guestOf, recover }),
  };
};
