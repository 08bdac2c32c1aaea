/** Follows one of Proxmox's tasks from its first line to its exit status. */
import type { Journal } from '#agent/ports/journal';
import type { Proxmox } from '#agent/ports/proxmox';
import type { LogFollower, TaskLog } from '#agent/ports/task-log';
import { type Clock, sleep } from '#shared/clock';

export interface TaskPorts {
  proxmox: Pick<Proxmox, 'taskStatus'>;
  taskLog: TaskLog;
  clock: Clock;
  journal: Journal;
  /** Aborted when the agent stops. */
  closing: AbortSignal;
}

export interface TaskEnd {
  /** Undefined: Proxmox does not know the task. */
  exitstatus: string | undefined;
  /** Whether every line of its log was read. */
  whole: boolean;
  /** Whether it was seen running, so that it ended just now. */
  wasRunning: boolean;
}

/** What the journal calls it. */
type Fields = { upid: string; job?: string; vmid?: number };

const STATUS_MS = 3000;
/** The worker still has to end after it wrote its TASK line. */
const STATUS_AFTER_END_MS = 200;
const AWAY = { firstMs: 2000, mostMs: 30_000 };
const LOST = { times: 3, everyMs: 2000 };
const LOG = { tries: 3, everyMs: 2000 };
/** The TASK line of a task from the command line comes after its worker's end (PVE/RESTEnvironment.pm). */
const LAST_LINE_MS = 1000;

export type Tasks = ReturnType<typeof createTasks>;

export const createTasks = ({ proxmox, taskLog, clock, journal, closing }: TaskPorts) => {
  const pause = (ms: number) => sleep(clock, ms, closing);

  /** Null: the agent stops. `hurry` is aborted when the end is near. */
  const awaitExit = async (fields: Fields, hurry: AbortSignal): Promise<Omit<TaskEnd, 'whole'> | null> => {
    let lost = 0;
    let wasRunning = false;
    let awayMs = AWAY.firstMs;
    let hurriedMs = STATUS_AFTER_END_MS;
    while (!closing.aborted) {
      let waitMs = STATUS_MS;
      try {
        const status = await proxmox.taskStatus(fields.upid);
        if (status && !status.running) return { exitstatus: status.exitstatus ?? 'unexpected status', wasRunning };
        wasRunning ||= status !== null;
        lost = status ? 0 : lost + 1;
        if (lost >= LOST.times) return { exitstatus: undefined, wasRunning };
        awayMs = AWAY.firstMs;
        if (!status) waitMs = LOST.everyMs;
      } catch (error) {
        if (awayMs === AWAY.firstMs)
          journal('warning', 'Proxmox cannot be asked about a backup.', { ...fields, why: String(error) });
        waitMs = awayMs;
        awayMs = Math.min(awayMs * 2, AWAY.mostMs);
      }
      if (!hurry.aborted) await sleep(clock, waitMs, hurry);
      else {
        await pause(Math.min(hurriedMs, waitMs));
        hurriedMs *= 2;
      }
    }
    return null;
  };

  const finishLog = async (follower: LogFollower): Promise<boolean> => {
    for (let tries = 1; tries <= LOG.tries && !closing.aborted; tries += 1) {
      try {
        await follower.finish();
        return true;
      } catch {
        await pause(LOG.everyMs);
      }
    }
    follower.stop();
    return false;
  };

  /** Null: the agent stops. Aborting `hurry` makes it look sooner whether the task has ended. */
  return async (fields: Fields, onLine: (line: string) => void, hurry = new AbortController()): Promise<TaskEnd | null> => {
    const hasten = () => hurry.abort();
    closing.addEventListener('abort', hasten);
    const follower = taskLog.follow(fields.upid, (line) => {
      onLine(line);
      if (line.startsWith('TASK ')) hasten();
    });
    const exit = await awaitExit(fields, hurry.signal);
    closing.removeEventListener('abort', hasten);
    if (exit === null) {
      follower.stop();
      return null;
    }
    if (exit.exitstatus === 'unexpected status') await pause(LAST_LINE_MS);
    const whole = await finishLog(follower);
    return closing.aborted ? null : { ...exit, whole };
  };
};
