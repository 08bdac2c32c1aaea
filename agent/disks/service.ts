/** The drives of this host for its guests: what they see, and what they may have done. */
import type { AssignDisk, AssignedDisk, Disk, Disks, EjectDisk, Ejected, FormatDisk, Formatted } from '#shared/wire/disks';
import { ageSeconds } from '../collector.ts';
import type { AgentConfig } from '../config.ts';
import { type MountedService, mountedNow } from './deeds/mounted.ts';
import type { Inventory } from './inventory/drive.ts';
import type { Current } from './known/current.ts';
import type { Claims } from './known/ownership.ts';
import type { Records } from './known/records.ts';
import { type ListingFacts, listingOf, type MountedFacts } from './view.ts';

export interface DiskPorts {
  current: Current;
  records: Pick<Records, 'assignments'>;
  settings: () => Pick<AgentConfig['disks'], 'filesystems' | 'mountRoot'>;
  claims: () => Claims;
  mounted: MountedService;
  classOf: ListingFacts['classOf'];
  healthOf: ListingFacts['healthOf'];
  /** Why nothing on any drive is changed; empty where it may be. */
  writesOff: () => string;
  assign: (vmid: number, body: AssignDisk) => Promise<AssignedDisk>;
  eject: (vmid: number, body: EjectDisk) => Promise<Ejected>;
  format: (vmid: number, body: FormatDisk) => Promise<Formatted>;
}

export const createDisks = (ports: DiskPorts) => {
  const { current, records, settings, claims, mounted, writesOff } = ports;

  const listing = (
    vmid: number,
    inventory: Inventory,
    facts: ReadonlyMap<string, MountedFacts>,
  ): { disks: Disk[]; reason: string } => {
    const assignments = records.assignments();
    const now = mountedNow(assignments, current.last()?.evidence.mounts);
    return listingOf({
      ...{ vmid, inventory, assignments, claims: claims(), writesOff: writesOff() },
      mounted: new Map([...facts].filter(([point]) => now.has(point))),
      filesystems: settings().filesystems,
      ...{ classOf: ports.classOf, healthOf: ports.healthOf },
    });
  };

  const ownOf = (vmid: number) => records.assignments().filter((assignment) => assignment.vmid === vmid);

  const list = async (vmid: number): Promise<Disks> => {
    const [{ inventory, ageMs }, facts] = await Promise.all([current.inventory(), mounted.facts(ownOf(vmid))]);
    return { vmid, ...listing(vmid, inventory, facts), age_seconds: ageSeconds(ageMs), mount_root: settings().mountRoot };
  };

  /** Without asking anybody anything. */
  const glance = (vmid: number, inventory: Inventory): readonly Disk[] => {
    const nothing: MountedFacts = { guestPath: '', filling: null };
    return listing(vmid, inventory, new Map(ownOf(vmid).map(({ mountPoint }) => [mountPoint, nothing]))).disks;
  };

  /** Who listens is told of what was done by a look that comes at once. */
  const told = async <T>(deed: Promise<T>): Promise<T> => {
    try {
      return await deed;
    } finally {
      current.changed();
      current.inventory().catch(() => undefined);
      mounted.forget(records.assignments());
    }
  };

  return {
    list,
    glance,
    assign: (vmid: number, body: AssignDisk): Promise<AssignedDisk> => told(ports.assign(vmid, body)),
    eject: (vmid: number, body: EjectDisk): Promise<Ejected> => told(ports.eject(vmid, body)),
    format: (vmid: number, body: FormatDisk): Promise<Formatted> => told(ports.format(vmid, body)),
  };
};
export type DiskService = ReturnType<typeof createDisks>;
