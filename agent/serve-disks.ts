/** The part of the composition that looks after drives: what there is, whose it is, and what may be done to it. */
import { type Clock, repeat, waitAtMost } from '#shared/clock';
import { int } from '#shared/int';
import type { ProblemCode } from '#shared/problems';
import type { AdminDrive } from '#shared/wire/admin-disks';
import { ageSeconds } from './collector.ts';
import type { AgentConfig } from './config.ts';
import { createDiskAdmin } from './disks/admin.ts';
import { createInUse } from './disks/deeds/in-use.ts';
import { createMounted } from './disks/deeds/mounted.ts';
import { loadJobs } from './disks/format/jobs.ts';
import { createCopyWatch } from './disks/in-guest/copy-watch.ts';
import type { GuestDirectories } from './disks/in-guest/in-guest.ts';
import type { Drive } from './disks/inventory/drive.ts';
import { createClaims } from './disks/known/claims.ts';
import { createQuiet } from './disks/known/quiet.ts';
import type { Records } from './disks/known/records.ts';
import { createWatch } from './disks/known/watch.ts';
import { createDisks } from './disks/service.ts';
import type { SmartState } from './disks/smart/service.ts';
import { createSelfTest } from './disks/sources/self-test.ts';
import { createWritesOff } from './disks/sources/writes-off.ts';
import type { Problems } from './health/problems.ts';
import { parseStatfs, STATFS_ARGS } from './metrics/disk.ts';
import type { Ops } from './ops/op.ts';
import type { BootTime } from './ports/boot-time.ts';
import { runCommand } from './ports/command.ts';
import { createDriveCheck } from './ports/drive-check.ts';
import { createDriveFormat } from './ports/drive-format.ts';
import { createGuestOfProcess } from './ports/guest-of-process.ts';
import type { Journal } from './ports/journal.ts';
import type { Proc } from './ports/proc.ts';
import type { Store } from './ports/store.ts';
import type { Sysfs } from './ports/sysfs.ts';
import { createUdevDb } from './ports/udev-db.ts';
import type { Zpool } from './ports/zpool.ts';
import { composeDriveDeeds } from './serve-drive-deeds.ts';
import { composeDriveEvidence, type DriveSources } from './serve-drive-evidence.ts';
import { composeFormats } from './serve-formats.ts';
import { classOfPath } from './storage/class.ts';

export interface DiskParts {
  store: Store;
  proc: Proc;
  sysfs: Sysfs;
  zpool: Zpool;
  problems: Problems;
  clock: Clock;
  journal: Journal;
  records: Records;
  /** Where drives show in guests. */
  directories: GuestDirectories;
  /** Mounts are systemd's, not the agent's own. */
  byUnits: boolean;
  configDir: string;
  settings: () => AgentConfig['disks'];
  /** The enrolled guests. */
  guests: () => readonly number[];
  /** A backup runs. */
  busy: () => boolean;
  /** Why the agent does not trust its own records; empty where it does. */
  distrust: () => string;
  /** This guest sees something else of the drives than before. */
  changed: (vmid: number) => void;
  hostScope: string;
  /** The agent's directory for what it keeps. */
  stateDir: string;
  boot: BootTime;
  /** What only the operator's signature permits. */
  openOp: Ops['open'];
  sources: DriveSources;
}

/** So that a drive that comes back is mounted again though nobody asks. */
const TICK_MS = 10_000;
/** While nothing is mounted for anybody, what was plugged in or pulled out may be noticed a little later. */
const IDLE_TICKS = 3;
/** How long nothing but what moves visibly is noticed: with drives mounted for guests, and without. */
const QUIET_MS = { assigned: 60_000, idle: 300_000 };
/** While one of these stands, each turn may mend it. */
const RESTLESS: ReadonlySet<ProblemCode> = new Set([
  'drive-contested',
  'drive-mount-dead',
  'drive-not-answering',
  'drive-not-mounted',
  'drive-seen-by-copy',
]);
/** What is being done to a drive may take longer than a stop; it is seen to at the next start. */
const CLOSE_MS = 5_000;

const healthView = ({
  ageMs,
  standby,
  power_on_hours,
  temperature_c,
  percentage_used,
  ...state
}: SmartState): AdminDrive['smart'] => ({
  ...{ ...state, standby, power_on_hours: int(power_on_hours), age_seconds: ageSeconds(ageMs) },
  ...{ temperature_c: int(temperature_c), percentage_used: int(percentage_used) },
});

const classOf = ({ name, device }: Drive) =>
  classOfPath({ devices: [device], mounts: [], btrfsMembers: [], links: {} }, `/dev/${name}`);

export const composeDisks = async (parts: DiskParts) => {
  const { proc, sysfs, zpool, problems, clock, journal, settings, guests, records } = parts;
  const { udevDir, loopDrives } = settings();
  const udev = createUdevDb(udevDir);
  const check = parts.sources.check ?? createDriveCheck({ clock });
  const guestOf = createGuestOfProcess();
  const jobs = await loadJobs(parts);
  const { gather, current, smart, blank } = composeDriveEvidence({
    ...parts,
    ...{ udev, check, formats: jobs, bootId: parts.boot.bootId },
    onLook: ({ inventory }) => watch.saw(inventory),
  });

  const selfTest =
    parts.sources.selfTest ?? createSelfTest({ clock, run: runCommand, proc, sysfs, udev, zpool, pid: process.pid, loopDrives });
  const writesOff = createWritesOff({ clock, selfTest, problems, distrust: parts.distrust });
  const claims = createClaims({ current, settings, enrolled: guests });
  const inUse = parts.sources.inUse ?? createInUse({ check, gather, assignments: records.assignments, guestOf });
  const deeds = composeDriveDeeds({
    ...parts,
    ...{ check, guestOf, inUse, current, claims, writesOff: writesOff.why },
  });
  const driveFormat = parts.sources.driveFormat ?? createDriveFormat({ clock, stateDir: parts.stateDir, byScope: parts.byUnits });
  const formats = composeFormats({
    ...parts,
    ...{ current, jobs, inUse, driveFormat, inTurn: deeds.inTurn, claims, writesOff: writesOff.why },
  });
  const mounted = createMounted({
    clock,
    shown: parts.directories.shown,
    filling: async (point) => parseStatfs(await runCommand('stat', [...STATFS_ARGS, point])),
  });
  const shared = {
    current,
    records,
    claims,
    classOf,
    healthOf: ({ name }: Drive) => healthView(smart.of(name)),
    writesOff: writesOff.why,
  };
  const disks = createDisks({ ...shared, settings, mounted, assign: deeds.assign, eject: deeds.eject, format: formats.format });
  const diskAdmin = createDiskAdmin({
    ...shared,
    eject: deeds.eject,
    holders: (drive) => inUse.holders(drive),
    blankStateOf: ({ name, device }) => blank.states([device]).get(name),
  });
  const watch = createWatch({ clock, problems, guests, listing: disks.glance, changed: parts.changed });

  const copies = createCopyWatch({ guard: parts.directories.guard, problems, journal });

  const closing = new AbortController();
  let ticking: Promise<void> = Promise.resolve();
  let ticks = 0;

  const quiet = createQuiet({ clock, proc });
  const isQuiet = async (): Promise<boolean> => {
    const rows = records.assignments();
    const isRestless = rows.some(({ state }) => state !== 'assigned') || problems.list().some(({ code }) => RESTLESS.has(code));
    // Drives of another host do not move in this one's files.
    if (isRestless || parts.sources.gather !== undefined) return false;
    return quiet.isQuiet(rows.length > 0 ? QUIET_MS.assigned : QUIET_MS.idle);
  };

  /** Each part by itself: one that fails does not keep the others from their turn. */
  const tick = async (): Promise<void> => {
    ticks += 1;
    if (records.assignments().length === 0 && ticks % IDLE_TICKS !== 1) return;
    if (await isQuiet()) return;
    const steps: [string, () => Promise<unknown>][] = [
      ['test what the agent sees', writesOff.tick],
      ['look at the drives', current.inventory],
      ['keep drives mounted as they are assigned', deeds.tick],
      ['keep copies of guests from drives that are not theirs', copies.tick],
    ];
    for (const [what, step] of steps) {
      if (closing.signal.aborted) return;
      await step().catch((error: unknown) => journal('warning', `The agent could not ${what}.`, { cause: String(error) }));
    }
  };

  return {
    disks,
    diskAdmin,
    smart,
    formats: formats.formats,
    formatting: formats.formatting,
    current,
    claims,
    inUse,
    check,
    writesOff: writesOff.why,
    begin: (): void => {
      formats.begin();
      ticking = repeat(clock, TICK_MS, tick, closing.signal);
    },
    close: async (): Promise<void> => {
      closing.abort();
      blank.close();
      await formats.close();
      await waitAtMost(clock, CLOSE_MS, ticking);
    },
  };
};
