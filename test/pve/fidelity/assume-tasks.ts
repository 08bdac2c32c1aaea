/** Tasks: those whose start the recording lacks are put into the list; those started here are waited for. */

import { appendFileSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { taskLogFile } from '../tasks.ts';
import { parseUpid, splitTokenUser } from '../upid.ts';
import type { Task } from '../world.ts';
import type { Scene } from './assume.ts';
import { dataOf, isObject, type JsonObject, pathOf, queryOf, rowsOf } from './exchange.ts';
import { knownLog, outcome } from './knowledge.ts';

const closing = (how: string | undefined): string => (how === undefined || how === 'OK' ? 'TASK OK' : `TASK ERROR: ${how}`);

/** A task of the recording that was not started here. */
const seed = (scene: Scene, recorded: string): Task | undefined => {
  const { pve, session, knowledge, index } = scene;
  const upid = session.knows(recorded) ?? recorded;
  const there = pve.world.tasks.find((t) => t.upid === upid);
  if (there) return there;
  const parsed = parseUpid(recorded);
  if (!parsed || parsed.node !== pve.world.node) return undefined;
  const known = knowledge.tasks.get(recorded);
  const { node, pid, pstart, starttime, type, id, fullUser } = parsed;
  const runs = known?.runningAt !== undefined && known.runningAt >= index;
  const log = (runs ? known.runningLog : undefined) ?? knownLog(known) ?? known?.runningLog ?? [closing(outcome(known))];
  const task: Task = {
    upid,
    node,
    pid,
    pstart,
    starttime,
    type,
    id,
    ...splitTokenUser(fullUser),
    log: log.map(session.translate),
  };
  const how = outcome(known);
  if (!runs && how !== undefined) {
    task.exitstatus = how;
    task.endtime = known?.endtime ?? starttime;
  }
  pve.world.tasks.push(task);
  mkdirSync(dirname(taskLogFile(pve.files, task)), { recursive: true });
  appendFileSync(taskLogFile(pve.files, task), log.map((line) => `${line}\n`).join(''));
  return task;
};

/** Filters: a list asked for with one of these is not the whole one. */
const FILTERS = ['start', 'limit', 'vmid', 'typefilter', 'userfilter', 'since', 'until', 'errors', 'statusfilter', 'source'];

/** The list shows how each task ended on the recorded machine; a complete list also says which tasks there are. */
const fromList = (scene: Scene): void => {
  const { pve, session, exchange } = scene;
  const rows = rowsOf(exchange);
  for (const row of [...rows].reverse()) {
    const task = seed(scene, String(row.upid));
    const runs = row.status === 'RUNNING' || (row.status === undefined && row.endtime === undefined);
    if (task === undefined) continue;
    if (runs) delete task.exitstatus;
    else {
      task.exitstatus = String(row.status);
      task.endtime = Number(row.endtime);
    }
  }
  // Whatever ended later than the newest row is not known yet.
  const newest = Number(rows[0]?.starttime ?? 0);
  const plain = !FILTERS.some((key) => key !== 'limit' && queryOf(exchange).has(key)) && pathOf(exchange)[0] === 'nodes';
  const listed = new Set(rows.map((row) => session.knows(String(row.upid)) ?? String(row.upid)));
  if (plain && rows.length > 0)
    pve.world.tasks = pve.world.tasks.filter(
      (t) => t.exitstatus === undefined || t.starttime < newest || listed.has(t.upid) || session.isOwn(t.upid),
    );
  const complete = !FILTERS.some((key) => key !== 'limit' && queryOf(exchange).has(key)) && total(scene) === rows.length;
  if (!complete || pathOf(exchange)[0] !== 'nodes') return;
  const shown = new Set(rows.map((row) => session.knows(String(row.upid)) ?? String(row.upid)));
  pve.world.tasks = pve.world.tasks.filter((t) => t.exitstatus === undefined || shown.has(t.upid));
};

/** Tasks that are not shown as running have ended. */
const onlyShownRun = async (scene: Scene): Promise<void> => {
  const { pve, session, exchange, knowledge } = scene;
  if (queryOf(exchange).get('source') !== 'active' && queryOf(exchange).get('source') !== 'all') return;
  const shown = new Set(rowsOf(exchange).map((row) => session.knows(String(row.upid)) ?? String(row.upid)));
  for (const task of pve.world.tasks.filter((t) => t.exitstatus === undefined && !shown.has(t.upid))) {
    await Promise.race([pve.taskEnded(task.upid), short(REACH_MS)]);
    task.exitstatus ??= outcome(knowledge.tasks.get(task.upid)) ?? 'OK';
    task.endtime ??= task.starttime;
  }
};

const total = ({ exchange }: Scene): number => Number(isObject(exchange.response.body) ? (exchange.response.body.total ?? 0) : 0);

const short = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** What a worker needs to come to the line where it waits. */
const REACH_MS = 300;

/** The longest a worker of this run may take. */
const PATIENCE_MS = 8_000;

const waitForEnd = async (scene: Scene, recorded: string): Promise<void> => {
  const { pve, session } = scene;
  const own = session.knows(recorded);
  if (own === undefined) return;
  // Another worker may wait on where it stands.
  if (pve.world.tasks.some((t) => t.upid === own && t.type === 'vzdump' && t.exitstatus === undefined))
    pve.vzdumpFaults.hang = undefined;
  await Promise.race([pve.taskEnded(own), short(PATIENCE_MS)]);
};

/** How the answer shows the task: still running, or ended. */
const shownEnded = (scene: Scene, recorded: string): boolean => {
  const data = dataOf(scene.exchange);
  if (isObject(data) && data.status === 'running') return false;
  const known = scene.knowledge.tasks.get(recorded);
  return known?.runningAt === undefined || known.runningAt < scene.index;
};

/** A worker that the recorded session killed between the exchanges. */
const wasKilled = (scene: Scene, recorded: string): boolean => {
  const data = dataOf(scene.exchange);
  const known = scene.knowledge.tasks.get(recorded);
  return isObject(data) && data.exitstatus === 'unexpected status' && known?.runningLog !== undefined;
};

/** A task that was seen running before has its whole log once it has ended. */
const catchUp = ({ knowledge, index, session }: Scene, task: Task, recorded: string): void => {
  const known = knowledge.tasks.get(recorded);
  const log = knownLog(known);
  if (log && (known?.runningAt === undefined || known.runningAt < index)) task.log = log.map(session.translate);
};

const forOne = async (scene: Scene, recorded: string, what: string | undefined): Promise<void> => {
  const { session, exchange } = scene;
  if (exchange.response.status !== 200 && exchange.response.status !== 403) return;
  if (what === 'log' && /^unable to open file/.test(String((rowsOf(exchange)[0] as JsonObject | undefined)?.t))) return;
  const own = session.knows(recorded);
  if (own === undefined) {
    const task = seed(scene, recorded);
    const data = dataOf(exchange);
    if (task && isObject(data) && data.status === 'running') delete task.exitstatus;
    if (task && exchange.request.method === 'GET') catchUp(scene, task, recorded);
    if (task && isObject(data) && data.status === 'stopped') {
      task.exitstatus = String(data.exitstatus);
      task.endtime ??= task.starttime;
    }
    return;
  }
  if (exchange.request.method !== 'GET') {
    // A worker that is stopped had come as far as it would.
    await short(REACH_MS);
    return;
  }
  if (wasKilled(scene, recorded)) await killWorker(scene, own);
  else if (shownEnded(scene, recorded)) await waitForEnd(scene, recorded);
  else if (scene.pve.vzdumpFaults.hang !== undefined) await reach(scene, own);
};

const killWorker = async ({ pve }: Scene, own: string): Promise<void> => {
  pve.vzdumpFaults.dieAt = /./;
  pve.vzdumpFaults.hang = undefined;
  await Promise.race([pve.taskEnded(own), short(PATIENCE_MS)]);
  pve.vzdumpFaults.dieAt = undefined;
};

export const assumeTasks = async (scene: Scene): Promise<void> => {
  const { exchange } = scene;
  const [first, node, tasks, upid, what] = pathOf(exchange);
  const list = (first === 'nodes' && tasks === 'tasks' && upid === undefined) || (first === 'cluster' && node === 'tasks');
  if (list && exchange.response.status === 200) {
    await settle(scene);
    await onlyShownRun(scene);
    fromList(scene);
  }
  if (first === 'nodes' && tasks === 'tasks' && upid !== undefined) await forOne(scene, upid, what);
};

/** Waits for a worker to come to the line where it waits: so many as were recorded, or a pause. */
const reach = async ({ pve, exchange }: Scene, own: string): Promise<void> => {
  const lines = rowsOf(exchange).length;
  const task = pve.world.tasks.find((t) => t.upid === own);
  const until = Date.now() + 10 * REACH_MS;
  await short(REACH_MS);
  while (task && task.log.length < lines && Date.now() < until) await short(50);
};

/** Everything that the list shows as ended has ended here too. */
const settle = async (scene: Scene): Promise<void> => {
  for (const row of rowsOf(scene.exchange)) if (row.endtime !== undefined) await waitForEnd(scene, String(row.upid));
};
