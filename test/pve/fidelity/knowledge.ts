/** What a whole recording tells about the server it came from: configurations, tasks, tokens, by the place where it was said. */

import { bodyOf, dataOf, decoded, type Exchange, isObject, type JsonObject, pathOf, rowsOf } from './exchange.ts';

export interface TaskKnowledge {
  /** Of every task the recording has seen: how it ended, with its whole log where that was read. */
  exitstatus?: string;
  log?: string[];
  /** Lines by number, from readings of parts. */
  pieces?: Map<number, string>;
  /** The log as it stood while the task ran. */
  runningLog?: string[];
  endtime?: number;
  /** Where its UPID was handed out, and where it was last seen running. */
  startedAt?: number;
  runningAt?: number;
}

interface Reading<T> {
  index: number;
  value: T;
}

export interface Knowledge {
  node: string;
  tasks: Map<string, TaskKnowledge>;
  /** Guests' configurations by id, in order. */
  configs: Map<number, Reading<JsonObject>[]>;
  storages: Map<string, Reading<JsonObject>[]>;
  acls: Reading<JsonObject[]>[];
  /** privsep by `user@realm!token`. */
  tokens: Map<string, boolean>;
}

/** What was known at a place: the last reading before it, else the first after it. */
export const at = <T>(readings: Reading<T>[] | undefined, index: number): T | undefined =>
  (readings?.findLast((r) => r.index <= index) ?? readings?.[0])?.value;

const push = <K, T>(map: Map<K, Reading<T>[]>, key: K, index: number, value: T): void => {
  map.set(key, [...(map.get(key) ?? []), { index, value }]);
};

const task = (k: Knowledge, upid: string): TaskKnowledge => {
  const known = k.tasks.get(upid) ?? {};
  k.tasks.set(upid, known);
  return known;
};

const collectTask = (k: Knowledge, e: Exchange, index: number): void => {
  const data = dataOf(e);
  if (typeof data === 'string' && data.startsWith('UPID:')) task(k, data).startedAt = index;
  const [, , tasks, upid = '', what] = pathOf(e);
  // Whoever stops a task takes it for running.
  if (tasks === 'tasks' && e.request.method === 'DELETE' && task(k, upid).exitstatus === undefined)
    task(k, upid).runningAt = index;
  if (tasks === 'tasks' && what === 'status' && isObject(data)) {
    if (data.status === 'running') task(k, upid).runningAt = index;
    else task(k, upid).exitstatus = String(data.exitstatus);
  }
  if (
    tasks === 'tasks' &&
    what === 'log' &&
    Array.isArray(data) &&
    data.length > 0 &&
    !/[?&](?:start|limit)=[1-9]/.test(e.request.path)
  ) {
    const lines = rowsOf(e).map((row) => String(row.t));
    if (/^unable to open file/.test(lines[0] ?? '')) return;
    if (/^TASK /.test(lines.at(-1) ?? '') || task(k, upid).exitstatus !== undefined) task(k, upid).log = lines;
    else Object.assign(task(k, upid), { runningLog: lines, runningAt: index });
  }
  if (tasks === 'tasks' && what === 'log') {
    const pieces = task(k, upid).pieces ?? new Map<number, string>();
    for (const row of rowsOf(e)) pieces.set(Number(row.n), String(row.t));
    task(k, upid).pieces = pieces;
  }
  for (const row of rowsOf(e)) {
    if (typeof row.upid !== 'string') continue;
    if (row.status === 'RUNNING' || (row.status === undefined && row.endtime === undefined)) task(k, row.upid).runningAt = index;
    else if (typeof row.status === 'string') task(k, row.upid).exitstatus = row.status;
    if (typeof row.endtime === 'number') task(k, row.upid).endtime = row.endtime;
  }
};

/** The tokens such recordings use, with privilege separation or without. */
const TOKENS: readonly [string, boolean][] = [
  ['admin@pve!full', false],
  ['admin@pve!sep', true],
  ['admin@pve!dflt', true],
  ['auditor@pve!audit', false],
  ['nobody@pve!none', false],
];

const collectGuest = (k: Knowledge, e: Exchange, index: number): void => {
  const [, , kind, vmid, what, ...more] = pathOf(e);
  if (kind !== 'lxc' && kind !== 'qemu') return;
  const data = dataOf(e);
  const type = { type: kind };
  if (what === 'config' && more.length === 0 && isObject(data)) push(k.configs, Number(vmid), index, { ...data, ...type });
  if (what === 'pending' && Array.isArray(data))
    push(k.configs, Number(vmid), index, {
      ...Object.fromEntries(rowsOf(e).map((row) => [String(row.key), row.value ?? ''])),
      ...type,
    });
};

const BACKUP_CONFIG = /vzdump-(lxc|qemu)-(\d+)-/;

/** A backup holds the guest's configuration as it was. */
const collectBackupConfig = (k: Knowledge, e: Exchange, index: number): void => {
  const data = dataOf(e);
  const [, type, vmid] = BACKUP_CONFIG.exec(decoded(e.request.path)) ?? [];
  if (!e.request.path.includes('/extractconfig') || typeof data !== 'string' || type === undefined) return;
  const lines = data.split('\n').filter(Boolean);
  const description = lines.filter((line) => line.startsWith('#')).map((line) => `${decoded(line.slice(1))}\n`);
  const pairs = lines
    .filter((line) => !line.startsWith('#'))
    .map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)] as const);
  const config = Object.fromEntries(
    pairs.map(([key, value]) => [key, type === 'lxc' && /^\d+$/.test(value) ? Number(value) : value]),
  );
  push(k.configs, Number(vmid), index, {
    ...config,
    type,
    ...(description.length > 0 ? { description: description.join('') } : {}),
  });
};

const collectStorage = (k: Knowledge, e: Exchange, index: number): void => {
  const [first, id] = pathOf(e);
  if (first !== 'storage' || e.response.status !== 200) return;
  const data = dataOf(e);
  if (e.request.method === 'GET')
    for (const row of id === undefined ? rowsOf(e) : isObject(data) ? [data] : [])
      push(k.storages, String(row.storage), index, row);
  else if (e.request.method === 'POST') push(k.storages, bodyOf(e).storage ?? '', index, bodyOf(e));
};

const collectToken = (k: Knowledge, e: Exchange): void => {
  const [access, users, userid = '', token, tokenid] = pathOf(e);
  if (access !== 'access' || users !== 'users') return;
  const data = dataOf(e);
  if (e.request.method === 'POST' && token === 'token' && e.response.status === 200)
    k.tokens.set(`${userid}!${tokenid}`, bodyOf(e).privsep !== '0');
  for (const row of rowsOf(e)) {
    const list = Array.isArray(row.tokens) ? row.tokens.filter(isObject) : [];
    for (const t of list) k.tokens.set(`${String(row.userid)}!${String(t.tokenid)}`, t.privsep === 1);
    if (token === 'token' && row.tokenid !== undefined) k.tokens.set(`${userid}!${String(row.tokenid)}`, row.privsep === 1);
  }
  if (isObject(data) && isObject(data.tokens))
    for (const [id, t] of Object.entries(data.tokens)) k.tokens.set(`${userid}!${id}`, isObject(t) && t.privsep === 1);
};

export const collect = (exchanges: Exchange[]): Knowledge => {
  const named = exchanges
    .filter((e) => e.response.status === 200)
    .map((e) => pathOf(e))
    .find((path) => path[0] === 'nodes' && path[1] !== undefined);
  const k: Knowledge = {
    node: named?.[1] ?? 'pve1',
    tasks: new Map(),
    configs: new Map(),
    storages: new Map(),
    acls: [],
    tokens: new Map(TOKENS),
  };
  for (const [index, e] of exchanges.entries()) {
    if (e.raw) continue;
    collectTask(k, e, index);
    collectGuest(k, e, index);
    collectBackupConfig(k, e, index);
    collectStorage(k, e, index);
    collectToken(k, e);
    if (e.request.method === 'GET' && pathOf(e).join('/') === 'access/acl' && rowsOf(e).length > 0)
      k.acls.push({ index, value: rowsOf(e) });
  }
  return k;
};

/** How a task ended, from its status, a list, or the last line of its log. */
export const outcome = (known: TaskKnowledge | undefined): string | undefined => {
  const last = known?.log?.at(-1) ?? '';
  const [, error] = /^TASK ERROR: (.*)$/.exec(last) ?? [];
  return known?.exitstatus ?? error ?? (last === 'TASK OK' ? 'OK' : undefined);
};

/** The log as far as it is known. */
export const knownLog = (known: TaskKnowledge | undefined): string[] | undefined => {
  if (known?.log) return known.log;
  if (!known?.pieces || known.pieces.size === 0) return undefined;
  const count = Math.max(...known.pieces.keys());
  return Array.from({ length: count }, (_, i) => known.pieces?.get(i + 1) ?? '');
};
