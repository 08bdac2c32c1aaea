/** What a guest's mounted file systems look like from where it is: where they show, and how full they are. Asked of what may hang. */
import type { Clock } from '#shared/clock';
import { type Collector, createCollector } from '../../collector.ts';
import type { Assignment } from '../inventory/assignment.ts';
import type { Evidence } from '../inventory/evidence.ts';
import type { MountedFacts } from '../view.ts';
import { nameOf } from './links.ts';

export interface MountedPorts {
  clock: Clock;
  shown: (vmid: number, name: string) => Promise<{ guestPath: string }>;
  /** statfs(2) in a child. */
  filling: (mountPoint: string) => Promise<NonNullable<MountedFacts['filling']>>;
}

/** Less than a listing may take. */
const TIMING = { deadlineMs: 3_000, keepMs: 5_000 };

interface Asked {
  guestPath: Collector<string>;
  filling: Collector<NonNullable<MountedFacts['filling']>>;
}

/** The mount points of assignments that are mounted on the host now; none while that cannot be told. */
export const mountedNow = (assignments: readonly Assignment[], mounts: Evidence['mounts'] | undefined): Set<string> => {
  const points = new Set((mounts?.known === true ? mounts.value : []).flatMap(({ host, mount }) => (host ? [mount.point] : [])));
  return new Set(assignments.map(({ mountPoint }) => mountPoint).filter((point) => points.has(point)));
};

export const createMounted = ({ clock, shown, filling }: MountedPorts) => {
  const asked = new Map<string, Asked>();

  const askedOf = (assignment: Assignment): Asked => {
    const { mountPoint, vmid, createdAt } = assignment;
    const key = `${mountPoint} ${vmid} ${createdAt}`;
    const known = asked.get(key) ?? {
      guestPath: createCollector(clock, TIMING, async () => (await shown(vmid, nameOf(assignment))).guestPath),
      filling: createCollector(clock, TIMING, () => filling(mountPoint)),
    };
    asked.set(key, known);
    return known;
  };

  /** By mount point. Never rejects. What is not mounted at all is for the caller to leave out: here nobody knows. */
  const facts = async (assignments: readonly Assignment[]): Promise<Map<string, MountedFacts>> => {
    const entries = assignments.map(async (assignment): Promise<[string, MountedFacts]> => {
      const of = askedOf(assignment);
      const [path, room] = await Promise.all([of.guestPath.read(), of.filling.read()]);
      return [
        assignment.mountPoint,
        { guestPath: path.fresh ? (path.value ?? '') : '', filling: room.fresh ? room.value : null },
      ];
    });
    return new Map(await Promise.all(entries));
  };

  /** What is kept of assignments that are no more. */
  const forget = (assignments: readonly Assignment[]): void => {
    const keys = new Set(assignments.map(({ mountPoint, vmid, createdAt }) => `${mountPoint} ${vmid} ${createdAt}`));
    for (const key of asked.keys()) if (!keys.has(key)) asked.delete(key);
  };

  return { facts, forget };
};
export type MountedService = ReturnType<typeof createMounted>;
