/** `/cluster/resources`: guests, the node and storages in one list, as far as pvestatd has reported. */

import { guestResource } from '../guest-status.ts';
import { cgroupMode, nodeUsage } from '../host.ts';
import { type Area, type Call, optional } from '../sim.ts';
import { isEnabled } from '../storage-access.ts';
import { uptime } from './nodes.ts';
import { storageResource } from './storage.ts';

const nodeResource = (call: Call): Record<string, unknown> => {
  const { world, who } = call;
  const row = { id: `node/${world.node}`, type: 'node', node: world.node };
  if (!world.pvestatdReported) return { ...row, status: 'unknown' };
  const online = { ...row, status: 'online', 'cgroup-mode': cgroupMode(world) };
  return who.may(`/nodes/${world.node}`, 'Sys.Audit')
    ? { ...online, ...nodeUsage(world, call.now, uptime(call)) }
    : { ...online, level: '' };
};

/** The zone every node has; shown without a type filter, and with `type=sdn`. */
const localNetwork = ({ world }: Call): Record<string, unknown> => ({
  id: `network/${world.node}/zone/localnetwork`,
  type: 'network',
  network: 'localnetwork',
  'network-type': 'zone',
  node: world.node,
  status: 'ok',
});

const list = (call: Call): unknown[] => {
  const { world, who } = call;
  const type = optional(call, 'type');
  const wants = (kind: string): boolean => type === undefined || type === kind;
  const guests = [...world.guests.values()].filter((g) => who.may(`/vms/${g.vmid}`, 'VM.Audit'));
  const storages = [...world.storages.values()].filter(
    (s) => isEnabled(s) && who.may(`/storage/${s.storage}`, 'Datastore.Audit'),
  );
  return [
    ...(wants('vm') ? guests.map((g) => guestResource(world, g, call.now)) : []),
    ...(wants('node') ? [nodeResource(call)] : []),
    ...(wants('storage') ? storages.map((s) => storageResource(call, s)) : []),
    ...(wants('sdn') && who.may('/sdn/zones/localnetwork', 'SDN.Audit') ? [localNetwork(call)] : []),
  ];
};

export const clusterResources: Area = { 'GET /cluster/resources': list };
