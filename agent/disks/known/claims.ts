/** Who asks for drives, from what was found at the newest look. */
import type { AgentConfig } from '../../config.ts';
import { instanceOf } from '../../guests/instance.ts';
import type { Evidence } from '../inventory/evidence.ts';
import type { Current } from './current.ts';
import type { Claims } from './ownership.ts';

/** What cannot be told is left out. */
const instancesIn = (proxmox: Evidence['proxmox'] | undefined): ReadonlyMap<number, string> =>
  new Map(
    (proxmox?.known === true ? proxmox.value.guests : []).flatMap((guest): [number, string][] => {
      const instance = instanceOf(guest);
      return instance === '' ? [] : [[guest.vmid, instance]];
    }),
  );

export interface ClaimPorts {
  current: Pick<Current, 'last'>;
  settings: () => Pick<AgentConfig['disks'], 'guests'>;
  enrolled: () => readonly number[];
}

export const createClaims = ({ current, settings, enrolled }: ClaimPorts): (() => Claims) => {
  let read: { of: unknown; instances: Claims['instances'] } = { of: null, instances: new Map() };
  return () => {
    const evidence = current.last()?.evidence;
    if (evidence !== read.of) read = { of: evidence, instances: instancesIn(evidence?.proxmox) };
    return { guests: settings().guests, enrolled: enrolled(), instances: read.instances };
  };
};
