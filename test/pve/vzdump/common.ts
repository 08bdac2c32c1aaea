/** Lines that containers and VMs share. */

import { join } from 'node:path';
import type { GuestCase, Mode, Target } from './case.ts';
import { info, type Step } from './steps.ts';

export const modeLines = (c: GuestCase, mode: Mode): Step[] => [
  info(`backup mode: ${mode}`),
  ...(c.bwlimit > 0 ? [info(`bandwidth limit: ${c.bwlimit} KiB/s`)] : []),
  info(`ionice priority: ${c.ionice}`),
];

const MAKER = {
  file: () => 'vzdump',
  pbs: () => 'Proxmox Backup Server',
  provider: (t: Target) => ('provider' in t ? t.provider : ''),
} as const;

const place = (t: Target): string => (t.kind === 'file' ? join(t.directory, t.name) : t.name);

export const creating = ({ target }: GuestCase): Step =>
  info(`creating ${MAKER[target.kind](target)} archive '${place(target)}'`);
