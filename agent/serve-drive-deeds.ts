/** The part of the composition that changes something about drives: mounts for guests, their ends, and what keeps them as they should be. */
import type { Clock } from '#shared/clock';
import type { AgentConfig } from './config.ts';
import { createDeeds, type Deeds } from './disks/deeds/deeds.ts';
import type { InUse } from './disks/deeds/in-use.ts';
import { specOf } from './disks/deeds/links.ts';
import type { GuestDirectories } from './disks/in-guest/in-guest.ts';
import type { Current } from './disks/known/current.ts';
import type { Claims } from './disks/known/ownership.ts';
import type { Records } from './disks/known/records.ts';
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

export const composeDriveDeeds = ({ directories: guests, byUnits, ...parts }: DeedParts): Deeds => {
  const { proc, records, settings } = parts;
  const specs = () => records.assignments().map((assignment) => specOf(assignment, guests.pointFor));
  return createDeeds({
    ...parts,
    guests,
    run: runCommand,
    mounts: byUnits ? createSystemdMounts({ run: runCommand, proc, specs }) : createPlainMounts({ run: runCommand, proc }),
    directories: createMountDirectories(runCommand),
    mountRoot: settings().mountRoot,
  });
};
