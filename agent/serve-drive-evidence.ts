/** The part of the composition that finds out about drives: sources, probes, health, proofs of blankness, and the inventory from all of them. */
import type { Clock } from '#shared/clock';
import type { AgentConfig } from './config.ts';
import type { InUse } from './disks/deeds/in-use.ts';
import type { Jobs } from './disks/format/jobs.ts';
import { asKnown } from './disks/inventory/as-known.ts';
import type { DriveRecord, Inventory } from './disks/inventory/drive.ts';
import type { Evidence } from './disks/inventory/evidence.ts';
import { inventoryOf } from './disks/inventory/inventory.ts';
import { isDriveDevice } from './disks/inventory/kinds.ts';
import { type Current, createCurrent, type Look } from './disks/known/current.ts';
import type { Records } from './disks/known/records.ts';
import { createSmart, type Smart } from './disks/smart/service.ts';
import { type BlankProofs, createBlankProofs } from './disks/sources/blank-proof.ts';
import { createGather, type Gathered } from './disks/sources/gather.ts';
import { createMayLook } from './disks/sources/may-look.ts';
import { createProbes, type Probes } from './disks/sources/probes.ts';
import { seenMounts } from './disks/sources/seen-mounts.ts';
import type { SelfTest } from './disks/sources/self-test.ts';
import type { Problems } from './health/problems.ts';
import { createBlockCounters } from './ports/block-counters.ts';
import { runCommand, runForOutcome } from './ports/command.ts';
import type { DriveCheck } from './ports/drive-check.ts';
import type { DriveFormat } from './ports/drive-format.ts';
import { createHostFiles } from './ports/host-config.ts';
import type { Journal } from './ports/journal.ts';
import { createLvm } from './ports/lvm.ts';
import { createProbe } from './ports/probe.ts';
import type { Proc } from './ports/proc.ts';
import { createProxmoxFiles } from './ports/proxmox-files.ts';
import { createSmartctl, type Smartctl } from './ports/smartctl.ts';
import type { Store } from './ports/store.ts';
import type { KernelDevice, Sysfs } from './ports/sysfs.ts';
import type { UdevDb } from './ports/udev-db.ts';
import type { Zpool } from './ports/zpool.ts';

/** What is found out about drives in another way than from this host: a test's or the bench's own host. */
export interface DriveSources {
  gather?: () => Promise<Gathered>;
  probes?: Pick<Probes, 'read' | 'again' | 'last'>;
  smartctl?: Smartctl;
  /** The kernel's word on drives only. */
  sysfs?: Pick<Sysfs, 'kernelDevices' | 'btrfsMembers'>;
  selfTest?: SelfTest;
  inUse?: InUse;
  /** Of this host, started in another way. */
  check?: DriveCheck;
  driveFormat?: DriveFormat;
}

export interface EvidenceParts {
  store: Store;
  proc: Proc;
  sysfs: Sysfs;
  udev: UdevDb;
  zpool: Zpool;
  check: DriveCheck;
  records: Records;
  problems: Problems;
  clock: Clock;
  journal: Journal;
  configDir: string;
  bootId: string;
  settings: () => AgentConfig['disks'];
  /** Formats under way, and those that did not come to their end. */
  formats: Pick<Jobs, 'marks' | 'isErasing'>;
  /** A backup runs: what only reads for its own sake waits. */
  busy: () => boolean;
  onLook: (look: Look) => void;
  sources: DriveSources;
}

export interface DriveEvidence {
  gather: () => Promise<Gathered>;
  current: Current;
  smart: Smart;
  blank: BlankProofs;
}

export const composeDriveEvidence = (parts: EvidenceParts): DriveEvidence => {
  const { store, proc, sysfs, udev, zpool, check, records, problems, clock, journal, settings, bootId, sources, formats } = parts;
  const { loopDrives } = settings();
  const drivesOf = (devices: readonly KernelDevice[]) => devices.filter((device) => isDriveDevice(device, loopDrives));

  /** Of the drive that this device was when it was last looked at. */
  const recordOf = ({ name, diskseq }: KernelDevice): DriveRecord | null =>
    current.last()?.inventory.drives.find((drive) => drive.name === name && drive.device.diskseq === diskseq)?.record ?? null;

  const smart = createSmart({
    ...{ clock, problems, bootId },
    smartctl: sources.smartctl ?? createSmartctl(runCommand),
    kept: (device) => records.smart().get(recordOf(device)?.id ?? 0) ?? null,
    keep: async (device, text) => {
      const record = recordOf(device);
      if (record !== null) await records.saveSmart(record.id, text);
    },
  });
  const isAsleep = smart.isAsleep;

  const conclude = (evidence: Evidence): Inventory => {
    const { protect, mountRoot } = settings();
    const devices = evidence.kernel.known ? drivesOf(evidence.kernel.value) : [];
    return inventoryOf(evidence, {
      ...{ records: records.drives(), assignments: records.assignments(), protect, loopDrives, mountRoot },
      blank: blank.states(devices),
      formats: { bootId, marks: formats.marks() },
    });
  };

  const { gather } = createGather(
    {
      ...{ clock, udev, proc, zpool, isAsleep },
      sysfs: sources.sysfs ?? sysfs,
      lvm: createLvm(runCommand),
      hostFiles: createHostFiles({ clock }),
      proxmoxFiles: createProxmoxFiles(parts.configDir),
    },
    { loopDrives },
  );
  const ask = sources.gather ?? gather;

  const counters = createBlockCounters();
  const looks = createMayLook({ last: (name) => probes.last(name), conclude });
  const probes =
    sources.probes ??
    createProbes({
      ...{ clock, counters, check, isAsleep },
      device: createProbe(runForOutcome),
      mounts: () => asKnown(seenMounts(proc)),
      mayLook: looks.mayLook,
      leaveAlone: (device) => formats.isErasing(device, bootId),
    });

  const blank = createBlankProofs({
    ...{ clock, journal, store, check, counters, isAsleep },
    bootId: async () => bootId,
    isClean: (name) => {
      const probe = probes.last(name);
      return probe?.known === true && probe.value.clean;
    },
    busy: parts.busy,
  });

  const current = createCurrent({
    ...{ clock, journal, records, drivesOf, conclude },
    probes: {
      read: async (devices, known) => {
        const read = await probes.read(devices, known);
        return { ...read, notAnswering: new Set([...read.notAnswering, ...smart.notAnswering()]) };
      },
      again: async (device) => {
        smart.woken(device.name);
        await probes.again(device);
      },
    },
    gather: async () => {
      const gathered = await ask();
      looks.gathered(gathered);
      return gathered;
    },
    onLook: (look) => {
      blank.tick(look.inventory);
      void smart.tick(look.inventory.drives.map(({ device }) => device));
      parts.onLook(look);
    },
  });

  return { gather: ask, current, smart, blank };
};
