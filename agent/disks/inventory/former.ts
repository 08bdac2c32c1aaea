/** Records of what was on a drive before it was formatted: they stand for copies of that content, wherever one turns up. Pure. */
import type { DriveRecord } from './drive.ts';

/** In the place of a kernel's name, so that root can name it: `felhom-agent disks demote before-12`. */
export const formerName = (id: number): string => `before-${id}`;

export const isFormer = ({ name }: Pick<DriveRecord, 'name'>): boolean => /^before-\d+$/.test(name);
