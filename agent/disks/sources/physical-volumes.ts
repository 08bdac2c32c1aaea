/** LVM's volumes without waking a drive: udev tells which devices carry one, and each is read once while it is plugged in and awake. */
import type { Lvm, PhysicalVolume } from '../../ports/lvm.ts';
import type { KernelDevice } from '../../ports/sysfs.ts';
import type { UdevEntry } from '../../ports/udev-db.ts';
import { isDriveDevice } from '../inventory/kinds.ts';

export interface VolumePorts {
  lvm: Lvm;
  /** Asked of drives that carry a volume which was not read yet; must not wake them. */
  isAsleep: (device: KernelDevice) => Promise<boolean>;
}

/** A device that udev says carries a volume. */
interface Member {
  drive: KernelDevice;
  /** `/dev/sda3`. */
  device: string;
  uuid: string;
}

/** LVM itself does not look into its own volumes, nor Proxmox into those of guests: what is inside is a guest's. */
const GUESTS_OWN = /^(?:zd|rbd|nbd|sr|ram|zram)\d+$/;
const isLayerOfGuests = ({ name, dm }: KernelDevice): boolean => GUESTS_OWN.test(name) || dm?.uuid.startsWith('LVM-') === true;

/** sysfs writes `!` where the device's path has `/`. */
const pathOf = (name: string): string => `/dev/${name.replaceAll('!', '/')}`;

const membersOf = (
  devices: readonly KernelDevice[],
  udev: ReadonlyMap<string, UdevEntry>,
  loopDrives: readonly string[],
): Member[] =>
  devices
    .filter((device) => !isLayerOfGuests(device) && (device.backingFile === null || isDriveDevice(device, loopDrives)))
    .flatMap((drive) =>
      [drive, ...drive.partitions].flatMap(({ name }) => {
        const { ID_FS_TYPE: type, ID_FS_UUID: uuid = '' } = udev.get(name)?.properties ?? {};
        return type === 'LVM2_member' ? [{ drive, device: pathOf(name), uuid }] : [];
      }),
    );

/** Another plugging in, another volume, another group at work: then LVM is asked again. */
const fingerprint = (members: readonly Member[], devices: readonly KernelDevice[]): string =>
  JSON.stringify([
    members.map(({ drive, device, uuid }) => [device, drive.diskseq, uuid]),
    devices.flatMap(({ dm }) => (dm?.uuid.startsWith('LVM-') ? [dm.uuid, dm.name] : [])).sort(),
  ]);

const awakeOf = async (members: readonly Member[], isAsleep: VolumePorts['isAsleep']): Promise<Member[]> => {
  const drives = [...new Set(members.map(({ drive }) => drive))];
  const asleep = new Set((await Promise.all(drives.map(async (drive) => ((await isAsleep(drive)) ? [drive] : [])))).flat());
  return members.filter(({ drive }) => !asleep.has(drive));
};

/** What pvs said, and beside it every member that it left out (asleep, a second one of the same UUID, not readable) as far as udev knows it. */
const completed = (
  rows: readonly PhysicalVolume[],
  members: readonly Member[],
  before: readonly PhysicalVolume[],
): PhysicalVolume[] => {
  const listed = new Set(rows.map(({ device }) => device));
  const left = members.filter(({ device }) => !listed.has(device));
  const found = rows.filter(({ missing, uuid }) => !missing || !left.some((member) => member.uuid === uuid));
  const known = left.map(
    ({ device, uuid }): PhysicalVolume =>
      before.find((row) => row.device === device && row.uuid === uuid) ?? {
        device,
        uuid,
        group: '',
        groupUuid: '',
        missing: false,
      },
  );
  return [...found, ...known];
};

export const createPhysicalVolumes = ({ lvm, isAsleep }: VolumePorts, loopDrives: readonly string[]) => {
  let last: { fingerprint: string; volumes: PhysicalVolume[] } | null = null;
  return async (devices: readonly KernelDevice[], udev: ReadonlyMap<string, UdevEntry>): Promise<PhysicalVolume[]> => {
    const members = membersOf(devices, udev, loopDrives);
    const now = fingerprint(members, devices);
    if (last?.fingerprint === now) return last.volumes;
    const awake = await awakeOf(members, isAsleep);
    const rows = await lvm.physicalVolumes(awake.map(({ device }) => device));
    last = { fingerprint: now, volumes: completed(rows, members, last?.volumes ?? []) };
    return last.volumes;
  };
};
