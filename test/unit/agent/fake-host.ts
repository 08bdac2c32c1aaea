/** A host whose figures are ordinary until a test changes them. */
import type { Proc } from '#agent/ports/proc';
import { type Proxmox, ProxmoxError, type Resources, type StorageConfig, type StorageResource } from '#agent/ports/proxmox';
import type { BlockDevice, KernelDevice, Sysfs } from '#agent/ports/sysfs';

export const NEVER = new Promise<never>(() => {});

export const unreachable = (status = 0) =>
  new ProxmoxError({ method: 'GET', path: '/cluster/resources', status, message: 'connect ECONNREFUSED', effect: 'never' });

/** A processor that is half busy: one tick of each a millisecond. */
export const fakeProc = (nowMs: () => number): Proc => ({
  stat: async () => `cpu  ${nowMs()} 0 0 ${nowMs()} 0 0 0 0 0 0\n`,
  meminfo: async () => 'MemTotal: 1000 kB\nMemAvailable: 250 kB\n',
  loadavg: async () => '0.10 0.20 0.30 1/91 6581\n',
  partitions: async () => '',
  uptime: async () => '1362.93 2540.75\n',
  mountinfo: async () =>
    '26 1 252:0 / / rw shared:1 - ext4 /dev/mapper/pve-root rw\n40 26 8:1 / /mnt/bak rw - ext4 /dev/sda1 rw\n',
  mountinfoOf: async () => '60 59 252:9 / / rw - ext4 /dev/mapper/pve-vm--101--disk--0 rw\n',
  statusOf: async () => null,
  locks: async () => '',
  fdinfo: async () => '',
  arcstats: async () => null,
  swaps: async () => 'Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n',
  mdstat: async () => 'Personalities : \nunused devices: <none>\n',
  devices: async () => 'Character devices:\n  1 mem\n\nBlock devices:\n  8 sd\n259 blkext\n',
  filesystems: async () => 'nodev\tsysfs\n\text4\n',
  processes: async () => [1],
  mountNamespaceOf: async () => 'mnt:[4026531841]',
  rootOf: async () => '/',
  openFilesOf: async () => ['/dev/null'],
});

const DEVICE: BlockDevice = { name: '', numbers: '', rotational: false, usb: false, slaves: [], partitions: [], dm: null };
const device = (facts: Partial<BlockDevice>): BlockDevice => ({ ...DEVICE, ...facts });

/** A whole drive as the kernel tells of it; nothing stands on it until a test says so. */
export const kernelDevice = (facts: Partial<KernelDevice>): KernelDevice => ({
  ...DEVICE,
  partitions: [],
  sizeBytes: 1 << 30,
  diskseq: 1,
  removable: false,
  readOnly: false,
  path: `/sys/devices/pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0/block/${facts.name ?? ''}`,
  transport: 'sata',
  model: '',
  serial: '',
  wwn: '',
  usbDevice: null,
  pciAddresses: ['0000:00:1f.2'],
  holders: [],
  backingFile: null,
  md: null,
  sectorsWritten: 0,
  sectorsRead: 0,
  suspended: false,
  logicalSectorBytes: 512,
  ...facts,
});

export const fakeSysfs = (): Sysfs => ({
  kernelDevices: async () => [kernelDevice({ name: 'sda', numbers: '8:0', model: 'DISK', serial: '1' })],
  hwmon: async () => [{ name: 'coretemp', temperatures: [{ label: 'Package id 0', millidegrees: 45_900 }] }],
  blockDevices: async () => [
    device({ name: 'nvme0n1', numbers: '259:0', partitions: [{ name: 'nvme0n1p3', numbers: '259:3' }] }),
    device({ name: 'dm-0', numbers: '252:0', slaves: ['nvme0n1p3'], dm: { name: 'pve-root', uuid: 'LVM-1' } }),
    device({ name: 'sda', numbers: '8:0', rotational: true, partitions: [{ name: 'sda1', numbers: '8:1' }] }),
  ],
  btrfsMembers: async () => [],
  diskLinks: async () => ({ '/dev/disk/by-id/ata-DISK_1': 'sda' }),
});

export const storageConfig = (facts: Partial<StorageConfig>): StorageConfig => ({
  storage: 'local',
  type: 'dir',
  content: 'iso,backup',
  path: '/var/lib/vz',
  disabled: false,
  nodes: [],
  keys: {},
  ...facts,
});

export const storageResource = (facts: Partial<StorageResource>): StorageResource => ({
  storage: 'local',
  node: 'pve1',
  type: 'dir',
  status: 'available',
  maxdisk: 1000,
  disk: 250,
  content: 'iso,backup',
  shared: false,
  ...facts,
});

export interface FakeProxmox extends Pick<Proxmox, 'node' | 'resources' | 'storageConfigs' | 'guestConfig'> {
  calls: string[];
}

export const fakeProxmox = (
  answers: Partial<{
    resources: () => Promise<Resources>;
    storages: () => Promise<StorageConfig[]>;
    config: () => Promise<Record<string, string>>;
  }>,
): FakeProxmox => {
  const calls: string[] = [];
  const called = <T>(name: string, answer: (() => Promise<T>) | undefined, otherwise: T) => {
    calls.push(name);
    return answer === undefined ? Promise.resolve(otherwise) : answer();
  };
  return {
    node: 'pve1',
    calls,
    resources: () => called('resources', answers.resources, { guests: [], storages: [storageResource({})] }),
    storageConfigs: () => called('storages', answers.storages, [storageConfig({})]),
    guestConfig: (type, vmid) => called(`config ${type} ${vmid}`, answers.config, {}),
  };
};
