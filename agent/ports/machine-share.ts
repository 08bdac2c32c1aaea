/**
 * A directory of the host shared with a virtual machine over virtiofs: a directory mapping of the cluster, and one line of the
 * machine's configuration. Both by Proxmox's own programs, for root only. From its documentation (qm(1), "VirtioFS"; pve-manager:
 * PVE/API2/Cluster/Mapping/Dir.pm); not tried on a server.
 */
import type { RunCommand } from './command.ts';

export interface MachineShares {
  /** Both or none. @param slot a free key of the configuration, `virtiofs0` @param id of the mapping, made where it is not there yet */
  share(vmid: number, slot: string, id: string, path: string): Promise<void>;
  unshare(vmid: number, slot: string, id: string): Promise<void>;
}

export interface MachineSharePorts {
  run: RunCommand<'pvesh' | 'qm'>;
  /** Of this node. */
  node: string;
}

interface Mapping {
  id: string;
  map: readonly string[];
}

const mappingsIn = (json: string): Mapping[] => {
  const value: unknown = JSON.parse(json);
  if (!Array.isArray(value)) throw new Error('Proxmox listed no directory mappings, not even none.');
  return value.flatMap((one: unknown) => {
    if (typeof one !== 'object' || one === null || !('id' in one) || !('map' in one) || !Array.isArray(one.map)) return [];
    return [{ id: String(one.id), map: one.map.map(String) }];
  });
};

export const createMachineShares = ({ run, node }: MachineSharePorts): MachineShares => {
  const ALL = '/cluster/mapping/dir';
  const find = async (id: string): Promise<Mapping | undefined> =>
    mappingsIn(await run('pvesh', ['get', ALL, '--output-format', 'json'])).find((one) => one.id === id);
  const remove = (id: string): Promise<string> => run('pvesh', ['delete', `${ALL}/${id}`]);

  /** Its parts may stand in any order. @returns whether it was made now */
  const map = async (id: string, path: string): Promise<boolean> => {
    const known = await find(id);
    if (known === undefined) {
      await run('pvesh', ['create', ALL, '--id', id, '--map', `node=${node},path=${path}`]);
      return true;
    }
    const isSame = known.map.some((entry) => {
      const parts = entry.split(',');
      return parts.includes(`node=${node}`) && parts.includes(`path=${path}`);
    });
    if (isSame) return false;
    throw new Error(`The directory mapping ${id} exists and maps something else.`);
  };

  return {
    share: async (vmid, slot, id, path) => {
      const isNew = await map(id, path);
      try {
        await run('qm', ['set', String(vmid), `--${slot}`, id]);
      } catch (error) {
        // A mapping that nobody uses does no harm, and the failure to be told is the first.
        if (isNew) await remove(id).catch(() => undefined);
        throw error;
      }
    },
    unshare: async (vmid, slot, id) => {
      await run('qm', ['set', String(vmid), '--delete', slot]);
      if ((await find(id)) !== undefined) await remove(id);
    },
  };
};
