/** The agent's own parts that know and mount drives, put together over a lab: real devices, a real database, real programs. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createDeeds, type Deeds, type DeedsPorts } from '#agent/disks/deeds/deeds';
import { createInUse } from '#agent/disks/deeds/in-use';
import type { Inventory } from '#agent/disks/inventory/drive';
import type { Evidence } from '#agent/disks/inventory/evidence';
import { inventoryOf } from '#agent/disks/inventory/inventory';
import { isDriveDevice } from '#agent/disks/inventory/kinds';
import { createClaims } from '#agent/disks/known/claims';
import { type Current, createCurrent } from '#agent/disks/known/current';
import { loadRecords, type Records } from '#agent/disks/known/records';
import { createGather } from '#agent/disks/sources/gather';
import { createMayLook } from '#agent/disks/sources/may-look';
import { createProbes } from '#agent/disks/sources/probes';
import { seenMounts } from '#agent/disks/sources/seen-mounts';
import type { NewProblem } from '#agent/health/problems';
import { createBlockCounters } from '#agent/ports/block-counters';
import { systemClock } from '#agent/ports/clock';
import { runCommand, runForOutcome } from '#agent/ports/command';
import { createDriveCheck } from '#agent/ports/drive-check';
import { createGuestOfProcess } from '#agent/ports/guest-of-process';
import { createHostFiles } from '#agent/ports/host-config';
import { createMountDirectories } from '#agent/ports/immutable';
import { createLvm } from '#agent/ports/lvm';
import { createPlainMounts } from '#agent/ports/plain-mounts';
import { createProbe } from '#agent/ports/probe';
import { createProc } from '#agent/ports/proc';
import { createProxmoxFiles } from '#agent/ports/proxmox-files';
import { openStore, type Store } from '#agent/ports/store';
import { createSysfs, type Sysfs } from '#agent/ports/sysfs';
import { createUdevDb } from '#agent/ports/udev-db';
import { createZpool } from '#agent/ports/zpool';
import type { ProblemCode } from '#shared/problems';
import type { AssignDisk } from '#shared/wire/disks';
import { bundleSources } from '../../chaos/bundle.ts';
import { type Guests, makeGuests } from './guests.ts';
import { type Lab, run } from './lab.ts';

/** Ports of the deeds, changed: to see what happens when they fail. The clock and sysfs are everybody's. */
export type Over = Partial<DeedsPorts> & { sysfs?: Sysfs };

export interface World {
  lab: Lab;
  guests: Guests;
  mountRoot: string;
  records: Records;
  current: Current;
  deeds: Deeds;
  /** Of `deeds`. */
  ports: DeedsPorts;
  /** What evidence shows, with what is on record now. */
  conclude(evidence: Evidence): Inventory;
  store: Store;
  /** Problems that are raised now. */
  problems: Map<string, NewProblem>;
  /** What the agent logged. */
  journal: string[];
  /** Assigns with what a test does not care about left out. */
  assign(uuid: string, name: string, more?: Partial<AssignDisk & { vmid: number }>): ReturnType<Deeds['assign']>;
  eject(name: string, vmid?: number): ReturnType<Deeds['eject']>;
  /** The same database and devices under new parts, as after the agent's restart. */
  restarted(over?: Over): Promise<World>;
  path(name: string): string;
  audit(): Promise<{ who: string; what: string }[]>;
}

/** A guest of the lab that does not run. */
const config = (vmid: number): string => `arch: amd64
hostname: ct${vmid}
net0: name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:${String(vmid % 100).padStart(2, '0')},ip=dhcp,type=veth
rootfs: local:${vmid}/subvol-${vmid}-disk-0.subvol,size=0T
unprivileged: 1
`;

let checker: Promise<string> | null = null;
/** As it ships: it starts ten times as quickly. */
const driveCheckProgram = async (): Promise<string[]> => {
  checker ??= bundleSources('drive-check-test', { main: 'agent/drive-check/main.ts' });
  return [process.execPath, await checker];
};

const compose = async (lab: Lab, guests: Guests, over: Over, enrolled: readonly number[]): Promise<World> => {
  const { mountRoot, configDir, directories } = guests;
  const { clock = systemClock, sysfs = createSysfs() } = over;
  const lines: string[] = [];
  const journal = (level: string, message: string, fields: object = {}) => {
    lines.push(`${level}: ${message} ${JSON.stringify(fields)}`);
  };
  const store = await openStore(join(lab.dir, 'state/felhom.db'));
  lab.undo(() => store.close());
  const records = await loadRecords({ store, clock });
  const proc = createProc();
  const check = createDriveCheck({ clock, program: await driveCheckProgram() });
  const gatherer = createGather(
    {
      ...{ clock, sysfs, proc, udev: createUdevDb(lab.udevDir), lvm: createLvm(runCommand), zpool: createZpool(runCommand) },
      hostFiles: createHostFiles({ clock, root: join(lab.dir, 'host') }),
      proxmoxFiles: createProxmoxFiles(configDir),
      isAsleep: async () => false,
    },
    lab,
  );
  const { loopDrives } = lab;
  const conclude = (evidence: Evidence) =>
    inventoryOf(evidence, {
      ...{ records: records.drives(), assignments: records.assignments(), protect: [], loopDrives, mountRoot },
      blank: new Map(),
    });
  const look = createMayLook({ last: (name) => probes.last(name), conclude });
  const gather = async () => {
    const gathered = await gatherer.gather();
    look.gathered(gathered);
    return gathered;
  };
  const probes = createProbes({
    clock,
    device: createProbe(runForOutcome),
    counters: createBlockCounters(),
    check,
    isAsleep: async () => false,
    mounts: async () => ({ known: true, value: await seenMounts(proc) }),
    mayLook: look.mayLook,
    settleMs: 0,
  });
  const current = createCurrent({
    ...{ clock, journal, probes, conclude, records },
    gather,
    drivesOf: (devices) => devices.filter((device) => isDriveDevice(device, loopDrives)),
    onLook: () => undefined,
  });
  const guestOf = createGuestOfProcess();
  const problems = new Map<string, NewProblem>();
  const ports: DeedsPorts = {
    ...{ clock, journal, store, records, current, check, guestOf, sysfs, mountRoot },
    run: runCommand,
    settings: () => ({ filesystems: ['ext4', 'xfs', 'btrfs', 'exfat'] }),
    writesOff: () => '',
    claims: createClaims({ current, settings: () => ({ guests: null }), enrolled: () => enrolled }),
    inUse: createInUse({ check, gather: gatherer.gather, assignments: records.assignments, guestOf }),
    guests: directories,
    mounts: createPlainMounts({ run: runCommand, proc }),
    directories: createMountDirectories(runCommand),
    problems: {
      raise: (problem) => void problems.set(`${problem.code} ${problem.vmid}`, problem),
      clear: (code: ProblemCode, vmid) => void problems.delete(`${code} ${vmid}`),
      list: () => [...problems.values()].map((problem) => ({ ...problem, severity: 'warning', since: 0 })),
    },
    ...over,
  };
  const deeds = createDeeds(ports);
  const path = (name: string) => join(mountRoot, name);
  return {
    ...{ lab, guests, mountRoot, records, current, deeds, ports, conclude, store, problems, journal: lines, path },
    assign: (uuid, name, { vmid = 101, ...more } = {}) =>
      deeds.assign(vmid, { uuid, where: path(name), fstype: 'ext4', ...more }),
    eject: (name, vmid = 101) => deeds.eject(vmid, { where: path(name) }),
    restarted: async (change = over) => {
      await store.close();
      return compose(lab, guests, change, enrolled);
    },
    audit: () => store.all('SELECT who, what FROM audit ORDER BY rowid'),
  };
};

/** Everything below the mount root that a failed test left: mounts, and directories that cannot be removed. */
const clear = async (mountRoot: string): Promise<void> => {
  const points = () =>
    readFileSync('/proc/self/mountinfo', 'utf8')
      .split('\n')
      .map((line) => line.split(' ')[4] ?? '')
      .filter((point) => point.startsWith(`${mountRoot}/`))
      .reverse();
  for (const point of points()) await run('umount', '--lazy', point).catch(() => undefined);
  await run('chattr', '-R', '-i', mountRoot).catch(() => undefined);
};

export interface WorldOptions {
  over?: Over;
  enrolled?: readonly number[];
}

/** @param vmids guests whose configurations are there; the first is the one that is enrolled */
export const makeWorld = async (lab: Lab, { over = {}, enrolled = [101] }: WorldOptions = {}): Promise<World> => {
  const guests = makeGuests(lab);
  lab.undo(() => clear(guests.mountRoot));
  mkdirSync(join(lab.dir, 'host/etc'), { recursive: true });
  writeFileSync(join(lab.dir, 'host/etc/fstab'), '');
  writeFileSync(join(guests.configDir, 'storage.cfg'), 'dir: local\n\tpath /var/lib/vz\n\tcontent iso\n');
  for (const vmid of [101, 105]) guests.writeConfig(vmid, config(vmid));
  return compose(lab, guests, over, enrolled);
};
