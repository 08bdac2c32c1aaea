/** A guest's configuration as mounts, each with what vzdump would do with it. Pure. */
import type { GuestType } from '../ports/proxmox.ts';

export interface Volume {
  /** Proxmox's configuration key: `rootfs`, `mp0`, `scsi1` … */
  key: string;
  /** Proxmox's storage; empty for a bind, a device, or what cannot be read. */
  storage: string;
  /** The host's path of a bind or a device; empty for a volume. */
  hostPath: string;
  /** Inside a container; empty for a virtual machine's drive. */
  mountPoint: string;
  backup: boolean;
}

type Properties = ReadonlyMap<string, string>;

/** `value,key=value,…`: a bare value belongs to the default key. There is no quoting, and a value holds no comma. pve-common JSONSchema.pm, parse_property_string. */
const parseProperties = (text: string, defaultKey: string): Properties =>
  new Map(
    text
      .split(',')
      .filter((part) => part !== '')
      .map((part): [string, string] => {
        const [, key, value] = part.startsWith('/') ? [] : (/^([^=]+)=(.*)$/.exec(part) ?? []);
        return key === undefined || value === undefined ? [defaultKey, part] : [key, value];
      }),
  );

const isTrue = (value: string | undefined): boolean => value !== undefined && /^(1|on|yes|true)$/i.test(value);
const isFalse = (value: string | undefined): boolean => value !== undefined && /^(0|off|no|false)$/i.test(value);

/** pve-storage, parse_volume_id. */
const storageOf = (volume: string): string => /^([a-zA-Z][a-zA-Z0-9\-_.]*[a-zA-Z0-9]):.+$/.exec(volume)?.[1] ?? '';
const hostPathOf = (volume: string): string => (volume.startsWith('/') ? volume : '');

/** The root file system always, a volume where `backup` is set, binds and devices never. pve-container LXC/Config.pm, mountpoint_backup_enabled. */
const containerMount = (key: string, text: string): Volume => {
  const properties = parseProperties(text, 'volume');
  const volume = properties.get('volume') ?? '';
  const storage = storageOf(volume);
  return {
    key,
    storage,
    hostPath: hostPathOf(volume),
    mountPoint: key === 'rootfs' ? '/' : (properties.get('mp') ?? ''),
    backup: key === 'rootfs' || (storage !== '' && isTrue(properties.get('backup'))),
  };
};

/**
 * Every drive but those marked `backup=0`, a disk of the host given through included; an EFI disk only where the machine boots by
 * it. qemu-server QemuConfig.pm, get_backup_volumes.
 */
const machineDrive = (key: string, text: string, bios: string | undefined): Volume[] => {
  const properties = parseProperties(text, 'file');
  const file = properties.get('file') ?? properties.get('volume') ?? '';
  if (properties.get('media') === 'cdrom' || file === 'none' || file === 'cdrom') return [];
  const unusedEfi = key.startsWith('efidisk') && bios !== 'ovmf';
  const backup = !unusedEfi && !isFalse(properties.get('backup'));
  return [{ key, storage: storageOf(file), hostPath: hostPathOf(file), mountPoint: '', backup }];
};

/** A directory of the host, shared into a virtual machine: never part of a backup. */
const sharedDirectory = (key: string): Volume => ({ key, storage: '', hostPath: '', mountPoint: '', backup: false });

const CONTAINER_KEY = /^(rootfs|mp\d{1,3})$/;
const MACHINE_KEY = /^(ide|sata|scsi|virtio|efidisk|tpmstate)\d{1,2}$/;
const SHARED_KEY = /^virtiofs\d$/;

const KINDS = ['rootfs', 'mp', 'ide', 'sata', 'scsi', 'virtio', 'efidisk', 'tpmstate', 'virtiofs'];

/** By kind, then by number: `scsi2` before `scsi10`. */
const order = (key: string): number => KINDS.indexOf(key.replace(/\d+$/, '')) * 1000 + Number(/\d+$/.exec(key)?.[0] ?? 0);

const ofKey = (type: GuestType, key: string, text: string, bios: string | undefined): Volume[] => {
  if (type === 'lxc') return CONTAINER_KEY.test(key) ? [containerMount(key, text)] : [];
  if (SHARED_KEY.test(key)) return [sharedDirectory(key)];
  return MACHINE_KEY.test(key) ? machineDrive(key, text, bios) : [];
};

export const guestVolumes = (type: GuestType, config: Readonly<Record<string, string>>): Volume[] =>
  Object.entries(config)
    .flatMap(([key, text]) => ofKey(type, key, text, config.bios))
    .sort((a, b) => order(a.key) - order(b.key));
