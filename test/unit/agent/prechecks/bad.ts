/** Everything that can be bad, each as one change to a good host, in the order in which it is told. */
import type { PrecheckCode } from '#agent/prechecks/verdict';
import { NEVER, unreachable } from '../fake-host.ts';
import { GB, guest, mountinfo, pool, ROOT_DEVICE, room, type World } from './world.ts';

export interface Bad {
  what: string;
  code: PrecheckCode;
  /** What the evidence has to say. */
  evidence: RegExp;
  change: (world: World) => void;
  /** Only time ends it. */
  hangs?: true;
}

const place = (node: string) => async () => ({ state: 'ok' as const, guests: new Map([[101, { node, type: 'lxc' as const }]]) });

/** One storage's configuration, changed. */
const usb =
  (facts: Partial<World['storages'][number]>): Bad['change'] =>
  (world) => {
    world.storages = world.storages.map((one) => (one.storage === 'usb' ? { ...one, ...facts } : one));
  };
const set =
  (facts: Partial<World>): Bad['change'] =>
  (world) => {
    Object.assign(world, facts);
  };
/** Of the mounts by their points, so that several changes do not undo each other. */
const mounts =
  (change: (lines: string[]) => string[]): Bad['change'] =>
  (world) => {
    world.hostMounts = change(world.hostMounts.split('\n')).join('\n');
  };
/** A drive again, whatever a later change of the table had made of it. */
const drive = usb({ type: 'dir', path: '/mnt/usb' });
const onDrive =
  (change: Bad['change']): Bad['change'] =>
  (world) => {
    drive(world);
    change(world);
  };
const inside =
  (...more: Parameters<typeof mountinfo>): Bad['change'] =>
  (world) => {
    world.inside = `${world.inside}\n${mountinfo(...more)}`;
  };

const onDirectory: Bad['change'] = (world) => {
  const before = world.config;
  world.config = async () => ({ ...(await before()), mp0: 'files:101/vm-101-disk-1.raw,mp=/data,backup=1,size=8G' });
};

export const BAD: readonly Bad[] = [
  {
    what: 'the cluster file system is not mounted',
    code: 'pmxcfs-down',
    evidence: /not mounted/,
    change: set({ cluster: async () => ({ state: 'not-mounted', guests: new Map() }) }),
  },
  {
    what: 'the cluster has no quorum',
    code: 'pmxcfs-down',
    evidence: /no quorum/,
    change: set({ cluster: async () => ({ ...(await place('pve1')()), state: 'no-quorum' }) }),
  },
  {
    what: 'the cluster file system fails',
    code: 'pmxcfs-down',
    evidence: /unexpected/,
    change: set({ cluster: () => Promise.reject(new Error('EIO')) }),
  },
  {
    what: 'the cluster file system hangs',
    code: 'pmxcfs-down',
    evidence: /in time/,
    change: set({ cluster: () => NEVER }),
    hangs: true,
  },
  {
    what: 'Proxmox does not answer',
    code: 'proxmox-unreachable',
    evidence: /no answer/,
    change: set({ resourcesFail: unreachable() }),
  },
  {
    what: "Proxmox's storages are not told",
    code: 'proxmox-unreachable',
    evidence: /HTTP 596/,
    change: set({ storagesFail: unreachable(596) }),
  },
  {
    what: 'the guest is gone',
    code: 'guest-gone',
    evidence: /still shown/,
    change: set({ cluster: async () => ({ state: 'ok', guests: new Map() }) }),
  },
  { what: 'the guest has moved', code: 'guest-elsewhere', evidence: /pve2/, change: set({ cluster: place('pve2') }) },
  {
    what: 'the guest is hidden',
    code: 'guest-unreadable',
    evidence: /not among/,
    change: set({ guests: [guest({ vmid: 102 })] }),
  },
  {
    what: 'the configuration may not be read',
    code: 'guest-unreadable',
    evidence: /HTTP 403/,
    change: set({ config: () => Promise.reject(unreachable(403)) }),
  },
  {
    what: 'the configuration never comes',
    code: 'guest-unreadable',
    evidence: /in time/,
    change: set({ config: () => NEVER }),
    hangs: true,
  },
  {
    what: 'the guest is locked',
    code: 'guest-locked',
    evidence: /lock: backup/,
    change: (world) => {
      const before = world.config;
      world.config = async () => ({ ...(await before()), lock: 'backup' });
    },
  },
  {
    what: 'there is no such storage',
    code: 'target-missing',
    evidence: /no such storage/,
    change: (world) => {
      world.storages = world.storages.filter(({ storage }) => storage !== 'usb');
    },
  },
  { what: 'the storage is disabled', code: 'target-missing', evidence: /disabled/, change: usb({ disabled: true }) },
  {
    what: 'the storage belongs to other nodes',
    code: 'target-missing',
    evidence: /only on pve2, pve3/,
    change: usb({ nodes: ['pve2', 'pve3'] }),
  },
  { what: 'the storage is not for backups', code: 'target-missing', evidence: /content/, change: usb({ content: 'iso,images' }) },
  {
    what: 'the drive is not mounted where Proxmox expects it',
    code: 'target-not-mounted',
    evidence: /\/mnt\/usb2/,
    change: usb({ type: 'dir', path: '/mnt/usb', keys: { is_mountpoint: '/mnt/usb2' } }),
  },
  {
    what: 'Proxmox calls the storage inactive',
    code: 'target-inactive',
    evidence: /unknown/,
    change: (world) => {
      world.reported = world.reported.map((one) => (one.storage === 'usb' ? { ...one, status: 'unknown' } : one));
    },
  },
  {
    what: 'the share is not mounted',
    code: 'target-not-mounted',
    evidence: /\/mnt\/pve\/usb/,
    change: (world) => {
      usb({ type: 'nfs', path: '/mnt/pve/usb' })(world);
      world.rooms['/mnt/pve/usb'] = room(900 * GB, ROOT_DEVICE);
    },
  },
  {
    what: 'the room of the target is not told',
    code: 'target-inactive',
    evidence: /cannot be measured/,
    change: onDrive((world) => {
      world.rooms = { '/var/tmp': room(50 * GB, ROOT_DEVICE) };
    }),
  },
  {
    what: 'the target hangs',
    code: 'target-inactive',
    evidence: /in time/,
    change: onDrive((world) => {
      world.rooms['/mnt/usb/dump'] = 'hangs';
    }),
    hangs: true,
  },
  {
    what: 'the file system of the target is read-only',
    code: 'target-read-only',
    evidence: /mounted ro/,
    change: onDrive(
      mounts((lines) => lines.map((line) => (line.includes(' /mnt/usb ') ? line.replace(/rw$/, 'ro,errors=remount-ro') : line))),
    ),
  },
  {
    what: 'ext4 has closed itself after an error',
    code: 'target-read-only',
    evidence: /emergency_ro/,
    change: onDrive(
      mounts((lines) =>
        lines.map((line) => (line.includes(' /mnt/usb ') ? line.replace(/(rw|ro.*)$/, 'rw,emergency_ro') : line)),
      ),
    ),
  },
  {
    what: 'nobody tells the figures of a remote target',
    code: 'target-inactive',
    evidence: /no figures/,
    change: (world) => {
      usb({ type: 'pbs', path: '' })(world);
      world.reported = world.reported.map((one) => (one.storage === 'usb' ? { ...one, maxdisk: null } : one));
    },
  },
  {
    what: 'the target is full',
    code: 'target-full',
    evidence: /^storage usb: 7\.0 GB free, 7\.8 GB needed \(the largest of the last archives is 2\.0 GB; 5\.4 GB stay free\)$/,
    change: (world) => {
      for (const path of ['/mnt/usb', '/mnt/usb/dump']) if (world.rooms[path] !== undefined) world.rooms[path] = room(7 * GB);
    },
  },
  {
    what: 'the thin pool is full',
    code: 'thin-pool-full',
    evidence: /85\.1 % of its room/,
    change: set({ pools: async () => [pool({ dataFraction: 0.851 })] }),
  },
  {
    what: "the thin pool's metadata is full",
    code: 'thin-pool-full',
    evidence: /75\.1 % of its metadata/,
    change: set({ pools: async () => [pool({ metadataFraction: 0.751 })] }),
  },
  {
    what: 'the thin pool is read-only',
    code: 'thin-pool-full',
    evidence: /read-only/,
    change: set({ pools: async () => [pool({ state: 'ro' })] }),
  },
  {
    what: 'the thin pool has no room',
    code: 'thin-pool-full',
    evidence: /no room/,
    change: set({ pools: async () => [pool({ state: 'out_of_data_space' })] }),
  },
  {
    what: 'the thin pool has failed',
    code: 'thin-pool-full',
    evidence: /failed/,
    change: set({ pools: async () => [pool({ state: 'fail', dataFraction: null, metadataFraction: null })] }),
  },
  {
    what: 'the thin pool has to be checked',
    code: 'thin-pool-full',
    evidence: /checked/,
    change: set({ pools: async () => [pool({ needsCheck: true })] }),
  },
  { what: 'vzdump runs', code: 'node-lock-busy', evidence: /held/, change: set({ locked: async () => true }) },
  {
    what: 'the guest has FUSE inside',
    code: 'guest-fuse',
    evidence: /fuse\.rclone at \/cloud/,
    change: inside(['0:70', '/cloud', 'fuse.rclone']),
  },
  {
    what: 'the guest has ntfs-3g inside',
    code: 'guest-fuse',
    evidence: /fuseblk at \/win/,
    change: inside(['0:72', '/win', 'fuseblk']),
  },
  {
    what: 'a network drive of the guest is dead',
    code: 'guest-mount-dead',
    evidence: /\/nas/,
    change: (world) => {
      inside(['0:71', '/nas', 'nfs4'])(world);
      world.dead.push('/nas');
    },
  },
  {
    what: 'a network drive of the guest does not even fail',
    code: 'guest-mount-dead',
    evidence: /\/nas2/,
    change: (world) => {
      inside(['0:73', '/nas2', 'cifs'])(world);
      world.mute.push('/nas2');
    },
    hangs: true,
  },
  {
    what: 'the copy of suspend mode has no room',
    code: 'suspend-no-room',
    evidence: /^7\.0 GB free, 8\.0 GB needed/,
    change: (world) => {
      onDirectory(world);
      mounts((lines) => lines.map((line) => line.replace('/mnt/usb rw - ext4', '/mnt/usb rw - btrfs')))(world);
      world.rooms['/var/tmp'] = room(7 * GB, ROOT_DEVICE);
    },
  },
  {
    what: 'the guest writes too much',
    code: 'guest-sync-slow',
    evidence: /2\.5 s, 2\.5 s, 2\.5 s, 2\.5 s, 2\.5 s/,
    change: set({ syncMs: [2_500] }),
  },
];

/** The same changes for tables of good hosts. */
export { inside, mounts, set, usb };
