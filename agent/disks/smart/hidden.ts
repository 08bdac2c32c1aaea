/** Drives that a RAID controller hides: only smartctl's scan names them, smartctl(8), `-d megaraid,N`. Pure. */

import type { SmartTarget } from '../../ports/smartctl.ts';
import type { KernelDevice } from '../../ports/sysfs.ts';
import { documentIn, listAt, textAt } from './document.ts';

/** The type reaches an argument list, so it must look like one. */
const TYPE = /^[a-z0-9+]{2,24},[0-9/]{1,16}$/;

/**
 * Those on the SCSI host that the device is on, which is the controller's: `/dev/bus/0` is host 0. Which of them the device is made
 * of the controller does not tell, so all of them count.
 */
export const hiddenBehind = ({ path }: Pick<KernelDevice, 'path'>, scan: string): SmartTarget[] => {
  const hosts = new Set([...path.matchAll(/\/host(\d+)\//g)].map(([, host]) => `/dev/bus/${host}`));
  return listAt(documentIn(scan), 'devices')
    .map((device) => ({ path: textAt(device, 'name'), type: textAt(device, 'type') }))
    .filter((target) => TYPE.test(target.type) && hosts.has(target.path));
};
