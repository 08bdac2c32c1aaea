/** How a format ended, and what comes next. */
import { inert } from '#shared/inert';
import type { FormatJob } from '#shared/wire/jobs';
import type { FlowPorts, Outcome } from './flow.ts';
import { kernelName, typedName } from './words.ts';

export const tellFormatted = ({ talk }: FlowPorts, drive: string, fstype: string): Outcome => {
  const device = kernelName(drive);
  talk.answer(`${inert(device)} is formatted with ${inert(fstype)}, and is yours now.`);
  talk.tell('To connect it to this guest (with a name of your choice instead of "data"):');
  talk.answer(`felhom-controller disks assign ${typedName(device)} --name data`);
  return 'done';
};

/** @param job null: how it ended is not known, which has been told */
export const tellJob = (ports: FlowPorts, job: FormatJob | null): Outcome => {
  if (job === null) return 'not-known';
  if (job.state === 'done') return tellFormatted(ports, job.device, job.fstype);
  const what = job.state === 'interrupted' ? 'was interrupted' : 'failed';
  ports.talk.tell(`The format of ${job.device} ${what}. ${job.error}`);
  return 'refused';
};
