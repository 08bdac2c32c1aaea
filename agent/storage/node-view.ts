/** What several services need to know of this node, asked for at most every few seconds whatever the guests do, and never when idle. */

import type { Clock } from '#shared/clock';
import { parseMountinfo } from '#shared/mountinfo';
import { type Collector, createCollector } from '../collector.ts';
import type { Proc } from '../ports/proc.ts';
import type { Proxmox, Resources, StorageConfig } from '../ports/proxmox.ts';
import type { Sysfs } from '../ports/sysfs.ts';
import type { Drives } from './class.ts';

export interface NodeView {
  readonly node: string;
  resources: Collector<Resources>;
  storages: Collector<StorageConfig[]>;
  drives: Collector<Drives>;
}

export interface NodeViewPorts {
  clock: Clock;
  proxmox: Pick<Proxmox, 'node' | 'resources' | 'storageConfigs'>;
  proc: Pick<Proc, 'mountinfo'>;
  sysfs: Pick<Sysfs, 'blockDevices' | 'btrfsMembers' | 'diskLinks'>;
}

const PROXMOX = { deadlineMs: 3_000, keepMs: 5_000 };
const KERNEL = { deadlineMs: 3_000, keepMs: 30_000 };

export const createNodeView = ({ clock, proxmox, proc, sysfs }: NodeViewPorts): NodeView => ({
  node: proxmox.node,
  resources: createCollector(clock, PROXMOX, () => proxmox.resources()),
  storages: createCollector(clock, PROXMOX, () => proxmox.storageConfigs()),
  drives: createCollector(clock, KERNEL, async () => {
    const [devices, btrfsMembers, links, mountinfo] = await Promise.all([
      sysfs.blockDevices(),
      sysfs.btrfsMembers(),
      sysfs.diskLinks(),
      proc.mountinfo(),
    ]);
    return { devices, btrfsMembers, links, mounts: parseMountinfo(mountinfo) };
  }),
});
