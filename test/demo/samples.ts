/** The demo's drives where there can be no real ones: what is shown of them. */
import type { DemoDrives } from './drives.ts';
import { mountRootOf } from './take-down.ts';

export const sampleDrives = (dir: string): DemoDrives => ({
  devices: { system: 'sda', backup: 'sdb', user_data: ['sdc', 'sdd'], blank: 'sde' },
  settings: { mount_root: mountRootOf(dir), udev_dir: '/run/udev', loop_drives: [], guests: [101] },
});
