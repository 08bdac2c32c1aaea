/**
 * Into which drives' file systems may be looked: those that would be a guest's to have if nothing were found there. What is the host's
 * needs no look, and what is given to a guest is not read by the host's kernel.
 */
import type { KernelDevice } from '../../ports/sysfs.ts';
import type { Inventory } from '../inventory/drive.ts';
import type { Evidence, Known, Look, Probe } from '../inventory/evidence.ts';
import type { Gathered } from './gather.ts';

export interface MayLookPorts {
  /** What is known of a drive from reading it. */
  last: (name: string) => Known<Probe> | undefined;
  conclude: (evidence: Evidence) => Inventory;
}

const NOTHING: Known<Look> = { known: true, value: { found: 'nothing' } };

export const createMayLook = ({ last, conclude }: MayLookPorts) => {
  let gathered: Gathered | null = null;
  let judged: { of: readonly unknown[]; names: ReadonlySet<string> } = { of: [], names: new Set() };

  const judge = (now: Gathered): ReadonlySet<string> => {
    const devices = now.kernel.known ? now.kernel.value : [];
    const probes = new Map(
      devices.flatMap(({ name }) => {
        const probe = last(name);
        return probe === undefined ? [] : [[name, probe] as const];
      }),
    );
    const of = [now, ...probes.values()];
    if (of.length === judged.of.length && of.every((one, index) => one === judged.of[index])) return judged.names;
    const signatures = [...probes.values()].flatMap((probe) => (probe.known ? probe.value.signatures : []));
    const looks = new Map(signatures.map(({ device }) => [device, NOTHING]));
    const { drives } = conclude({ ...now, probes, looks, asleep: new Set(), notAnswering: new Set() });
    judged = { of, names: new Set(drives.filter(({ role }) => role === 'user-data').map(({ name }) => name)) };
    return judged.names;
  };

  return {
    /** What everything else said, before drives are looked into. */
    gathered: (now: Gathered): void => {
      gathered = now;
    },
    mayLook: ({ name }: KernelDevice): boolean => gathered !== null && judge(gathered).has(name),
  };
};
