/** Lists that are empty on a node without clusters, Ceph, HA, replication, mappings or metric servers. */

import type { Area } from '../sim.ts';

const PATHS = [
  '/access/tfa',
  '/cluster/acme/account',
  '/cluster/acme/plugins',
  '/cluster/firewall/aliases',
  '/cluster/firewall/groups',
  '/cluster/firewall/ipset',
  '/cluster/firewall/rules',
  '/cluster/ha/groups',
  '/cluster/ha/resources',
  '/cluster/ha/rules',
  '/cluster/jobs/realm-sync',
  '/cluster/mapping/dir',
  '/cluster/mapping/pci',
  '/cluster/mapping/usb',
  '/cluster/metrics/server',
  '/cluster/notifications/endpoints/gotify',
  '/cluster/notifications/endpoints/smtp',
  '/cluster/notifications/endpoints/webhook',
  '/cluster/replication',
  '/cluster/sdn/controllers',
  '/cluster/sdn/vnets',
  '/cluster/sdn/zones',
  '/nodes/{node}/aplinfo',
  '/nodes/{node}/firewall/rules',
  '/nodes/{node}/hardware/usb',
  '/nodes/{node}/netstat',
  '/nodes/{node}/replication',
  '/nodes/{node}/services',
  '/nodes/{node}/lxc/{vmid}/firewall/rules',
  '/nodes/{node}/qemu/{vmid}/firewall/rules',
];

export const empty: Area = Object.fromEntries(PATHS.map((path) => [`GET ${path}`, () => []]));
