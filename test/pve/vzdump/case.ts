/** All that decides a guest's lines, read from the world beforehand. Pure. */

import type { Guest, Storage, World } from '../world.ts';
import { configSizeBytes } from './format.ts';
import type { Retention } from './prune.ts';

export type Mode = 'snapshot' | 'suspend' | 'stop';

interface GuestVolume {
  /** `rootfs`, `mp0`, `scsi0` */
  key: string;
  kind: 'volume' | 'bind' | 'device';
  volid: string;
  /** Where a container mounts it; of a disk its key. */
  at: string;
  /** As configured: `32G`. */
  size: string;
  included: boolean;
  /** Why not. */
  reason: string;
}

export type Target =
  | { kind: 'file'; directory: string; name: string }
  | { kind: 'pbs'; name: string }
  | { kind: 'provider'; provider: string; name: string };

export interface GuestCase {
  vmid: number;
  type: Guest['type'];
  node: string;
  name: string | undefined;
  running: boolean;
  paused: boolean;
  agent: 'off' | 'answers' | 'silent';
  pid: number;
  volumes: GuestVolume[];
  unused: string[];
  /** Every included volume can be snapshotted. */
  snapshots: boolean;
  /** A `vzdump` snapshot of an earlier run is still there. */
  oldSnapshot: boolean;
  /** Any snapshot at all. */
  hasSnapshots: boolean;
  mode: Mode;
  target: Target;
  tmpDir: string;
  /** The file system of the target, if it is one on which vzdump keeps its temporary files elsewhere. */
  oddFilesystem: string | undefined;
  bwlimit: number;
  ionice: number;
  notes: boolean;
  protect: boolean;
  /** Absent: nothing is pruned. */
  retention: Retention | undefined;
}

/** `local:101/disk.raw,size=4G` into its head and its options. */
const parseValue = (value: string): { head: string; options: Record<string, string> } => {
  const [head = '', ...rest] = value.split(',');
  const pairs = [...(head.includes('=') ? [head] : []), ...rest].map((p) => p.split('='));
  const options = Object.fromEntries(pairs.map(([k = '', v = '']) => [k, v]));
  return { head: head.includes('=') ? (options.volume ?? options.file ?? '') : head, options };
};

const byNumber = (a: string, b: string): number => a.localeCompare(b, 'en', { numeric: true });

/** Container: the root always, other volumes with `backup=1`, binds and devices never (PVE/LXC/Config.pm). */
const mountPoint = (key: string, value: string): GuestVolume => {
  const { head, options } = parseValue(value);
  const kind = head.startsWith('/dev/') ? 'device' : head.startsWith('/') ? 'bind' : 'volume';
  const included = key === 'rootfs' || (kind === 'volume' && options.backup === '1');
  const at = key === 'rootfs' ? '/' : (options.mp ?? `/${key}`);
  return {
    key,
    kind,
    volid: head,
    at,
    size: options.size ?? '',
    included,
    reason: kind === 'volume' ? 'disabled' : 'not a volume',
  };
};

const disk = (key: string, value: string, ovmf: boolean): GuestVolume => {
  const { head, options } = parseValue(value);
  const odd = key.startsWith('efidisk') && !ovmf ? "efidisks can only be backed up when BIOS is set to 'ovmf'" : undefined;
  const reason = options.backup === '0' ? 'backup=no' : (odd ?? '');
  return { key, kind: 'volume', volid: head, at: `/${key}`, size: options.size ?? '', included: reason === '', reason };
};

const volumesOf = ({ type, config }: Guest): GuestVolume[] => {
  const keys = Object.keys(config).sort(byNumber);
  const value = (key: string): string => String(config[key]);
  if (type === 'lxc') {
    const mounts = keys.filter((k) => /^mp\d+$/.test(k));
    return [...('rootfs' in config ? ['rootfs'] : []), ...mounts].map((k) => mountPoint(k, value(k)));
  }
  return keys
    .filter((k) => /^(ide|sata|scsi|virtio|efidisk|tpmstate)\d+$/.test(k))
    .filter((k) => !/media=cdrom/.test(value(k)) && !/^none\b/.test(value(k)))
    .map((k) => disk(k, value(k), config.bios === 'ovmf'));
};

/** Enabled by `1` or `enabled=1`; the freeze can be switched off alone. */
const agentOf = (guest: Guest): GuestCase['agent'] => {
  const text = String(guest.config.agent ?? '0');
  if (!/^(1|enabled=1)\b|,enabled=1\b/.test(text) || /freeze-fs(-on-backup)?=0/.test(text)) return 'off';
  return guest.guestAgentRuns ? 'answers' : 'silent';
};

const canSnapshot = (storages: World['storages'], volume: GuestVolume): boolean =>
  storages.get(volume.volid.split(':')[0] ?? '')?.snapshots === true;

export const guestName = (guest: Guest): string | undefined => {
  const name = guest.type === 'lxc' ? guest.config.hostname : guest.config.name;
  return name === undefined ? undefined : String(name);
};

/** What the job decides, the same for each of its guests or worked out by it. */
export type JobFacts = Pick<
  GuestCase,
  'mode' | 'target' | 'tmpDir' | 'oddFilesystem' | 'bwlimit' | 'ionice' | 'notes' | 'protect' | 'retention'
>;

export const readCase = (world: World, guest: Guest, job: JobFacts): GuestCase => {
  const volumes = volumesOf(guest);
  return {
    ...job,
    vmid: guest.vmid,
    type: guest.type,
    node: world.node,
    name: guestName(guest),
    running: guest.status === 'running',
    paused: guest.paused,
    agent: agentOf(guest),
    pid: guest.pid ?? 0,
    volumes,
    unused: Object.keys(guest.config)
      .filter((k) => /^unused\d+$/.test(k))
      .sort(byNumber)
      .map((k) => String(guest.config[k])),
    snapshots: volumes.filter((v) => v.included).every((v) => canSnapshot(world.storages, v)),
    oldSnapshot: 'vzdump' in guest.snapshots,
    hasSnapshots: Object.keys(guest.snapshots).length > 0,
  };
};

export const includedBytes = (c: GuestCase): number =>
  c.volumes.filter((v) => v.included).reduce((sum, v) => sum + configSizeBytes(v.size), 0);

/** A storage's backups go to a PBS, to a backup provider's plug-in (a key of the simulator names it), or into files. */
export const targetKind = (storage: Storage): Target['kind'] => {
  if (storage.type === 'pbs') return 'pbs';
  return storage.config['backup-provider'] === undefined ? 'file' : 'provider';
};
