/** What the readings of a drive and of each of its partitions come to, and which file systems on it can be looked into. Pure. */
import { deviceFile, type Probed } from '../../ports/probe.ts';
import type { KernelDevice } from '../../ports/sysfs.ts';
import type { Known, Probe, SeenMount } from '../inventory/evidence.ts';
import { isBootSector, kindOf } from '../inventory/kinds.ts';

/** @param read of the drive itself first, then of every partition */
export const probeOf = (
  { partitions }: Pick<KernelDevice, 'partitions'>,
  read: readonly { name: string; probed: Probed }[],
): Probe => ({
  signatures: read.flatMap(({ name, probed }) => probed.signatures.map((one) => ({ device: name, ...one }))),
  ambivalent: read.filter(({ probed }) => probed.ambivalent).map(({ name }) => name),
  clean: partitions.length === 0 && read.every(({ probed }) => probed.nothing),
  tableUuid: read[0]?.probed.tableUuid ?? '',
  declared: read[0]?.probed.declared ?? null,
  partitionUuids: Object.fromEntries(
    read.slice(1).flatMap(({ name, probed }) => (probed.partitionUuid === '' ? [] : [[name, probed.partitionUuid]])),
  ),
});

/** A file system that stands alone on its device. */
export interface Lookable {
  device: string;
  numbers: string;
  fstype: string;
  uuid: string;
}

const lookableOn = (probe: Probe, { name, numbers }: { name: string; numbers: string }): Lookable[] => {
  const here = probe.signatures.filter(({ device }) => device === name);
  const types = [...new Set(here.map(({ type }) => type))];
  const [fstype, ...others] = types.filter(
    (type) =>
      !isBootSector(
        type,
        types.filter((one) => one !== type),
      ),
  );
  if (fstype === undefined || others.length > 0 || kindOf(fstype) !== 'filesystem' || probe.ambivalent.includes(name)) return [];
  return [{ device: name, numbers, fstype, uuid: here.find((one) => one.uuid !== '')?.uuid ?? '' }];
};

export const lookablesIn = (probe: Probe, device: Pick<KernelDevice, 'name' | 'numbers' | 'partitions'>): Lookable[] =>
  [device, ...device.partitions].flatMap((one) => lookableOn(probe, one));

/** `waits`: not now; another time it may be looked into. */
export type Way =
  | { by: 'device'; file: string; fstype: string }
  /** `pid`: by the eyes of that process; null: by our own. */
  | { by: 'mount'; point: string; numbers: string; pid: number | null }
  | { by: 'waits'; why: string };

/** A btrfs has numbers of its own, and is known by what was mounted. */
const isOf = ({ mount }: SeenMount, { device, numbers }: Lookable): boolean =>
  mount.device === numbers || mount.source === deviceFile(device);

/** By its mount where it is mounted: the kernel mounts nothing twice with other options. */
export const wayInto = (one: Lookable, mounts: Known<readonly SeenMount[]>): Way => {
  if (!mounts.known) return { by: 'waits', why: `Whether it is mounted cannot be told: ${mounts.why}` };
  const own = mounts.value.filter((seen) => isOf(seen, one));
  if (own.length === 0) return { by: 'device', file: deviceFile(one.device), fstype: one.fstype };
  const whole = own.filter(({ mount }) => mount.root === '/');
  const best = whole.find(({ host }) => host) ?? whole[0];
  if (best === undefined) return { by: 'waits', why: 'Only a part of it is mounted, so nobody could look into the whole.' };
  return { by: 'mount', point: best.mount.point, numbers: best.mount.device, pid: best.host ? null : best.pid };
};
