/** The script of one guest's backup: which lines its log gets, in which order, and what happens between them. Pure. */

import type { GuestCase } from './case.ts';
import { fileSize, hms, stamp } from './format.ts';
import { lxcScript } from './lxc.ts';
import { describeRetention } from './prune.ts';
import { qemuScript } from './qemu.ts';
import { effect, info, type Script, type Step, told } from './steps.ts';

const jobOnly = (step: Step): Step => ('line' in step ? { ...step, jobOnly: true } : step);

const opening = (c: GuestCase): Step[] => [
  ...(c.oddFilesystem === undefined
    ? []
    : [jobOnly(info(`filesystem type on dumpdir is '${c.oddFilesystem}' -using ${c.tmpDir} for temporary files`))]),
  info(`Starting Backup of VM ${c.vmid} (${c.type})`),
  jobOnly(told((m) => `Backup started at ${stamp(m.now)}`)),
  info(`status = ${c.running ? 'running' : 'stopped'}`),
  effect('lock'),
];

/** What both archives of files and of servers go through once the data is there. */
const afterCopy = (c: GuestCase): Step[] => {
  const { retention } = c;
  return [
    effect('finish'),
    ...(c.target.kind === 'file' ? [told((m) => `archive file size: ${fileSize(m.archiveBytes)}`)] : []),
    ...(c.notes ? [info('adding notes to backup'), effect('notes')] : []),
    ...(c.protect ? [info('marking backup as protected'), effect('protect')] : []),
    ...(retention ? [info(`prune older backups with retention: ${describeRetention(retention)}`), effect('prune'), pruned] : []),
  ];
};

const pruned: Step = {
  line: ({ pruned: gone }) => [
    ...gone.map((volid) => `INFO: removing backup '${volid}'`),
    `INFO: pruned ${gone.length} backup(s)${gone.length > 0 ? ' not covered by keep-retention policy' : ''}`,
  ],
};

/** Lines of a guest that was backed up. */
export const finished = (vmid: number): Step[] => [
  told((m) => `Finished Backup of VM ${vmid} (${hms(m.elapsedSeconds)})`),
  jobOnly(told((m) => `Backup finished at ${stamp(m.now)}`)),
];

/** Lines of a guest that was not. */
export const failed = (vmid: number, text: string): Step[] => [
  { line: `ERROR: Backup of VM ${vmid} failed - ${text}` },
  jobOnly(told((m) => `Failed at ${stamp(m.now)}`)),
];

export const guestScript = (c: GuestCase): Script => {
  const own = c.type === 'lxc' ? lxcScript(c) : qemuScript(c);
  return { ...own, body: [...opening(c), ...own.body, ...afterCopy(c)] };
};
