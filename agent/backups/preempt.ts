/** Gives a guest that was not running back to whoever wants to start it: its configuration stays locked for the whole backup. */
import type { TaskIndex } from '#agent/ports/task-index';
import { parseUpid } from '#agent/ports/upid';
import { type Clock, sleep } from '#shared/clock';
import type { Job, StopReason } from './jobs.ts';
import { outcomeOf } from './outcome.ts';
import type { Companion } from './run.ts';

export interface PreemptPorts {
  taskIndex: Pick<TaskIndex, 'read'>;
  clock: Clock;
  isAllowed: () => boolean;
  stop: (job: Job, why: StopReason) => void;
}

const LOOK_MS = 2000;
/** PVE/API2/LXC/Status.pm, PVE/API2/Qemu.pm */
const STARTS = ['vzstart', 'qmstart'];

export const createPreempt = ({ taskIndex, clock, isAllowed, stop }: PreemptPorts): Companion => {
  /** A start that was refused since the backup began. A task's start is cut to whole seconds. */
  const wasRefused = async ({ vmid, startedAt }: Job): Promise<boolean> => {
    const since = Math.floor((startedAt ?? Number.POSITIVE_INFINITY) / 1000);
    return ((await taskIndex.read()) ?? []).some(({ upid, running, status }) => {
      const task = parseUpid(upid);
      if (running || !task || !STARTS.includes(task.type) || task.id !== String(vmid)) return false;
      return task.starttime >= since && !outcomeOf(status, '').ok;
    });
  };

  return async (run) => {
    for (; !run.over.aborted; await sleep(clock, LOOK_MS, run.over)) {
      if (run.facts().running !== false || !isAllowed()) continue;
      if (await wasRefused(run.job()).catch(() => false)) return stop(run.job(), 'preempted');
    }
  };
};
