/** The node's drives and volume managers, from `world.host` or plain defaults. */

import { died } from '../api/errors.ts';
import { DISKS } from '../host.ts';
import { type Area, type Call, flag, optional, param } from '../sim.ts';

const list = (call: Call) => {
  const type = optional(call, 'type');
  return (call.world.host?.disks ?? DISKS)
    .filter((disk) => flag(call, 'include-partitions') || disk.parent === undefined)
    .filter((disk) => type !== 'unused' || disk.used === undefined)
    .map((disk) => (flag(call, 'skipsmart') ? { ...disk, health: 'UNKNOWN', wearout: 'N/A' } : disk));
};

const smart = (call: Call): Record<string, unknown> => {
  const device = param(call, 'disk');
  const known = call.world.host?.smart?.[device];
  if (known) return flag(call, 'healthonly') ? { health: known.health } : known;
  const disk = (call.world.host?.disks ?? DISKS).find((d) => d.devpath === device);
  return { health: disk?.health ?? 'UNKNOWN' };
};

const volumeGroups = (call: Call) => ({
  leaf: 0,
  children: (call.world.host?.volumeGroups ?? []).map((vg) => ({ ...vg, leaf: 0, children: [] })),
});

const noZfs = () => {
  throw died('zfsutils-linux not installed');
};

export const disks: Area = {
  'GET /nodes/{node}/disks/list': list,
  'GET /nodes/{node}/disks/smart': smart,
  'GET /nodes/{node}/disks/lvm': volumeGroups,
  'GET /nodes/{node}/disks/lvmthin': (call) => call.world.host?.thinPools ?? [],
  'GET /nodes/{node}/disks/directory': (call) => call.world.host?.directories ?? [],
  'GET /nodes/{node}/disks/zfs': noZfs,
};
