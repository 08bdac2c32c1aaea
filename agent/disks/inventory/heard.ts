/** What the sources told, with nothing in the place of those that gave no whole answer, and a list of these. Pure. */
import type { Evidence, Known, Look, Probe } from './evidence.ts';
import { plain } from './plain.ts';

type Sources = Omit<Evidence, 'probes' | 'looks' | 'asleep' | 'notAnswering'>;
type Answers = { [Source in keyof Sources]: Sources[Source] extends Known<infer T> ? T : never };

export interface Heard extends Answers {
  probes: Evidence['probes'];
  looks: ReadonlyMap<string, Known<Look>>;
  asleep: ReadonlySet<string>;
  notAnswering: ReadonlySet<string>;
  missing: { source: string; why: string }[];
}

/** As they are named in a sentence. */
const NAMES: Record<keyof Sources, string> = {
  kernel: "the kernel's list of drives (/sys)",
  udev: "udev's database",
  mounts: 'the list of mounts (/proc)',
  swaps: 'the list of swap space (/proc/swaps)',
  lvm: 'LVM (pvs)',
  zfs: 'ZFS (zpool)',
  md: 'the list of software RAIDs (/proc/mdstat)',
  btrfs: "btrfs' list of drives (/sys/fs/btrfs)",
  host: "the host's own configuration (fstab, crypttab, units)",
  proxmox: "Proxmox's configuration",
};

const EMPTY: Answers = {
  kernel: [],
  udev: new Map(),
  mounts: [],
  swaps: [],
  lvm: [],
  zfs: [],
  md: [],
  btrfs: [],
  host: { fstab: [], crypttab: [], mdUuids: [], units: [], bootUuids: [], efiPartitions: [], datastores: [] },
  proxmox: { node: '', storages: [], guests: [], pci: [], usb: [], directories: [] },
};

const answer = <T>(known: Known<T>, empty: T): T => (known.known ? known.value : empty);

export const heardFrom = (evidence: Evidence): Heard => ({
  kernel: answer(evidence.kernel, EMPTY.kernel),
  udev: answer(evidence.udev, EMPTY.udev),
  mounts: answer(evidence.mounts, EMPTY.mounts),
  swaps: answer(evidence.swaps, EMPTY.swaps),
  lvm: answer(evidence.lvm, EMPTY.lvm),
  zfs: answer(evidence.zfs, EMPTY.zfs),
  md: answer(evidence.md, EMPTY.md),
  btrfs: answer(evidence.btrfs, EMPTY.btrfs),
  host: answer(evidence.host, EMPTY.host),
  proxmox: answer(evidence.proxmox, EMPTY.proxmox),
  probes: evidence.probes,
  looks: evidence.looks,
  asleep: evidence.asleep,
  notAnswering: evidence.notAnswering,
  missing: (Object.keys(NAMES) as (keyof Sources)[]).flatMap((source) => {
    const told = evidence[source];
    return told.known ? [] : [{ source: NAMES[source], why: plain(told.why, 300) }];
  }),
});

/** Null: not read, or not to be read. */
export const probeOf = ({ probes }: Pick<Heard, 'probes'>, drive: string): Probe | null => {
  const probe = probes.get(drive);
  return probe?.known ? probe.value : null;
};
