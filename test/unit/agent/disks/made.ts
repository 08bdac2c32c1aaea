/** Drives, records and inventories as tests want them: ordinary but for what is said. */
import type { Drive, DriveFilesystem, DriveRecord, Identity, Inventory, Reason } from '#agent/disks/inventory/drive';
import type { Evidence } from '#agent/disks/inventory/evidence';
import type { KernelDevice } from '#agent/ports/sysfs';

const GB = 1_000_000_000;

export const madeDevice = (facts: Partial<KernelDevice> = {}): KernelDevice => ({
  name: 'sdb',
  numbers: '8:16',
  rotational: false,
  usb: false,
  slaves: [],
  partitions: [],
  dm: null,
  sizeBytes: 500 * GB,
  diskseq: 7,
  removable: false,
  readOnly: false,
  path: '/sys/devices/pci0000:00/0000:00:17.0/ata2/host1/target1:0:0/1:0:0:0/block/sdb',
  transport: 'sata',
  model: 'Drive',
  serial: 'S1',
  wwn: '',
  usbDevice: null,
  pciAddresses: ['0000:00:17.0'],
  holders: [],
  backingFile: null,
  md: null,
  sectorsWritten: 0,
  sectorsRead: 0,
  suspended: false,
  logicalSectorBytes: 512,
  ...facts,
});

export const madeIdentity = (facts: Partial<Identity> = {}): Identity => {
  const { model = 'Drive', serial = 'S1', sizeBytes = 500 * GB } = facts;
  return {
    model,
    serial,
    wwn: '',
    sizeBytes,
    transport: 'sata',
    busPath: 'pci-0000:00:17.0-ata-2',
    tableUuid: '',
    keys: [`serial:${model}/${serial}/${sizeBytes}`],
    ...facts,
  };
};

export const madeFilesystem = (facts: Partial<DriveFilesystem> = {}): DriveFilesystem => ({
  device: 'sdb1',
  numbers: '8:17',
  sizeBytes: 499 * GB,
  fstype: 'ext4',
  uuid: '0b5f7c2e-8b1d-4f0e-9f0a-2c1d3e4f5a6b',
  label: 'photos',
  ...facts,
});

export const because = (role: Reason['role'], sentence = `It is ${role}.`, lasting = false): Reason => ({
  role,
  sentence,
  lasting,
});

type DriveFacts = Partial<Omit<Drive, 'identity' | 'device'>> & { identity?: Partial<Identity>; device?: Partial<KernelDevice> };

export const madeDrive = ({ identity, device, ...facts }: DriveFacts = {}): Drive => {
  const { name = 'sdb', role = 'user-data' } = facts;
  return {
    name,
    device: madeDevice({ name, ...device }),
    identity: madeIdentity(identity),
    filesystems: [],
    role,
    reasons: [because(role)],
    dataBearing: true,
    dataReason: 'It holds a file system.',
    holders: [],
    twins: [],
    record: null,
    related: [],
    state: 'available',
    ...facts,
  };
};

export const madeRecord = (facts: Partial<DriveRecord> = {}): DriveRecord => ({
  id: 1,
  name: 'sdb',
  model: 'Drive',
  serial: 'S1',
  wwn: '',
  sizeBytes: 500 * GB,
  transport: 'sata',
  keys: [`serial:Drive/S1/${500 * GB}`],
  firstSeenAt: 1000,
  lastSeenAt: 1000,
  role: null,
  owner: null,
  ...facts,
});

export const madeInventory = (facts: Partial<Inventory> = {}): Inventory => ({
  drives: [],
  unplugged: [],
  missing: [],
  unmatchedProtect: [],
  ...facts,
});

/** Every source answered, and there is nothing. */
export const madeEvidence = (facts: Partial<Evidence> = {}): Evidence => ({
  kernel: { known: true, value: [] },
  udev: { known: true, value: new Map() },
  mounts: { known: true, value: [] },
  swaps: { known: true, value: [] },
  lvm: { known: true, value: [] },
  zfs: { known: true, value: [] },
  md: { known: true, value: [] },
  btrfs: { known: true, value: [] },
  host: {
    known: true,
    value: { fstab: [], crypttab: [], mdUuids: [], units: [], bootUuids: [], efiPartitions: [], datastores: [] },
  },
  proxmox: { known: true, value: { node: 'pve1', storages: [], guests: [], pci: [], usb: [], directories: [] } },
  probes: new Map(),
  looks: new Map(),
  asleep: new Set(),
  notAnswering: new Set(),
  ...facts,
});
