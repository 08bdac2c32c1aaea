/** Which block devices are drives, and what signatures on them mean. Pure. */
import type { KernelDevice } from '../../ports/sysfs.ts';

/** Whole drives by the kernel's names. A card's boot areas (`mmcblk0boot0`) and NVMe's hidden paths (`nvme0c0n1`) are none. */
const DRIVE = /^(sd[a-z]+|nvme\d+n\d+|mmcblk\d+)$/;
/** Disks of a virtual machine or a hypervisor's: shown, and never anybody's own. */
const VIRTUAL = /^(vd|xvd)[a-z]+$/;

/** Everything else (dm, md, zd, nbd, sr, ram, zram, other loops) is a layer on top of drives, or none. */
export const isDriveDevice = ({ name, backingFile }: KernelDevice, loopDrives: readonly string[]): boolean =>
  DRIVE.test(name) ||
  VIRTUAL.test(name) ||
  (/^loop\d+$/.test(name) && backingFile !== null && loopDrives.includes(backingFile.replace(/ \(deleted\)$/, '')));

/** Why a drive of this kind can never be user-data, as a sentence; empty where it may be. */
export const refusedKind = ({ name, transport }: KernelDevice): string => {
  if (VIRTUAL.test(name)) return 'It is a virtual disk of the machine that the host itself runs on.';
  return transport === 'network' ? 'It is a disk of another machine, reached over a network.' : '';
};

/**
 * `filesystem`: may be a customer's, once somebody has looked into it. `locked`: may be a customer's, nobody can look into it.
 * `table`: says nothing by itself. `set`: together with other drives it forms something; never a customer's. `unknown`: the rest.
 */
export type SignatureKind = 'filesystem' | 'locked' | 'table' | 'set' | 'unknown';

const FILESYSTEMS = 'ext2 ext3 ext4 xfs btrfs exfat vfat ntfs hfsplus f2fs udf iso9660'.split(' ');
/** Names as libblkid gives them (libblkid/src/superblocks/*.c). */
const SETS = (
  'LVM1_member LVM2_member DM_snapshot_cow linux_raid_member zfs_member bcache drbd drbdmanage_control_volume drbdproxy_datalog ' +
  'ceph_bluestore mpath_member stratis VMFS VMFS_volume_member ddf_raid_member isw_raid_member adaptec_raid_member ' +
  'highpoint_raid_member hpt37x_raid_member hpt45x_raid_member jmicron_raid_member lsi_mega_raid_member nvidia_raid_member ' +
  'promise_fasttrack_raid_member silicon_medley_raid_member via_raid_member ubi DM_integrity DM_verity_hash'
).split(' ');

const KINDS: ReadonlyMap<string, SignatureKind> = new Map([
  ...FILESYSTEMS.map((type): [string, SignatureKind] => [type, 'filesystem']),
  ['crypto_LUKS', 'locked'],
  ...['gpt', 'dos', 'PMBR'].map((type): [string, SignatureKind] => [type, 'table']),
  ...SETS.map((type): [string, SignatureKind] => [type, 'set']),
]);

export const kindOf = (type: string): SignatureKind => KINDS.get(type) ?? 'unknown';

/** What people call it. */
const NAMES: Readonly<Record<string, string>> = {
  LVM2_member: 'LVM',
  LVM1_member: 'LVM',
  linux_raid_member: 'a software RAID',
  zfs_member: 'ZFS',
  bcache: 'bcache',
  drbd: 'DRBD',
  ceph_bluestore: 'Ceph',
  mpath_member: 'multipath',
  crypto_LUKS: 'LUKS encryption',
  swap: 'swap space',
  gpt: 'a partition table (GPT)',
  dos: 'a partition table (DOS)',
  PMBR: 'the front part of a partition table (GPT)',
};

/** `LVM`, `a software RAID`, or the type as it is called by programs. */
export const signatureName = (type: string): string =>
  NAMES[type] ?? (type.endsWith('_raid_member') ? 'a RAID of a controller' : type);

/**
 * Partition types of sets, by GUID (GPT) or number (DOS): where no signature says so, the set's own has been lost or cannot be read.
 * https://uapi-group.org/specifications/specs/discoverable_partitions_specification/, zpool's and Ceph's own.
 */
const SET_PARTITIONS: ReadonlyMap<string, string> = new Map([
  ['e6d6d379-f507-44c2-a23c-238f2a3df928', 'LVM'],
  ['a19d880f-05fc-4d3b-a006-743f0f84911e', 'a software RAID'],
  ['6a898cc3-1dd2-11b2-99a6-080020736631', 'ZFS'],
  ['6a945a3b-1dd2-11b2-99a6-080020736631', 'ZFS'],
  ['4fbd7e29-9d25-41b8-afd0-062c0ceff05d', 'Ceph'],
  ['45b0969e-9b03-4f30-b4c6-b4b80ceff106', 'Ceph'],
  ['0x8e', 'LVM'],
  ['0xfd', 'a software RAID'],
  ['0xbf', 'ZFS'],
]);

/** What a partition is set aside for, by its type; empty where that may be a customer's. */
export const setOfPartitionType = (type: string): string => SET_PARTITIONS.get(type.toLowerCase()) ?? '';

/** A boot sector of these ends with the two bytes that a DOS table ends with. */
const WITH_BOOT_SECTOR: readonly string[] = ['exfat', 'ntfs', 'vfat'];
export const isBootSector = (type: string, others: readonly string[]): boolean =>
  type === 'dos' && others.some((other) => WITH_BOOT_SECTOR.includes(other));
