/** Tasks of the node: the list with its filters, status, log, and stopping. */

import { died, parameterError, permissionError } from '../api/errors.ts';
import { splitList } from '../api/formats.ts';
import { Answer, type Area, type Call, Download, flag, integer, optional, param } from '../sim.ts';
import { fullUser } from '../tasks.ts';
import { parseUpid, splitTokenUser, type Upid } from '../upid.ts';
import type { Task } from '../world.ts';

const WARNINGS = /^WARNINGS: \d+$/;

const statusKind = (status: string): 'ok' | 'warning' | 'error' | 'unknown' => {
  if (status === 'OK') return 'ok';
  if (WARNINGS.test(status)) return 'warning';
  return status === 'unexpected status' ? 'unknown' : 'error';
};

/** A token sees the tasks of exactly that token; a user those of all own tokens too. */
const isOwn = (call: Call, name: string): boolean =>
  call.who.tokenid === undefined ? splitTokenUser(name).user === call.who.user : name === call.who.name;

const identity = (t: Task) => ({
  upid: t.upid,
  node: t.node,
  pid: t.pid,
  pstart: t.pstart,
  starttime: t.starttime,
  type: t.type,
  id: t.id,
});

const ended = (t: Task): Record<string, unknown> => ({
  ...identity(t),
  user: t.user,
  ...(t.tokenid === undefined ? {} : { tokenid: t.tokenid }),
  endtime: t.endtime ?? t.starttime,
  status: t.exitstatus ?? '',
});

/** Running tasks come from another file: the user whole, `saved` as text. */
const active = (t: Task): Record<string, unknown> => ({
  ...identity(t),
  user: fullUser(t),
  saved: '0',
  status: 'RUNNING',
});

const filters = (call: Call): ((t: Task) => boolean)[] => {
  const { world, who } = call;
  const vmid = optional(call, 'vmid');
  const type = optional(call, 'typefilter');
  const user = optional(call, 'userfilter');
  const since = integer(call, 'since');
  const until = integer(call, 'until');
  const kinds = splitList(param(call, 'statusfilter').toLowerCase());
  const auditor = who.may(`/nodes/${world.node}`, 'Sys.Audit');
  return [
    (t) => auditor || isOwn(call, fullUser(t)),
    (t) => vmid === undefined || t.id === vmid,
    (t) => type === undefined || t.type === type,
    (t) => user === undefined || fullUser(t).includes(user),
    (t) => since === undefined || t.starttime >= since,
    (t) => until === undefined || t.starttime <= until,
    (t) =>
      !flag(call, 'errors') || (t.exitstatus !== undefined && statusKind(t.exitstatus) !== 'ok' && !WARNINGS.test(t.exitstatus)),
    (t) => kinds.length === 0 || kinds.includes(statusKind(t.exitstatus ?? 'unexpected status')),
  ];
};

const newestFirst = (tasks: Task[]): Task[] =>
  tasks
    .map((t, i) => ({ t, i }))
    .sort((a, b) => b.t.starttime - a.t.starttime || b.i - a.i)
    .map(({ t }) => t);

const list = (call: Call): Answer => {
  const source = optional(call, 'source') ?? 'archive';
  const wanted = newestFirst(call.world.tasks).filter((t) => filters(call).every((filter) => filter(t)));
  const running = source === 'archive' ? [] : wanted.filter((t) => t.exitstatus === undefined).map(active);
  const done = source === 'active' ? [] : wanted.filter((t) => t.exitstatus !== undefined).map(ended);
  const all = [...running, ...done];
  const start = integer(call, 'start') ?? 0;
  return new Answer(all.slice(start, start + (integer(call, 'limit') ?? 50)), all.length);
};

const parsed = (call: Call): Upid => {
  const upid = parseUpid(param(call, 'upid'));
  if (!upid) throw parameterError({ upid: 'unable to parse worker upid' });
  return upid;
};

/** Who may look: the owner, else Sys.Audit on the node (to stop: Sys.Modify). */
const demandAccess = (call: Call, upid: Upid, privilege: string): void => {
  if (!isOwn(call, upid.fullUser)) call.who.demand(`/nodes/${call.world.node}`, privilege);
};

const find = (call: Call, upid: Upid): Task | undefined =>
  call.world.tasks.find((t) => t.upid === upid.upid && t.node === call.world.node);

const status = (call: Call): Record<string, unknown> => {
  const upid = parsed(call);
  if (upid.node !== call.world.node) throw parameterError({ upid: 'no such task' });
  demandAccess(call, upid, 'Sys.Audit');
  const task = find(call, upid);
  if (!task) throw parameterError({ upid: 'no such task' });
  const { endtime: _endtime, status: _status, ...row } = ended(task);
  return task.exitstatus === undefined
    ? { ...row, status: 'running' }
    : { ...row, status: 'stopped', exitstatus: task.exitstatus };
};

const downloadName = (t: Upid): string =>
  `task-${t.node}-${t.type}-${new Date(t.starttime * 1000).toISOString().replace(/\.\d+Z$/, 'Z')}.log`;

const log = (call: Call): unknown => {
  const upid = parsed(call);
  demandAccess(call, upid, 'Sys.Audit');
  const task = find(call, upid);
  const lines = task ? (task.log.length > 0 ? task.log : ['no content']) : ['unable to open file - No such file or directory'];
  if (flag(call, 'download')) {
    if (optional(call, 'start') !== undefined)
      throw parameterError({ start: "parameter can't be used in combination with 'download'" });
    if (optional(call, 'limit') !== undefined)
      throw parameterError({ limit: "parameter can't be used in combination with 'download'" });
    if (!task) throw died('unable to open file - No such file or directory');
    return new Download(task.log.map((line) => `${line}\n`).join(''), downloadName(upid));
  }
  const start = integer(call, 'start') ?? 0;
  const limit = integer(call, 'limit') ?? 50;
  const shown = limit === 0 ? lines.slice(start) : lines.slice(start, start + limit);
  return new Answer(
    shown.map((t, i) => ({ n: start + i + 1, t })),
    lines.length,
  );
};

const stop = async (call: Call): Promise<null> => {
  const upid = parsed(call);
  if (!isOwn(call, upid.fullUser)) {
    if (!call.who.may(`/nodes/${call.world.node}`, 'Sys.Modify')) throw permissionError(`/nodes/${call.world.node}, Sys.Modify`);
  }
  await call.sim.tasks.stop(upid.upid);
  return null;
};

/** How long pvestatd takes to read the list again: until then `saved` is the number it was written with. */
const REREAD_S = 10;

/** Of the whole cluster: no status while running; the tokens' own tasks only with Sys.Audit on `/`. */
const clusterTasks = (call: Call): Record<string, unknown>[] => {
  const auditor = call.who.may('/', 'Sys.Audit');
  const visible = newestFirst(call.world.tasks).filter((t) => auditor || t.user === call.who.name);
  const running = visible.filter((t) => t.exitstatus === undefined);
  const done = visible.filter((t) => t.exitstatus !== undefined).slice(0, 25);
  return newestFirst([...done, ...running].reverse()).map((t) => {
    const { pid, pstart: _pstart, endtime, status: exit, ...row } = ended(t);
    if (t.exitstatus === undefined) return { ...row, pid };
    return { ...row, endtime, status: exit, saved: call.now - (t.endtime ?? 0) < REREAD_S && t === done[0] ? 1 : '1' };
  });
};

export const taskArea: Area = {
  'GET /nodes/{node}/tasks': list,
  'GET /nodes/{node}/tasks/{upid}': () => [{ name: 'log' }, { name: 'status' }],
  'GET /nodes/{node}/tasks/{upid}/status': status,
  'GET /nodes/{node}/tasks/{upid}/log': log,
  'DELETE /nodes/{node}/tasks/{upid}': stop,
  'GET /cluster/tasks': clusterTasks,
};
