/** The task runner: workers with a UPID, their logs in the world and in real files, and how they end. */

import { appendFileSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { formatUpid } from './upid.ts';
import type { NodeFiles, Task, World } from './world.ts';

export interface TaskHandle {
  readonly upid: string;
  readonly task: Task;
  log(line: string): void;
  /** Writes `WARN: …` and counts: the task then ends in `TASK WARNINGS: n`. */
  warn(text: string): void;
  /** Aborted by `DELETE /nodes/{node}/tasks/{upid}`, and when the simulator is closed. */
  readonly signal: AbortSignal;
}

/** Thrown by a body: the worker ends without a TASK line (exitstatus `unexpected status`). */
export class WorkerDied extends Error {}

export interface TaskSpec {
  type: string;
  id: string;
  user: string;
  tokenid?: string;
}

export interface Tasks {
  /** Starts a worker and answers its UPID at once. */
  fork(spec: TaskSpec, body: (task: TaskHandle) => Promise<void>): string;
  stop(upid: string): Promise<void>;
  /** As by SIGKILL: no TASK line, nothing cleaned up. */
  kill(upid: string): Promise<void>;
  stopAll(): Promise<void>;
}

export interface TaskRunner extends Tasks {
  /** Settles when the worker has ended; at once when it is not known. */
  ended(upid: string): Promise<void>;
}

interface Worker {
  abort: AbortController;
  done: Promise<void>;
}

/** A stopped worker that has not ended after this long is killed: it leaves no TASK line. */
const KILL_AFTER_MS = 5_000;

export const taskLogFile = (files: NodeFiles, task: Task): string =>
  join(files.taskLogDir, task.starttime.toString(16).toUpperCase().slice(-1), task.upid);

/** As the workers name the user: with the token behind an exclamation mark. */
export const fullUser = (t: { user: string; tokenid?: string }): string =>
  t.tokenid === undefined ? t.user : `${t.user}!${t.tokenid}`;

export const createTasks = (world: World, files: NodeFiles, clock: () => number): TaskRunner => {
  const workers = new Map<string, Worker>();
  let lastPid = 1000 + Math.floor(Math.random() * 20_000);
  const bootedAt = Date.now();

  const writeActive = (): void => {
    const line = (t: Task) =>
      t.exitstatus === undefined
        ? `${t.upid} 0`
        : `${t.upid} 1 ${(t.endtime ?? t.starttime).toString(16).toUpperCase().padStart(8, '0')} ${t.exitstatus}`;
    const running = world.tasks.filter((t) => t.exitstatus === undefined);
    const recent = world.tasks.filter((t) => t.exitstatus !== undefined).slice(-25);
    mkdirSync(files.taskLogDir, { recursive: true });
    const file = join(files.taskLogDir, 'active');
    writeFileSync(`${file}.tmp`, [...running, ...recent].map((t) => `${line(t)}\n`).join(''));
    renameSync(`${file}.tmp`, file);
  };

  const append = (task: Task, line: string): void => {
    task.log.push(line);
    appendFileSync(taskLogFile(files, task), `${line}\n`);
  };

  const create = (spec: TaskSpec): Task => {
    lastPid += 1;
    const starttime = Math.floor(clock() / 1000);
    // Hundredths of a second since boot, as in /proc/PID/stat; distinct, because two workers may start in one tick.
    const pstart = 100_000 + Math.floor((Date.now() - bootedAt) / 10) + lastPid;
    const name = { node: world.node, pid: lastPid, pstart, starttime, type: spec.type, id: spec.id, fullUser: fullUser(spec) };
    const task: Task = { upid: formatUpid(name), node: world.node, pid: lastPid, pstart, starttime, log: [], ...spec };
    mkdirSync(join(taskLogFile(files, task), '..'), { recursive: true });
    writeFileSync(taskLogFile(files, task), '');
    world.tasks.push(task);
    writeActive();
    return task;
  };

  const end = (task: Task, exitstatus: string, line?: string): void => {
    if (task.exitstatus !== undefined) return;
    if (line !== undefined) append(task, line);
    task.endtime = Math.floor(clock() / 1000);
    task.exitstatus = exitstatus;
    writeActive();
  };

  const oneLine = (text: string): string => text.trim().replace(/\s*\n\s*/g, ' ');

  const run = async (task: Task, signal: AbortSignal, body: (task: TaskHandle) => Promise<void>): Promise<void> => {
    let warnings = 0;
    const log = (line: string): void => {
      if (task.exitstatus === undefined) append(task, line);
    };
    const warn = (text: string): void => {
      warnings += 1;
      log(`WARN: ${text}`);
    };
    try {
      await body({ upid: task.upid, task, log, warn, signal });
      if (warnings > 0) end(task, `WARNINGS: ${warnings}`, `TASK WARNINGS: ${warnings}`);
      else end(task, 'OK', 'TASK OK');
    } catch (error) {
      if (error instanceof WorkerDied) return end(task, 'unexpected status');
      const message = oneLine(error instanceof Error ? error.message : String(error));
      end(task, message, `TASK ERROR: ${message}`);
    }
  };

  const fork: Tasks['fork'] = (spec, body) => {
    const task = create(spec);
    const abort = new AbortController();
    const done = new Promise<void>((resolve) => {
      setImmediate(() => resolve(run(task, abort.signal, body).finally(() => workers.delete(task.upid))));
    });
    workers.set(task.upid, { abort, done });
    return task.upid;
  };

  const stop: Tasks['stop'] = async (upid) => {
    const worker = workers.get(upid);
    if (!worker) return;
    worker.abort.abort();
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, KILL_AFTER_MS);
    });
    await Promise.race([worker.done, late]);
    clearTimeout(timer);
    const task = world.tasks.find((t) => t.upid === upid);
    if (task) end(task, 'unexpected status');
  };

  const kill: Tasks['kill'] = async (upid) => {
    const worker = workers.get(upid);
    const task = world.tasks.find((t) => t.upid === upid);
    if (!worker || !task) return;
    end(task, 'unexpected status');
    worker.abort.abort(new WorkerDied('killed'));
    await worker.done;
  };

  return {
    fork,
    stop,
    kill,
    stopAll: async () => {
      await Promise.all([...workers.keys()].map(stop));
    },
    ended: async (upid) => workers.get(upid)?.done,
  };
};
