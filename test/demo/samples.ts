/** The demo's drives where there can be no real ones: what an agent is told of a host with five, of which nothing exists. */
import type { DriveSources } from '#agent/serve-drive-evidence';
import { containerText, sourcesOf } from '../contract/drive-sources.ts';
import type { HostSpec } from '../unit/agent/disks/host.ts';
import type { DemoDrives } from './drives.ts';
import { BACKUP_STORAGE, storageIn } from './host.ts';
import { mountRootOf } from './take-down.ts';

export const sampleDrives = (dir: string): DemoDrives => ({
  devices: { system: 'sda', backup: 'sdb', user_data: ['sdc', 'sdd'], blank: 'sde' },
  settings: { mount_root: mountRootOf(dir), udev_dir: '/run/udev', loop_drives: [], guests: [101] },
  close: async () => undefined,
});

const hostIn = (dir: string): HostSpec => ({
  drives: [
    {
      ...{ name: 'sda', model: 'Samsung SSD 870 EVO', serial: 'S62ANJ0R000101', wwn: '0x5002538f00000101', gb: 500 },
      parts: [{ on: [{ type: 'vfat', uuid: 'ABCD-0001' }] }, { on: [{ type: 'ext4' }] }, { on: [{ type: 'btrfs' }] }],
    },
    {
      ...{ name: 'sdb', model: 'WDC WD20EFZX-68A', serial: 'WD-WX12A0000102', wwn: '0x50014ee200000102', gb: 2000 },
      on: [{ type: 'ext4', label: 'backup' }],
    },
    {
      ...{ name: 'sdc', model: 'Portable SSD T7', serial: 'S5SXNS0R000103', gb: 1000, usb: { port: '2-1' } },
      on: [{ type: 'ext4', label: 'photos' }],
    },
    {
      ...{ name: 'sdd', model: 'ST4000VN006-3CW104', serial: 'ZW6000104', wwn: '0x5000c50000000104', gb: 4000 },
      parts: [{ on: [{ type: 'xfs', label: 'films' }] }],
    },
    { name: 'sde', model: 'Elements 25A3', serial: 'WXB2A0000105', gb: 1000, usb: { port: '2-2' }, parts: [] },
  ],
  mounts: [
    { point: '/boot/efi', from: 'sda1', fstype: 'vfat' },
    { point: '/', from: 'sda2' },
    { point: storageIn(dir, 'local-btrfs'), from: 'sda3', fstype: 'btrfs' },
    { point: storageIn(dir, BACKUP_STORAGE), from: 'sdb' },
  ],
  storages: [
    { type: 'btrfs', id: 'local-btrfs', path: storageIn(dir, 'local-btrfs'), content: 'images,rootdir' },
    { type: 'dir', id: BACKUP_STORAGE, path: storageIn(dir, BACKUP_STORAGE), content: 'backup' },
  ],
  guests: { ct101: containerText(101) },
});

/** As smartctl(8) puts it for a drive that is well. */
const WELL = JSON.stringify({
  json_format_version: [1, 0],
  smartctl: { version: [7, 3], exit_status: 0 },
  device: { name: '/dev/sda', type: 'sat', protocol: 'ATA' },
  smart_status: { passed: true },
  temperature: { current: 34 },
  power_on_time: { hours: 8123 },
});

/** No drive of a machine has been plugged in so often since it was started: none of its own is ever taken for a sample. */
const DISKSEQ = 2 ** 40;

/** Size and number of the blank one, for the proof that it was read. */
export const BLANK = { diskseq: DISKSEQ + 5, sizeBytes: 1000e9 };

/** What is asked of them is answered, what is to be done to them is refused. */
export const sampleSources = (dir: string): DriveSources => {
  const sources = sourcesOf(() => hostIn(dir));
  return {
    ...sources,
    gather: async () => {
      const gathered = await sources.gather();
      const { kernel } = gathered;
      if (!kernel.known) return gathered;
      const value = kernel.value.map((device) => ({ ...device, diskseq: DISKSEQ + (device.diskseq ?? 0) }));
      return { ...gathered, kernel: { known: true, value } };
    },
    smartctl: {
      read: async () => ({ said: true, text: WELL }),
      power: async () => ({ said: true, text: WELL }),
      scan: async () => ({ said: false, why: 'missing' }),
    },
    // Nobody on this machine has a drive open that there is not.
    inUse: {
      holders: async ({ name }) =>
        (hostIn(dir).mounts ?? [])
          .filter(({ from }) => from.startsWith(name))
          .map(({ point }) => ({ kind: 'mount', sentence: `It is mounted at ${point}.`, vmid: null, pid: null })),
    },
    // Nor is there one that could be erased, whatever else is believed.
    driveFormat: {
      hold: () => Promise.reject(new Error('the drives are samples')),
      state: async () => null,
      forget: async () => undefined,
      missing: async () => '',
      minBytes: () => 0,
    },
    selfTest: { run: async () => 'The drives of this demo are samples, so nothing is done to them.' },
  };
};
