/** The worker of one vzdump task: storage, lock, then guest after guest (PVE/VZDump.pm, exec_backup). */

import { WorkerDied } from '../tasks.ts';
import type { Storage } from '../world.ts';
import { activate } from './activate.ts';
import { backUp } from './guest.ts';
import { commandLine } from './job.ts';
import { takeNodeLock } from './node-lock.ts';
import type { Run } from './run.ts';

const backUpAll = async (run: Run, storage: Storage): Promise<void> => {
  const { world, job, params, who, voice } = run;
  await voice.say(`INFO: starting new backup job: ${commandLine(params, world.node)}`);
  if (job.skipped.length > 0) await voice.say(`INFO: skip external VMs: ${job.skipped.join(', ')}`);
  const may = (vmid: number): boolean => !world.guests.has(vmid) || who.may(`/vms/${vmid}`, 'VM.Backup');
  const denied = job.vmids.find((vmid) => !may(vmid));
  if (denied !== undefined && !job.all) throw new Error(`403 Permission check failed (/vms/${denied}, VM.Backup)`);
  let failures = 0;
  try {
    for (const vmid of job.vmids.filter(may)) failures += (await backUp(run, storage, vmid)) ? 0 : 1;
  } catch (error) {
    if (!(error instanceof WorkerDied))
      voice.blurt(`ERROR: Backup job failed - ${error instanceof Error ? error.message : error}`);
    throw error;
  }
  await voice.say(`INFO: Backup job finished ${failures > 0 ? 'with errors' : 'successfully'}`);
  if (failures > 0) throw new Error('job errors');
};

export const work = async (run: Run): Promise<void> => {
  const storage = await activate(run);
  const lock = await takeNodeLock(run);
  try {
    await backUpAll(run, storage);
  } finally {
    await lock.release();
  }
};
