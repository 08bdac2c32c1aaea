/** What the Proxmox port knows of tasks: their status, their logs, their lists, and stopping one. */
import { type Proxmox, ProxmoxError, type TaskRow } from './proxmox.ts';
import { list, record, taskOf, text } from './proxmox-answers.ts';
import type { Transport } from './proxmox-transport.ts';

type TaskCalls = Pick<Proxmox, 'taskStatus' | 'taskLog' | 'vzdumpTasks' | 'stopTask' | 'guestTasks' | 'runningVzdump'>;

export interface TaskPorts extends Pick<Transport, 'get' | 'delete'> {
  node: string;
  tokenName: string;
  /** Rejects where the token lacks it: PVE filters lists instead of refusing them. */
  requireRight(call: string, path: string, privilege: string): Promise<void>;
}

const LOG_LINES = 5000;
const ROWS = 500;

export const taskCalls = ({ get, delete: remove, node, tokenName, requireRight }: TaskPorts): TaskCalls => {
  const onNode = `/nodes/${encodeURIComponent(node)}`;
  const taskPath = (upid: string) => `${onNode}/tasks/${encodeURIComponent(upid)}`;

  const taskStatus: Proxmox['taskStatus'] = async (upid) => {
    try {
      const { status, exitstatus } = record(await get(`${taskPath(upid)}/status`));
      if (status === 'running') return { upid, running: true };
      return { upid, running: false, exitstatus: text(exitstatus) || 'unexpected status' };
    } catch (error) {
      if (error instanceof ProxmoxError && error.status === 400 && /no such task/.test(error.errors.upid ?? '')) return null;
      throw error;
    }
  };

  const taskLog = async (upid: string, start: number): Promise<string[]> => {
    const rows = list(await get(`${taskPath(upid)}/log`, { start, limit: LOG_LINES }));
    // A missing or empty file is answered by one made-up line with n = 1 (PVE/Tools.pm, dump_logfile).
    const real = rows.filter(({ n, t }) => Number(n) > start && !(rows.length === 1 && isMadeUp(text(t))));
    return real.map(({ t }) => text(t));
  };

  const nodeTasks = async (filter: Record<string, string | number>): Promise<TaskRow[]> =>
    list(await get(`${onNode}/tasks`, { ...filter, limit: ROWS })).flatMap(taskOf);

  /** A token without the right is shown its own tasks only; somebody else's proves that it has it. */
  const requireAll = async (tasks: TaskRow[], path: string): Promise<TaskRow[]> => {
    if (tasks.every(({ user }) => user === tokenName)) await requireRight(`${onNode}/tasks`, path, 'Sys.Audit');
    return tasks;
  };

  const runningVzdump = async (): Promise<TaskRow[]> => {
    const [cluster, here] = await Promise.all([
      get('/cluster/tasks'),
      get(`${onNode}/tasks`, { source: 'active', typefilter: 'vzdump', limit: ROWS }),
    ]);
    const rows = [...list(cluster), ...list(here)].filter(isRunning).flatMap(taskOf);
    const tasks = new Map(rows.filter(({ type }) => type === 'vzdump').map((row) => [row.upid, row]));
    return requireAll([...tasks.values()], '/');
  };

  const stopTask = async (upid: string): Promise<void> => {
    try {
      await remove(taskPath(upid));
    } catch (error) {
      if (!(error instanceof ProxmoxError) || error.effect === 'never') throw error;
      const status = await taskStatus(upid);
      if (status?.running) throw error;
    }
  };

  return {
    taskStatus,
    taskLog,
    stopTask,
    runningVzdump,
    vzdumpTasks: (vmid, since) => nodeTasks({ source: 'all', typefilter: 'vzdump', vmid, since }),
    guestTasks: async (vmid, since) => requireAll(await nodeTasks({ source: 'all', vmid, since }), onNode),
  };
};

/** The node's list says so; the cluster's leaves out what an ended task has. */
const isRunning = ({ status, endtime }: Record<string, unknown>): boolean =>
  status === 'RUNNING' || (status === undefined && endtime === undefined);

const isMadeUp = (line: string): boolean => line === 'no content' || line.startsWith('unable to open file - ');
